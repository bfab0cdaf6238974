"""Remember which tables each manifest was run with, in the user's state folder.

These notes only help to find tables. Without a writable state folder there are none.
"""

import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tweenbatch.files import atomic

log = logging.getLogger(__name__)

MOST_NOTES = 1_000
_FILE = "tables.jsonl"
_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_TRIES = 250
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedTable:
    """A manifest and a table that it was run with.

    ``table`` is a URL without a password. ``paid_usd`` is the amount that the whole table had paid
    or reserved after its last run, in US dollars; None: that run did not finish.
    """

    manifest: str
    sha256: str
    table: str
    at: str
    paid_usd: str | None = None


class TableMemory:
    """The notes; without a ``folder`` none are kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def of(self, paths: Collection[str], digests: Collection[str]) -> list[UsedTable]:
        """Return the notes of manifests at these paths, or with these bytes, the latest first."""
        return [
            note
            for note in reversed(self._notes())
            if note.manifest in paths or note.sha256 in digests
        ]

    def add(self, notes: Sequence[UsedTable]) -> None:
        """Keep notes; a new one replaces that of the same manifest and table."""
        new = {(each.manifest, each.table) for each in notes}

        def added(earlier: Sequence[UsedTable]) -> list[UsedTable]:
            kept = [each for each in earlier if (each.manifest, each.table) not in new]
            return [*kept, *notes][-MOST_NOTES:]

        if notes:
            self._change(added)

    def note_paid(self, table: str, paid_usd: str | None) -> None:
        """Record the amount that a table has paid; None: its run has not finished."""
        self._change(
            lambda notes: [
                replace(each, paid_usd=paid_usd) if each.table == table else each for each in notes
            ]
        )

    def _change(self, change: Callable[[Sequence[UsedTable]], Sequence[UsedTable]]) -> None:
        if self._folder is None:
            return
        try:
            atomic.make_private_folder(self._folder)
            with _alone(self._folder / "tables.lock"):
                self._write(change(self._notes()))
        except OSError as error:
            log.info("can't record which table was used: %s", error)

    def _notes(self) -> list[UsedTable]:
        if self._folder is None:
            return []
        try:
            lines = (self._folder / _FILE).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        return [note for note in map(_note, lines) if note is not None]

    def _write(self, notes: Sequence[UsedTable]) -> None:
        assert self._folder is not None
        text = "".join(f"{json.dumps(asdict(note))}\n" for note in notes)
        atomic.write(self._folder / _FILE, text.encode(), mode=0o600)


def _note(line: str) -> UsedTable | None:
    try:
        note = UsedTable(**json.loads(line))
    except (ValueError, TypeError):
        return None
    texts = (note.manifest, note.sha256, note.table, note.at, note.paid_usd or "0")
    if not all(isinstance(text, str) for text in texts) or not _AMOUNT.fullmatch(texts[-1]):
        return None
    return note


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other runs out for a moment; without a lock, continue anyway."""
    file = atomic.open_regular(path, os.O_RDWR, create=True)
    try:
        for _ in range(_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_SECONDS)
            except OSError:
                break  # a file system without locks
            else:
                break
        yield
    finally:
        os.close(file)
