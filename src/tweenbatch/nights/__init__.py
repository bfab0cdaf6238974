"""Nightly work: job files, the inbox, digests, notifications and schedules.

It does not know how a clip is submitted or paid for.
"""
