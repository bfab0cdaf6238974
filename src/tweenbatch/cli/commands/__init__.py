"""One module for each command: its options, its steps, its exit code.

It does not know SQL or the HTTP of fal.
"""
