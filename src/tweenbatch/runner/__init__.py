"""Runs jobs: decides which job starts when, carries it out and records the outcome.

It does not know manifests, terminals or SQL.
"""
