"""File descriptors: how many this process may open, and how many clips at a time that allows."""

import resource
from contextlib import suppress

SUFFICIENT = 4096
"""Enough for the largest allowed number of clips at one time."""

RESERVED = 96
"""For everything except submissions: polls, uploads, downloads, the table and libraries."""

LEAST = 8


def raise_limit() -> int:
    """Raise the soft limit of this process, up to ``SUFFICIENT``, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = SUFFICIENT if hard == resource.RLIM_INFINITY else min(SUFFICIENT, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return SUFFICIENT if soft == resource.RLIM_INFINITY else soft


def enough_for(files: int) -> int:
    """Return how many clips may be in progress at one time with this limit of open files."""
    return max(LEAST, files - RESERVED)
