"""What was paid for and the table does not know: found and written down. It submits nothing."""
