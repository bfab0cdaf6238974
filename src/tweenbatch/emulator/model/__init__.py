"""The emulated model: check an input, draw a preview clip, set its price.

It does not know HTTP connections or the queue.
"""
