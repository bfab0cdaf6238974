"""What is needed again and again is put together once, which takes longer than to carry it out."""

from typing import Any, TypeVar

S = TypeVar("S")

Prepared = tuple[S, dict[str, Any]]
"""A statement that was put together before, and what it is to say this time."""
