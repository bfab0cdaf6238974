"""Jobs as people see them: selections, histories, and lines of the export."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tweenbatch.records.job import Billed, Job
from tweenbatch.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNeedingAttention:
    """A job that a person should look at.

    It failed, nobody knows whether it was accepted, or it is paid for and can't be had for now.
    """

    job_id: int
    name: str
    state: State
    price_usd: Decimal
    error_type: str | None
    error_message: str | None
    request_id: str | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which jobs a person means: all that every given part speaks of."""

    states: frozenset[State]
    ids: frozenset[int] = frozenset()
    manifests: frozenset[Path] = frozenset()
    row: int | None = None
    error: str | None = None
    tag: str | None = None
    name: str | None = None
    """A pattern with ``*`` and ``?`` for the names of clips, whatever their case."""

    @property
    def is_narrowed(self) -> bool:
        """Tell whether it speaks of more than states."""
        parts = (self.ids, self.manifests, self.row, self.error, self.tag, self.name)
        return any(part not in (None, frozenset()) for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBy:
    """A row that asks for a job."""

    manifest: str
    row: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job, as far as it came, and the file that came of it."""

    number: int
    run_id: int
    outcome: str
    billed: Billed | None
    price_usd: Decimal
    started_at: datetime
    accepted_at: datetime | None
    finished_at: datetime | None
    request_id: str | None
    video_url: str | None
    http_status: int | None
    error_type: str | None
    error_message: str | None
    path: str | None
    bytes: int | None
    sha256: str | None
    seconds: float | None
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """All that the table knows of a job: who asks for it, and what became of it when."""

    job: Job
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    asked_by: tuple[AskedBy, ...]
    attempts: tuple[Attempt, ...]


class ExportRow(NamedTuple):
    """One line of the export, in the order of its columns: a flat tuple, for there may be millions.

    ``cost_usd`` is what all attempts of the job cost or may have cost; rows that ask for
    the same content share one job, and each shows it. ``extra`` holds the row's own columns,
    as the manifest spells them.
    """

    manifest: str
    row: int
    name: str
    state: State
    take: int
    endpoint: str
    prompt: str
    start_image: str
    end_image: str
    duration: str | None
    request_id: str | None
    video_path: str | None
    video_url: str | None
    bytes: int | None
    sha256: str | None
    seconds: float | None
    width: int | None
    height: int | None
    attempts: int
    cost_usd: Decimal
    billed: Billed | None
    error_type: str | None
    error_message: str | None
    finished_at: datetime | None
    extra: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDuration:
    """How long fal and the way home took for one clip, in seconds since it was accepted."""

    endpoint: str
    seconds: float
