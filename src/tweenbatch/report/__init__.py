"""What people and programs read: texts, counts, JSON and the results file.

It does not know where the facts come from, and writes only the results file.
"""
