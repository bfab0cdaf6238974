"""This machine in another time zone, for the length of a test."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def local_zone(name: str) -> Iterator[None]:
    """Let local times of this process be those of a zone, such as ``Europe/Berlin``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()
