"""Views of jobs for people: selections, histories and lines of the export."""

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
    """A job that a person should check.

    It failed, its outcome is unknown, or its paid clip can't be downloaded for now.
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
    """Filters for jobs, combined with AND."""

    states: frozenset[State]
    ids: frozenset[int] = frozenset()
    manifests: frozenset[Path] = frozenset()
    row: int | None = None
    error: str | None = None
    tag: str | None = None
    name: str | None = None
    """A pattern with ``*`` and ``?`` for clip names; upper and lower case are equal."""

    @property
    def is_narrowed(self) -> bool:
        """Whether there is a filter besides the states."""
        parts = (self.ids, self.manifests, self.row, self.error, self.tag, self.name)
        return any(part not in (None, frozenset()) for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBy:
    """A row of a manifest that asks for a job."""

    manifest: str
    row: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job with its outcome and its clip, if any."""

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
    """A job with all its rows and attempts."""

    job: Job
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    asked_by: tuple[AskedBy, ...]
    attempts: tuple[Attempt, ...]


class ExportRow(NamedTuple):
    """One line of the export, in the order of its columns.

    It is a flat tuple because there may be millions. ``cost_usd`` is the cost or possible cost of
    all attempts of the job; rows with the same content share one job, and each shows its cost.
    ``extra`` holds the row's own columns under the names of the manifest.
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
    """The time from acceptance to the downloaded clip, in seconds."""

    endpoint: str
    seconds: float
