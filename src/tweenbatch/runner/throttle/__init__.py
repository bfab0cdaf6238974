"""How much is submitted at once, and what holds submissions back. Knows no table."""
