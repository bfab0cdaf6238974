"""The last resort for a request id: a file that takes it where the job table can't.

Its blocks are on the disk before the first submission, so that a note needs none of a disk
that is full. It holds what finds a paid request again, and neither prompts nor keys.
"""

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tweenbatch.errors import LeaseLost
from tweenbatch.files import atomic
from tweenbatch.records import Job, Outcome, Request
from tweenbatch.states import Event, ImpossibleTransition, State
from tweenbatch.store import Store

log = logging.getLogger(__name__)

SIZE = 64 * 1024
NOTE_BYTES = 1024
"""More than a note takes; there is room for one from each slot."""

MAX_BYTES = 4 * 1024 * 1024
"""No witness of ours is larger."""

SUFFIX = ".witness"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRequest:
    """A submission that fal accepted."""

    key: str
    """Of the job, as in ``JobSpec.key``."""
    attempt: int
    endpoint: str
    request: Request
    accepted_at: datetime

    def line(self) -> str:
        """Return the note as JSON."""
        facts = {**asdict(self), "accepted_at": self.accepted_at.isoformat()}
        return json.dumps(facts, separators=(",", ":"))


def path_of(table: Path | None, output: Path, run_id: int) -> Path:
    """Return where a run's witness lies: beside its table, or with its clips.

    ``table`` is None for a table on a server, which many runs may share.
    """
    if table is None:
        return output / f"tweenbatch-{run_id}{SUFFIX}"
    # Two names of one table must lead to one witness.
    file = table.resolve()
    return file.with_name(f"{file.name}{SUFFIX}")


def abandoned(own: Path, *, shared: bool) -> list[Path]:
    """Return the witnesses of runs that are over; ``shared``: other runs' lie beside ours."""
    found = sorted(own.parent.glob(f"tweenbatch-*{SUFFIX}")) if shared else [own]
    return [path for path in found if _is_abandoned(path)]


def read_notes(path: Path) -> list[AcceptedRequest]:
    """Return what a witness says; what is damaged in it says nothing."""
    try:
        with atomic.opened(path) as file:
            text = file.read(MAX_BYTES)
    except OSError as error:
        log.warning("witness not heard: %s", error)
        return []
    notes = [_note(line) for line in text.replace(b"\0", b"\n").split(b"\n") if line]
    return [note for note in notes if note is not None]


def adopt(notes: Iterable[AcceptedRequest], store: Store, *, now: datetime) -> list[Job]:
    """Give uncertain jobs the requests that the notes say are theirs; return these jobs.

    A note that is not about the latest attempt of an uncertain job means nothing any more.
    """
    doubts = {(job.key, job.attempt, job.spec.endpoint): job for job in store.jobs.uncertain()}
    adopted: list[Job] = []
    for note in notes:
        job = doubts.pop((note.key, note.attempt, note.endpoint), None)
        if job is None:
            continue
        outcome = Outcome(event=Event.ACCEPTED, request=note.request)
        try:
            adopted.append(store.jobs.settle(job, outcome, now=now))
        except (LeaseLost, ImpossibleTransition) as error:
            log.warning("note not taken job=%d: %s", job.id, error)
    return adopted


def discard(path: Path, notes: Iterable[AcceptedRequest], store: Store) -> None:
    """Remove a witness that was heard, unless a run that may still live owns one of its jobs."""
    known = store.manifests.lookup(note.key for note in notes)
    if any(job.state is State.SUBMITTING for job in known.values()):
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("heard witness stays: %s", error)


class Witness:
    """A run's own witness: ``prepare`` it before the first submission; it goes if it is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._end = 0
        self._broken: OSError | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if not self._end:
            try:
                self.path.unlink(missing_ok=True)
            except OSError as trouble:
                log.warning("empty witness stays: %s", trouble)

    def prepare(self, *, notes: int) -> None:
        """Put the file and its blocks on the disk, for so many notes; raises ``OSError``."""
        self._file = atomic.open_regular(self.path, os.O_RDWR, create=True)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Zeros that were really written: blocks that are only promised may not be there then.
        _write(self._file, bytes(max(SIZE, notes * NOTE_BYTES)), at=0)
        os.fsync(self._file)
        atomic.sync_folder(self.path.parent)

    def keep(self, note: AcceptedRequest) -> None:
        """Write a note down and see it on the disk; raises ``OSError``."""
        # A line of its own, whatever became of the one before.
        line = f"\n{note.line()}\n".encode()
        with self._lock:
            if self._file is None:
                raise FileNotFoundError(f"{self.path} was never made")
            at, self._end = self._end, self._end + len(line)
            try:
                _write(self._file, line, at=at)
                os.fsync(self._file)
            except OSError as error:
                self._broken = self._broken or error
            if self._broken is not None:
                # After a sync that failed, one that does not proves nothing.
                raise self._broken


def _write(file: int, data: bytes, *, at: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, at)
        left, at = left[written:], at + written


def _is_abandoned(path: Path) -> bool:
    """Tell whether there is a witness that no living run holds."""
    try:
        file = atomic.open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("witness not heard: %s", error)
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _note(line: bytes) -> AcceptedRequest | None:
    try:
        facts: dict[str, Any] = json.loads(line)
        request = Request(**{name: _text(value) for name, value in facts["request"].items()})
        accepted_at = datetime.fromisoformat(_text(facts["accepted_at"]))
        return AcceptedRequest(
            key=_text(facts["key"]),
            attempt=int(facts["attempt"]),
            endpoint=_text(facts["endpoint"]),
            request=request,
            accepted_at=accepted_at,
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.warning("a line of the witness can't be read: %s", type(error).__name__)
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value
