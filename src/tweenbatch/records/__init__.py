"""The values that travel between the rooms: frozen, checked, and without behaviour of their own.

Money is ``Decimal`` US dollars; instants are aware and in UTC.
"""

import hashlib
import json
import json.encoder
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tweenbatch.states import Event, State

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Return the one JSON text that equal values share."""
    return _encoder.encode(value)


quoted = json.encoder.encode_basestring
"""Return the canonical JSON of a text: what ``canonical_json`` comes to, several times faster."""


def _refuse_naive(**instants: datetime | None) -> None:
    for name, instant in instants.items():
        if instant is not None and instant.utcoffset() is None:
            raise ValueError(f"{name} has no time zone")


def identity(source: str, sha256: str | None) -> str:
    """Return what makes two frames the same: their bytes, or their address."""
    return source if sha256 is None else f"sha256:{sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A start or end image: a local file with the digest of its bytes, or an https URL.

    ``source`` is an absolute path or the URL; ``sha256`` is None exactly for a URL.
    """

    source: str
    sha256: str | None = None

    @property
    def identity(self) -> str:
        """What makes two frames the same: their bytes, or their address."""
        return identity(self.source, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What tells a file from another that lies at the same path later, without reading either."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFrame:
    """What an image file was found to be.

    ``facts`` are plain values; they hold for the file in this state and for those who know the
    ``looker``, the way of looking that found them.
    """

    path: str
    file: FileState
    sha256: str
    facts: Mapping[str, Any]
    looker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One transition to be paid for once; its ``key`` is its content."""

    endpoint: str
    prompt: str
    start: Frame
    end: Frame | None
    parameters: Mapping[str, str]
    take: int = 1

    @property
    def key(self) -> str:
        """sha256 of endpoint, prompt, the frames' identities, parameters and take."""
        end = self.end.identity if self.end else None
        common = common_part(self.endpoint, self.parameters)
        return content_key(common, self.prompt, self.start.identity, end, self.take)


# A key digests the canonical JSON of a content. That is put together by hand, for a manifest may
# have a million rows, and what many of them have in common in the middle is made once.


def common_part(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return what the keys of all jobs with this endpoint and these parameters have in common."""
    return f',"endpoint":{quoted(endpoint)},"parameters":{canonical_json(dict(parameters))},'


def content_key(common: str, prompt: str, start: str, end: str | None, take: int) -> str:
    """Return the key of a content; the frames are given by their identities."""
    content = (
        f'{{"end":{"null" if end is None else quoted(end)}{common}"prompt":{quoted(prompt)},'
        f'"start":{quoted(start)},"take":{take}}}'
    )
    return hashlib.sha256(content.encode()).hexdigest()


class Billed(StrEnum):
    """Whether fal charged for an attempt."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An accepted submission as fal names it."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be submitted; recorded before the first byte of the POST."""

    arguments: Mapping[str, Any]
    price_usd: Decimal
    key_fingerprint: str
    host: str

    @property
    def payload(self) -> str:
        """The canonical body."""
        return canonical_json(dict(self.arguments))


class KeptClip(NamedTuple):
    """A clip as the table recorded it when it came home; whether it still lies there is not told.

    There may be many: a flat tuple. ``name`` is that of its job.
    """

    job_id: int
    name: str
    path: str
    bytes: int
    sha256: str
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the table holds it, with the lease under which it is worked on.

    ``attempt`` is the number of the latest attempt (0: none yet), ``tries`` how many of
    them ended in a failure that counts against the retry policy. ``attempt_id``, ``sent_at``,
    ``key_fingerprint`` and ``billed`` are of the latest attempt; so are ``kept``, its clip where
    that came home once, and ``unfetched_since``, when the clip could not be fetched first.
    """

    id: int
    key: str
    spec: JobSpec
    state: State
    output_name: str
    price_usd: Decimal
    attempt: int
    tries: int
    fence: int
    not_before: datetime | None
    arguments: Mapping[str, Any] | None
    request: Request | None
    accepted_at: datetime | None
    video: "RemoteVideo | None"
    attempt_id: int | None = None
    sent_at: datetime | None = None
    key_fingerprint: str | None = None
    billed: Billed | None = None
    kept: KeptClip | None = None
    unfetched_since: datetime | None = None

    def __post_init__(self) -> None:
        _refuse_naive(
            not_before=self.not_before, accepted_at=self.accepted_at, sent_at=self.sent_at
        )


class Phase(StrEnum):
    """How far fal is with a request."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStatus:
    """One look at a request: its phase, the model's log lines, and an error if it ended in one."""

    phase: Phase
    position: int | None = None
    logs: tuple[str, ...] = ()
    error: str | None = None
    error_type: str | None = None
    inference_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteVideo:
    """A generated clip at fal; ``bytes`` is what fal says of its size, if it does."""

    url: str
    bytes: int | None
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRequest:
    """A request as fal's history lists it once it has ended.

    ``input`` and ``output`` are None where fal did not keep, or did not show, the payload.
    Instants are by fal's clock.
    """

    request_id: str
    sent_at: datetime
    ended_at: datetime | None
    http_status: int | None
    input: Any
    output: Any

    def __post_init__(self) -> None:
        _refuse_naive(sent_at=self.sent_at, ended_at=self.ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRequest:
    """A request that an attempt of the table owns; instants are by this machine's clock.

    Later submissions have a higher ``attempt_id``, whatever the clock did. ``finished_at`` is
    set once the clip is on disk: the request has ended at fal before that.
    """

    attempt_id: int
    request_id: str
    key_fingerprint: str
    payload_sha256: str
    sent_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A clip on disk, whole and checked."""

    path: Path
    url: str
    bytes: int
    sha256: str
    seconds: float
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt, or a job, ended without a clip.

    ``retryable`` is None where fal did not say. ``message`` is text from outside: it is
    shown, never parsed.
    """

    type: str
    message: str
    http_status: int | None = None
    retryable: bool | None = None
    billed: Billed = Billed.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a stage found out: the event, and the facts that go with it.

    ``not_before`` says when the job may be taken up again. ``counts`` is False where the
    attempt is given back: it says nothing about the job. ``charged_usd`` is what fal billed by its
    own words; it counts where that is more than was reserved.
    """

    event: Event
    request: Request | None = None
    video: RemoteVideo | None = None
    artifact: Artifact | None = None
    failure: Failure | None = None
    not_before: datetime | None = None
    counts: bool = True
    charged_usd: Decimal | None = None

    def __post_init__(self) -> None:
        _refuse_naive(not_before=self.not_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLimit:
    """What all runs of a table together may commit between two instants, in US dollars."""

    option: str
    """The option that asks for it."""
    usd: Decimal
    begins: datetime
    ends: datetime

    def __post_init__(self) -> None:
        _refuse_naive(begins=self.begins, ends=self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """All runs of one job file on one local date; a limit for a run is one for all of them."""

    job: str
    date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Where the money of the table stands, in US dollars.

    ``spent`` counts what fal billed or may have billed; ``reserved`` what is in the air;
    ``uncertain`` what was sent without a known outcome.
    """

    spent: Decimal
    reserved: Decimal
    uncertain: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the table already knows of a key."""

    state: State
    price_usd: Decimal
    output_name: str
    error_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks for a job: the manifest that came last, and how many there are in all."""

    manifest: Path
    manifests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How long fal and the way home took for one clip, in seconds since it was accepted."""

    endpoint: str
    seconds: float


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
class Recovered:
    """What a dead run left behind: jobs set free, and submissions of unknown outcome."""

    freed: int
    uncertain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far a job table has come: in one and the same table neither number ever falls.

    ``run_id`` and ``attempt_id`` are its highest, ``at`` is the last sign of life of that run.
    """

    run_id: int
    attempt_id: int
    at: datetime

    def __post_init__(self) -> None:
        _refuse_naive(at=self.at)

    def is_beyond(self, other: "Reach | None") -> bool:
        """Tell whether there was work here that the other knows nothing of."""
        if other is None:
            return True
        return self.run_id > other.run_id or self.attempt_id > other.attempt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaid:
    """Jobs alike that wait to be submitted; ``price_usd`` is that of each, in US dollars."""

    endpoint: str
    parameters: Mapping[str, str]
    price_usd: Decimal
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
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
class OldFailures:
    """Which jobs that failed in earlier runs are to be tried again."""

    errors: frozenset[str]
    most_attempts: int
    """None that has been submitted so often in all."""


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
class Run:
    """A run as the table remembers it; ``finished_at`` is None while it goes on, or died unseen.

    ``committed_usd`` is what it paid or reserved, less what fal did not bill. ``asked`` names its
    manifests. ``told_at`` is when everybody was told of it who was to be.
    """

    id: int
    host: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    note: str
    committed_usd: Decimal
    job: str | None
    night: date | None
    asked: str | None
    told_at: datetime | None

    @property
    def ended_at(self) -> datetime:
        """When it ended, or was heard of last."""
        died = self.exit_code is None
        return self.heartbeat_at if died or self.finished_at is None else self.finished_at


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAlike:
    """Jobs that were given up for one cause, with the words and the name of one of them."""

    error_type: str
    jobs: int
    message: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A clip, and how long fal and the way home took for it, in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What came about in the time of a run; ``money`` is that of its own submissions.

    Clips and failures are all of the table in that time: of submissions of earlier runs too.
    ``counts`` is how the whole table stands now, and ``uncertain_usd`` what of it is uncertain.
    """

    submitted: int
    money: Money
    made: int
    failed: tuple[FailedAlike, ...]
    slowest: tuple[Slow, ...]
    counts: Mapping[State, int]
    uncertain_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
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
