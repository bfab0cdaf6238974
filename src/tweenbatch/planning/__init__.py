"""Compare manifests with the table: new, changed and removed rows, their price and time.

It does not know how plans are shown, and it never submits anything.
"""
