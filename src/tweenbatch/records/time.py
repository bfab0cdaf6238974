"""Require a time zone for every instant in a record."""

from datetime import datetime


def refuse_naive(**instants: datetime | None) -> None:
    """Raise ``ValueError`` for an instant without a time zone."""
    for name, instant in instants.items():
        if instant is not None and instant.utcoffset() is None:
            raise ValueError(f"{name} has no time zone")
