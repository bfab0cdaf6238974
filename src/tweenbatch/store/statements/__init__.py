"""Every statement that the store sends, each a named function; nothing here executes one."""
