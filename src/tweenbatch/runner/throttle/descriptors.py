"""How many files and connections this process may have open, and for how many clips that lasts."""

import resource
from contextlib import suppress

WANTED = 4096
"""Enough for as many clips at one time as can be asked for."""

RESERVED = 96
"""For all but submissions: looks, uploads, downloads, the table and what libraries open."""

LEAST = 8


def raise_limit() -> int:
    """Raise this process's own limit as far as it is of use, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def enough_for(files: int) -> int:
    """Return how many clips may be on their way to fal at one time with so many files open."""
    return max(LEAST, files - RESERVED)
