"""Scripted faults: their vocabulary, and the script that decides which call they hit.

It does not know HTTP: ``api`` plays the faults.
"""
