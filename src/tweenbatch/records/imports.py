"""Values of an import: known jobs, earlier rows, and the counts of its changes."""

from dataclasses import dataclass
from decimal import Decimal

from tweenbatch.records.content import JobSpec
from tweenbatch.states import State

WITHDRAWN = "withdrawn"
"""Error type of a job that was cancelled because its last row was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownJob:
    """The job that the table already has for a key."""

    state: State
    price_usd: Decimal
    output_name: str
    error_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRow:
    """A row of the last import of the same file, with its job."""

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
    """The counts of jobs that an import changed; ``known`` includes ``requeued``.

    A withdrawn job was waiting, and no row of any manifest asks for it any more.
    """

    manifest_id: int
    new: int
    known: int
    requeued: int
    withdrawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierFailures:
    """Which failed jobs of earlier runs to retry."""

    errors: frozenset[str]
    most_attempts: int
    """Skip jobs that were already submitted this many times."""
