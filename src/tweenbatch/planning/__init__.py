"""Rows held against the table: new, changed, removed, their price and time. Spends nothing."""
