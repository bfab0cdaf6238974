"""The SQL statements of the store, one function each.

It does not know how or when they are executed.
"""
