"""The witness: a fallback file for request ids that the job table can't record.

Its disk blocks are allocated before the first submission, so that it works on a full disk. It
holds what is needed to find a paid request, but no prompts and no API keys.
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
"""More than the size of a note; the file has space for one note per slot."""

MAX_BYTES = 4 * 1024 * 1024
"""The size limit of a witness."""

SUFFIX = ".witness"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRequest:
    """A submission that fal accepted."""

    key: str
    """The key of the job, as in ``JobSpec.key``."""
    attempt: int
    endpoint: str
    request: Request
    accepted_at: datetime

    def line(self) -> str:
        """Return the note as JSON."""
        facts = {**asdict(self), "accepted_at": self.accepted_at.isoformat()}
        return json.dumps(facts, separators=(",", ":"))


def path_of(table: Path | None, output: Path, run_id: int) -> Path:
    """Return the path of a run's witness: beside its table, or in the output folder.

    ``table`` is None for a table on a server, which several runs may share.
    """
    if table is None:
        return output / f"tweenbatch-{run_id}{SUFFIX}"
    # A table with two names must have one witness.
    file = table.resolve()
    return file.with_name(f"{file.name}{SUFFIX}")


def abandoned(own: Path, *, shared: bool) -> list[Path]:
    """Return the witnesses of ended runs; ``shared``: other runs keep theirs beside ours."""
    found = sorted(own.parent.glob(f"tweenbatch-*{SUFFIX}")) if shared else [own]
    return [path for path in found if _is_abandoned(path)]


def read_notes(path: Path) -> list[AcceptedRequest]:
    """Return the notes of a witness; damaged ones are skipped."""
    try:
        with atomic.opened(path) as file:
            text = file.read(MAX_BYTES)
    except OSError as error:
        log.warning("witness not read: %s", error)
        return []
    notes = [_note(line) for line in text.replace(b"\0", b"\n").split(b"\n") if line]
    return [note for note in notes if note is not None]


def adopt(notes: Iterable[AcceptedRequest], store: Store, *, now: datetime) -> list[Job]:
    """Give uncertain jobs the requests of their notes; return these jobs.

    Only notes about the latest attempt of an uncertain job count.
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
            log.warning("note not adopted job=%d: %s", job.id, error)
    return adopted


def discard(path: Path, notes: Iterable[AcceptedRequest], store: Store) -> None:
    """Delete a witness after reading, unless a run that may be alive owns one of its jobs."""
    jobs = store.manifests.lookup(note.key for note in notes)
    if any(job.state is State.SUBMITTING for job in jobs.values()):
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("witness not deleted: %s", error)


class Witness:
    """A run's own witness: ``prepare`` it before the first submission; deleted if empty."""

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
                log.warning("empty witness not deleted: %s", trouble)

    def prepare(self, *, notes: int) -> None:
        """Create the file with disk blocks for this many notes; raises ``OSError``."""
        self._file = atomic.open_regular(self.path, os.O_RDWR, create=True)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Written zeros: blocks that are only reserved may be missing on a full disk.
        _write(self._file, bytes(max(SIZE, notes * NOTE_BYTES)), at=0)
        os.fsync(self._file)
        atomic.sync_folder(self.path.parent)

    def keep(self, note: AcceptedRequest) -> None:
        """Write a note and sync it to the disk; raises ``OSError``."""
        # The first line break ends a damaged note.
        line = f"\n{note.line()}\n".encode()
        with self._lock:
            if self._file is None:
                raise FileNotFoundError(f"{self.path} was never created")
            at, self._end = self._end, self._end + len(line)
            try:
                _write(self._file, line, at=at)
                os.fsync(self._file)
            except OSError as error:
                self._broken = self._broken or error
            if self._broken is not None:
                # After a failed sync, a later success proves nothing.
                raise self._broken


def _write(file: int, data: bytes, *, at: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, at)
        left, at = left[written:], at + written


def _is_abandoned(path: Path) -> bool:
    """Return whether the witness exists and no running run holds it."""
    try:
        file = atomic.open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("witness not read: %s", error)
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
        raise TypeError(f"expected text, not {type(value).__name__}")
    return value
