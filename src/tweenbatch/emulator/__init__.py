"""A server on loopback that speaks fal's API, plays scripted faults and keeps a ledger.

The package imports nothing of the product but ``clock`` and ``errors``; the product imports
nothing of it but ``process``, which starts it as a child when a batch is rehearsed.
"""
