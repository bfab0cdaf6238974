"""Cache of inspected frames: valid as long as the file is unchanged.

A file counts as unchanged by its size, times and inode, without reading it. A file changed just
before its inspection is not cached: a second change within one tick of the file system's clock
would be invisible. Nothing is paid because of the cache: the digest is computed again before an
upload. It does not know where the cache is stored.
"""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames.appearance import Appearance
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.records import CachedFrame, FileState

D = TypeVar("D", FrameFacts, Appearance)

INSPECTOR_VERSION = 1
"""Version of the inspection: a new number invalidates all older entries."""

TICK_NS = 2_000_000_000
"""A file changed less than this before its inspection may change again unnoticed."""

MOST_PATH_BYTES = 2_000
"""PostgreSQL can't index a longer text."""

Recall = Callable[[Iterable[str]], Mapping[str, CachedFrame]]


class FramesWatcher(Protocol):
    """Follows the inspection of frames that aren't cached."""

    def begun(self) -> None:
        """Count a frame whose inspection begins."""

    def looked_at(self) -> None:
        """Count a frame whose inspection has ended; called from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFrame:
    """The cached results of an inspection."""

    facts: FrameFacts
    appearance: Appearance


@dataclass(slots=True, kw_only=True)
class _Fresh:
    """A new inspection, its start and the file's state at that time."""

    began_ns: int
    file: FileState
    facts: FrameFacts
    decoding: Future[Appearance]


def _nothing(_paths: Iterable[str]) -> Mapping[str, CachedFrame]:
    return {}


@dataclass(slots=True, kw_only=True)
class FrameCache:
    """Cached inspections, and the new ones of this run."""

    recall: Recall = _nothing
    watcher: FramesWatcher | None = None
    now_ns: Callable[[], int] = time.time_ns
    _recalled: dict[str, CachedFrame] = field(default_factory=dict)
    _begun: dict[Path, tuple[int, FileState]] = field(default_factory=dict)
    _fresh: dict[Path, _Fresh] = field(default_factory=dict)

    def expect(self, paths: Iterable[Path]) -> None:
        """Load the entries of these files, all at once."""
        texts = [text for path in paths if _can_be_kept(text := str(path))]
        self._recalled = dict(self.recall(texts)) if texts else {}

    def get(self, path: Path, *, max_bytes: int) -> KnownFrame | None:
        """Return the entry of the unchanged file; None: it must be inspected.

        Raises ``OSError``.
        """
        began_ns, file = self.now_ns(), _state_of(path)
        seen = self._recalled.get(str(path))
        if seen is not None and seen.inspector_version == INSPECTOR_VERSION and seen.file == file:
            known = _known_frame(seen)
            # A file that is too large now is read again, so that the usual message refuses it.
            if known is not None and known.facts.bytes <= max_bytes:
                return known
        self._begun[path] = began_ns, file
        return None

    def note(self, path: Path, facts: FrameFacts, decoding: Future[Appearance]) -> None:
        """Record an inspection of a frame that was not cached."""
        began_ns, file = self._begun.pop(path)
        self._fresh[path] = _Fresh(began_ns=began_ns, file=file, facts=facts, decoding=decoding)
        if self.watcher is not None:
            watcher = self.watcher
            watcher.begun()
            decoding.add_done_callback(lambda _: watcher.looked_at())

    def new(self) -> list[CachedFrame]:
        """Return the entries of finished inspections, to be stored."""
        entries = []
        for path, fresh in self._fresh.items():
            changed_ns = max(fresh.file.mtime_ns, fresh.file.ctime_ns)
            if changed_ns + TICK_NS > fresh.began_ns or not _can_be_kept(str(path)):
                continue
            with suppress(UnreadableFrame, OSError):
                appearance = fresh.decoding.result()
                if _state_of(path) == fresh.file:
                    entries.append(_entry(path, fresh, appearance))
        return entries


def _state_of(path: Path) -> FileState:
    status = path.stat()
    return FileState(
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        # Programs can set mtime back, but not ctime.
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )


def _can_be_kept(path: str) -> bool:
    try:
        return len(path.encode()) <= MOST_PATH_BYTES
    except UnicodeEncodeError:  # a name that isn't text
        return False


def _entry(path: Path, fresh: _Fresh, appearance: Appearance) -> CachedFrame:
    facts = _plain(fresh.facts)
    sha256 = facts.pop("sha256")
    return CachedFrame(
        path=str(path),
        file=fresh.file,
        sha256=sha256,
        facts={**facts, "look": _plain(appearance)},
        inspector_version=INSPECTOR_VERSION,
    )


def _known_frame(seen: CachedFrame) -> KnownFrame | None:
    facts = {**seen.facts, "sha256": seen.sha256}
    appearance = _whole(Appearance, facts.pop("look", {}))
    whole = _whole(FrameFacts, facts)
    return (
        None
        if whole is None or appearance is None
        else KnownFrame(facts=whole, appearance=appearance)
    )


def _plain(value: FrameFacts | Appearance) -> dict[str, Any]:
    """Return the fields as JSON values."""
    values = {each.name: getattr(value, each.name) for each in fields(value)}
    return {
        name: b64encode(part).decode() if isinstance(part, bytes) else part
        for name, part in values.items()
    }


def _whole(kind: type[D], plain: Mapping[str, Any]) -> D | None:
    """Return the object of these fields; None if they belong to another version."""
    kinds = {each.name: each.type for each in fields(kind)}
    if plain.keys() != kinds.keys():
        return None
    whole: dict[str, Any] = {
        name: b64decode(part) if kinds[name] is bytes else part for name, part in plain.items()
    }
    return kind(**whole)
