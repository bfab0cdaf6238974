"""Frames that were looked at before: what was found holds for as long as the file is the same.

It tells whether a file is the same by its state alone, without reading it. A file that was
changed a moment before it was looked at is not remembered: a second change within one tick of
the file system's clock would not show. It refuses to know where memories are kept. Nothing is
paid on its word: before a frame is uploaded, the digest of its bytes is taken again.
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
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.frames.look import Look
from tweenbatch.records import CachedFrame, FileState

D = TypeVar("D", FrameFacts, Look)

INSPECTOR_VERSION = 1
"""The way in which frames are looked at: another number makes all older memories void."""

TICK_NS = 2_000_000_000
"""A file that was touched so shortly before the look may change again unseen."""

MOST_PATH_BYTES = 2_000
"""PostgreSQL takes no longer text into an index."""

Recall = Callable[[Iterable[str]], Mapping[str, CachedFrame]]


class FramesWatcher(Protocol):
    """Is told of frames that are really looked at."""

    def begun(self) -> None:
        """Count a frame that is being looked at."""

    def looked_at(self) -> None:
        """Count one that has been; called from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFrame:
    """What a look at a frame found."""

    facts: FrameFacts
    look: Look


@dataclass(slots=True, kw_only=True)
class _Fresh:
    """A look that was begun, and when and at what."""

    began_ns: int
    file: FileState
    facts: FrameFacts
    looking: Future[Look]


def _nothing(_paths: Iterable[str]) -> Mapping[str, CachedFrame]:
    return {}


@dataclass(slots=True, kw_only=True)
class FrameCache:
    """What is known of frames, and what was found out since."""

    recall: Recall = _nothing
    watcher: FramesWatcher | None = None
    now_ns: Callable[[], int] = time.time_ns
    _recalled: dict[str, CachedFrame] = field(default_factory=dict)
    _begun: dict[Path, tuple[int, FileState]] = field(default_factory=dict)
    _fresh: dict[Path, _Fresh] = field(default_factory=dict)

    def expect(self, paths: Iterable[Path]) -> None:
        """Recall what is remembered of these files, all at once."""
        wanted = [text for path in paths if _can_be_kept(text := str(path))]
        self._recalled = dict(self.recall(wanted)) if wanted else {}

    def known(self, path: Path, *, max_bytes: int) -> KnownFrame | None:
        """Return what was found in this very file; None: it has to be looked at.

        Raises ``OSError``.
        """
        began_ns, file = self.now_ns(), _state_of(path)
        seen = self._recalled.get(str(path))
        if seen is not None and seen.inspector_version == INSPECTOR_VERSION and seen.file == file:
            known = _known(seen)
            # One that is too large now is read once more, to be refused in the usual words.
            if known is not None and known.facts.bytes <= max_bytes:
                return known
        self._begun[path] = began_ns, file
        return None

    def note(self, path: Path, facts: FrameFacts, looking: Future[Look]) -> None:
        """Take note of a look that was begun because nothing was known."""
        began_ns, file = self._begun.pop(path)
        self._fresh[path] = _Fresh(began_ns=began_ns, file=file, facts=facts, looking=looking)
        if self.watcher is not None:
            watcher = self.watcher
            watcher.begun()
            looking.add_done_callback(lambda _: watcher.looked_at())

    def new(self) -> list[CachedFrame]:
        """Return what is to be remembered of the looks that came to an end."""
        found = []
        for path, fresh in self._fresh.items():
            changed_ns = max(fresh.file.mtime_ns, fresh.file.ctime_ns)
            if changed_ns + TICK_NS > fresh.began_ns or not _can_be_kept(str(path)):
                continue
            with suppress(UnreadableFrame, OSError):
                look = fresh.looking.result()
                if _state_of(path) == fresh.file:
                    found.append(_seen(path, fresh, look))
        return found


def _state_of(path: Path) -> FileState:
    status = path.stat()
    return FileState(
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        # A program can set the time of the last change back, but not this one.
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )


def _can_be_kept(path: str) -> bool:
    try:
        return len(path.encode()) <= MOST_PATH_BYTES
    except UnicodeEncodeError:  # a name that is no text
        return False


def _seen(path: Path, fresh: _Fresh, look: Look) -> CachedFrame:
    facts = _plain(fresh.facts)
    sha256 = facts.pop("sha256")
    return CachedFrame(
        path=str(path),
        file=fresh.file,
        sha256=sha256,
        facts={**facts, "look": _plain(look)},
        inspector_version=INSPECTOR_VERSION,
    )


def _known(seen: CachedFrame) -> KnownFrame | None:
    facts = {**seen.facts, "sha256": seen.sha256}
    look = _whole(Look, facts.pop("look", {}))
    whole = _whole(FrameFacts, facts)
    return None if whole is None or look is None else KnownFrame(facts=whole, look=look)


def _plain(value: FrameFacts | Look) -> dict[str, Any]:
    """Return the fields as JSON can hold them."""
    found = {each.name: getattr(value, each.name) for each in fields(value)}
    return {
        name: b64encode(part).decode() if isinstance(part, bytes) else part
        for name, part in found.items()
    }


def _whole(kind: type[D], plain: Mapping[str, Any]) -> D | None:
    """Return what the fields make; None where they are those of another version."""
    kinds = {each.name: each.type for each in fields(kind)}
    if plain.keys() != kinds.keys():
        return None
    whole: dict[str, Any] = {
        name: b64decode(part) if kinds[name] is bytes else part for name, part in plain.items()
    }
    return kind(**whole)
