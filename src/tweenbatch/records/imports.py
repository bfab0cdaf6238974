"""What an import finds in the table and changes there."""

from dataclasses import dataclass
from decimal import Decimal

from tweenbatch.records.content import JobSpec
from tweenbatch.states import State

WITHDRAWN = "withdrawn"
"""Error type of a job that was cancelled because its last row went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownJob:
    """What the table already knows of a key."""

    state: State
    price_usd: Decimal
    output_name: str
    error_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRow:
    """A row as the last import of the same file saw it."""

    number: int
    name: str
    take: int
    key: str
    state: State
    price_usd: Decimal
    start_image: str
    end_image: str
    spec: JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did, counted in jobs; ``known`` includes those ``requeued``.

    A withdrawn job was waiting and no row of any manifest asks for it any more.
    """

    manifest_id: int
    new: int
    known: int
    requeued: int
    withdrawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierFailures:
    """Which jobs that failed in earlier runs are to be tried again."""

    errors: frozenset[str]
    most_attempts: int
    """None that has been submitted so often in all."""
