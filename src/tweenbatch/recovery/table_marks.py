"""Keep high-water marks of tables outside their folders.

Restoring a whole folder also restores its lock file, and a copied folder has its own. So each
table also keeps a mark in the user's state folder, grouped by the first run, which a table shares
with its copies, and with one file per path.

Marks are optional: fal's list of past requests is read in any case.
"""

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tweenbatch.files import atomic
from tweenbatch.store import Store

log = logging.getLogger(__name__)

MARK_BYTES = 64 * 1024
"""The size limit of a mark."""

SUFFIX = ".mark"
ALONE = "alone"
ALONE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The last submission: its time, its number, and its run, identified by its start."""

    run_id: int
    began: datetime
    attempt_id: int
    at: datetime

    def is_unknown_to(self, store: Store) -> bool:
        """Return whether the table lacks it."""
        run, reached = store.runs.find(self.run_id), store.runs.high_water_mark()
        if run is None or reached is None or run.started_at != self.began:
            return True
        return self.attempt_id > reached.attempt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The mark of the table at one path."""

    place: str
    paid: Paid | None = None
    known: frozenset[str] = frozenset()
    """Paths of copies whose payments were adopted once; they are separate tables since then."""
    is_at_work: bool = False
    """Whether a run is using that table."""

    def text(self) -> str:
        """Return the mark as JSON."""
        paid = self.paid and {
            "run_id": self.paid.run_id,
            "began": self.paid.began.isoformat(),
            "attempt_id": self.paid.attempt_id,
            "at": self.paid.at.isoformat(),
        }
        return json.dumps({"place": self.place, "paid": paid, "known": sorted(self.known)})


class TableMarks:
    """The marks of one table and its copies; an unusable folder never raises.

    ``folder`` holds the marks of all tables; None: no marks. ``table`` is the table's file; None:
    it is on a server, whose copies are unknown.
    """

    def __init__(self, folder: Path | None, table: Path | None) -> None:
        self._folder = None if table is None else folder
        self.place = "" if table is None else str(table.resolve())
        self._own = Mark(place=self.place)
        self._file: int | None = None
        self._run: tuple[int, datetime] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def ahead_of(self, store: Store) -> Mark | None:
        """Return a mark of payments that the table lacks or may lack, if any."""
        marks = self._marks(store)
        known = marks[self.place].known if self.place in marks else frozenset()
        ahead = [
            mark
            for mark in marks.values()
            if mark.place not in known
            and (
                (mark.is_at_work and mark.place != self.place)
                or (mark.paid is not None and mark.paid.is_unknown_to(store))
            )
        ]
        # The mark of this path is the most relevant.
        return next((each for each in ahead if each.place == self.place), next(iter(ahead), None))

    @contextmanager
    def alone(self, store: Store) -> Iterator[None]:
        """Prevent copies of the table from checking and starting at the same moment."""
        held = None
        try:
            folder = self._make_folder(store)
            if folder is not None:
                held = _opened(folder / ALONE)
                _wait_for(held)
        except OSError as error:
            log.warning("copies of the table are not locked out: %s", error)
        try:
            yield
        finally:
            if held is not None:
                os.close(held)

    def follow(self, store: Store, *, caught_up: bool = False) -> None:
        """Mark the table as in use; ``caught_up``: it has everything that its copies paid for."""
        reached = store.runs.high_water_mark()
        run = None if reached is None else store.runs.find(reached.run_id)
        if run is None:
            return
        self._run = run.id, run.started_at
        marks = self._marks(store)
        self._own = marks.get(self.place, self._own)
        if caught_up:
            self._own = Mark(place=self.place, known=frozenset(marks) - {self.place})
        try:
            folder = self._make_folder(store)
            if folder is None:
                return
            if self._file is None:
                self._file = _opened(folder / _name(self.place))
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write()
            os.fsync(self._file)
        except OSError as error:
            log.warning("the mark of payments is not kept: %s", error)

    def advance(self, at: datetime, *, attempt_id: int | None = None) -> None:
        """Record a submission; only a power failure can lose this record."""
        if attempt_id is None or self._run is None or self._file is None:
            return
        run_id, began = self._run
        paid = Paid(run_id=run_id, began=began, attempt_id=attempt_id, at=at)
        self._own = replace(self._own, paid=paid)
        try:
            self._write()
        except OSError as error:
            log.warning("the mark was not updated: %s", error)

    def _write(self) -> None:
        """Overwrite the mark in place, so that it always exists."""
        assert self._file is not None
        data = self._own.text().encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))

    def _marks(self, store: Store) -> dict[str, Mark]:
        """Return the marks of the table and its copies, by path."""
        folder = self._folder_of(store)
        try:
            paths = [] if folder is None else sorted(folder.glob(f"*{SUFFIX}"))
        except OSError as error:
            log.warning("no marks are read: %s", error)
            return {}
        read = (_read(path) for path in paths)
        return {mark.place: mark for mark in read if mark is not None}

    def _folder_of(self, store: Store) -> Path | None:
        origin = store.runs.origin
        return None if self._folder is None or origin is None else self._folder / origin

    def _make_folder(self, store: Store) -> Path | None:
        folder = self._folder_of(store)
        if folder is not None:
            atomic.make_private_folder(folder)
        return folder


def _read(path: Path) -> Mark | None:
    try:
        file = atomic.open_regular(path, os.O_RDONLY)
        try:
            facts = json.loads(os.pread(file, MARK_BYTES, 0))
            return Mark(
                place=str(facts["place"]),
                paid=_paid(facts["paid"]),
                known=frozenset(map(str, facts["known"])),
                is_at_work=not _is_free(file),
            )
        finally:
            os.close(file)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        log.warning("a mark can't be read: %s (%s)", path, type(error).__name__)
        return None


def _paid(facts: Any) -> Paid | None:
    return facts and Paid(
        run_id=int(facts["run_id"]),
        began=datetime.fromisoformat(facts["began"]),
        attempt_id=int(facts["attempt_id"]),
        at=datetime.fromisoformat(facts["at"]),
    )


def _is_free(file: int) -> bool:
    """Return whether no run holds the mark."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> int:
    return atomic.open_regular(path, os.O_RDWR, create=True)


def _wait_for(file: int) -> None:
    """Lock a file that others hold only briefly; continue without the lock after a timeout."""
    given_up_at = time.monotonic() + ALONE_SECONDS
    while time.monotonic() < given_up_at:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)


def _name(place: str) -> str:
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{digest[:32]}{SUFFIX}"
