"""All that was noticed while rows were read, brought back to the rows that it concerns.

Images are looked into beside the reading, each once. For a row that names a local frame four
numbers are kept, for all others nothing.
"""

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import eq
from pathlib import Path
from typing import Self, TypeVar

from tweenbatch.errors import Problem, UnreadableFrame
from tweenbatch.frames.inspect import MAX_BYTES, FrameFacts
from tweenbatch.frames.look import AT_ONCE, Look, look_into
from tweenbatch.frames.warnings import (
    Seen,
    WarningKind,
    address_ends,
    may_end,
    of_frame,
    of_pair,
    same_frame,
)
from tweenbatch.manifest.near_duplicates import Repeats
from tweenbatch.records.manifest import ContentColumns

T = TypeVar("T", bound=Hashable)

_NONE = -1
_COLUMNS = ("start_image", "end_image")


@dataclass(frozen=True, slots=True)
class _Naming:
    """A row and the frames that it names, by their numbers here."""

    number: int
    line: int | None
    start: int
    end: int


@dataclass(slots=True)
class _Named:
    """What was found where a frame, or a pair, is named first, and in how many rows it is."""

    found: Sequence[tuple[WarningKind, str]]
    first: _Naming
    column: str
    rows: int = 0

    def problems(self) -> Iterator[Problem]:
        """Yield problems of the first row, which tell of the others."""
        more = self.rows - 1
        also = f" (and {more:,} more row{'s' if more > 1 else ''})" if more else ""
        for kind, message in self.found:
            yield Problem(
                message=f"{message}{also}",
                kind=kind,
                row=self.first.number,
                line=self.first.line,
                column=self.column,
            )


@dataclass(slots=True, kw_only=True)
class Preflight:
    """Takes note of frames and rows; to be left once all has been told."""

    fitted: bool = False
    """Whether what is wrong with frames is mended rather than told."""
    asks_urls_for_at_most: int | None = None
    """Ask every https address for an image of so many bytes at most; None: ask nobody."""
    _numbers: dict[str, int] = field(default_factory=dict)
    _frames: dict[int, tuple[str, FrameFacts, Future[Look]]] = field(default_factory=dict)
    _urls: dict[str, int] = field(default_factory=dict)
    _at_both_ends: _Named | None = None
    """An address that is start and end, with all rows that have one."""
    _ending: _Named | None = None
    """An address that ends by itself, with all cells that have one."""
    _rows: "array[int]" = field(default_factory=lambda: array("l"))
    _repeats: Repeats = field(default_factory=Repeats)
    _pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def look_into(
        self,
        text: str,
        path: Path,
        facts: FrameFacts,
        *,
        max_bytes: int = MAX_BYTES,
        known: Look | None = None,
    ) -> Future[Look]:
        """Have a local frame looked into, beside whatever else goes on, unless it is known."""
        looking: Future[Look] = Future()
        if known is not None:
            looking.set_result(known)
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="preflight")
            looking = self._pool.submit(look_into, path, max_bytes=max_bytes)
        number = self._numbers.setdefault(text, len(self._numbers))
        self._frames[number] = (text, facts, looking)
        return looking

    def note_urls(self, texts: Iterable[str]) -> None:
        """Take note of frames at addresses, if those are to be asked."""
        if self.asks_urls_for_at_most is not None:
            for text in texts:
                self._urls[text] = self._numbers.setdefault(text, len(self._numbers))

    def note_frames(
        self,
        starts: Sequence[str],
        ends: Sequence[str],
        numbers: Sequence[int],
        lines: Sequence[int | None],
    ) -> None:
        """Take note of the frames of rows, by the texts that name them."""
        if any(map(eq, starts, ends)):
            for start, end, number, line in zip(starts, ends, numbers, lines, strict=True):
                if start == end and start.startswith("https://"):
                    if self._at_both_ends is None:
                        row = _Naming(number, line, _NONE, _NONE)
                        self._at_both_ends = _Named([same_frame(start, end)], row, "end_image")
                    self._at_both_ends.rows += 1
        for column, texts in zip(_COLUMNS, (starts, ends), strict=True):
            if may_end(texts):
                self._note_ending(column, texts, numbers, lines)
        if not self._numbers:
            return
        for start, end, number, line in zip(starts, ends, numbers, lines, strict=True):
            first, last = self._numbers.get(start, _NONE), self._numbers.get(end, _NONE)
            if first != _NONE or last != _NONE:
                self._rows.extend((number, line or 0, first, last))

    def _note_ending(
        self,
        column: str,
        texts: Sequence[str],
        numbers: Sequence[int],
        lines: Sequence[int | None],
    ) -> None:
        for text, number, line in zip(texts, numbers, lines, strict=True):
            found = address_ends(text)
            if found is not None:
                if self._ending is None:
                    self._ending = _Named([found], _Naming(number, line, _NONE, _NONE), column)
                self._ending.rows += 1

    def note_rows(
        self, asked: ContentColumns, numbers: Sequence[int], lines: Sequence[int | None]
    ) -> None:
        """Take note of what good rows ask for."""
        self._repeats.note(asked, numbers, lines)

    def told(self) -> tuple[list[Problem], list[Problem]]:
        """Return what must and what should be known, once all frames have been looked into."""
        seen: dict[int, Seen] = {}
        broken: dict[int, str] = {}
        for number, (text, facts, looking) in self._frames.items():
            try:
                seen[number] = Seen(text=text, facts=facts, look=looking.result())
            except UnreadableFrame as error:
                broken[number] = f"'{text}' {error}"
            except OSError as error:
                broken[number] = f"'{text}' can't be read ({error.strerror or error})"
        if self._urls and self.asks_urls_for_at_most is not None:
            from tweenbatch.frames import urls as probe

            wrong = probe.ask(self._urls, max_bytes=self.asks_urls_for_at_most)
            broken |= {self._urls[url]: f"'{url}' {text}" for url, text in wrong.items()}
        return (
            list(self._broken(broken)),
            [
                *self._of_frames(seen),
                *self._of_pairs(seen),
                *(self._at_both_ends.problems() if self._at_both_ends else ()),
                *(self._ending.problems() if self._ending else ()),
                *self._repeats.warnings(),
            ],
        )

    def _namings(self) -> Iterator[_Naming]:
        numbers = iter(self._rows)
        for number, line, start, end in zip(numbers, numbers, numbers, numbers, strict=True):
            yield _Naming(number, line or None, start, end)

    def _broken(self, broken: dict[int, str]) -> Iterator[Problem]:
        if not broken:
            return
        for row in self._namings():
            for frame, column in ((row.start, "start_image"), (row.end, "end_image")):
                if frame in broken:
                    yield Problem(
                        message=broken[frame], row=row.number, line=row.line, column=column
                    )

    def _of_frames(self, seen: dict[int, Seen]) -> Iterator[Problem]:
        """Yield the warnings of each frame, at the first row that names it."""
        if self.fitted:
            return iter(())
        named = (
            (frame, row, column)
            for row in self._namings()
            for frame, column in zip(dict.fromkeys((row.start, row.end)), _COLUMNS, strict=False)
            if frame in seen
        )
        return _once(named, lambda frame: of_frame(seen[frame]))

    def _of_pairs(self, seen: dict[int, Seen]) -> Iterator[Problem]:
        """Yield the warnings of each pair, at the first row that names it."""
        named = (
            ((row.start, row.end), row, "end_image")
            for row in self._namings()
            if row.start in seen and row.end in seen
        )
        return _once(
            named, lambda pair: of_pair(*(seen[frame] for frame in pair), fitted=self.fitted)
        )


def _once(
    named: Iterable[tuple[T, _Naming, str]], look: Callable[[T], Iterable[tuple[WarningKind, str]]]
) -> Iterator[Problem]:
    """Yield what is found of each thing that rows name, at the first of them."""
    told: dict[T, _Named | None] = {}
    for thing, row, column in named:
        if thing not in told:
            found = tuple(look(thing))
            told[thing] = _Named(found, row, column) if found else None
        if (place := told[thing]) is not None:
            place.rows += 1
    for place in filter(None, told.values()):
        yield from place.problems()
