"""Find paid requests that the table lacks, and record them.

It does not know how to submit anything.
"""
