"""The emulator's state: requests, files, and the ledger that the tests rely on.

It does not know HTTP.
"""
