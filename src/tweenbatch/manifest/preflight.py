"""Warnings of a manifest, collected while rows are read and reported with their rows.

Threads decode each image once while reading continues. Four numbers are kept for a row with a
local frame, nothing for other rows.
"""

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import eq
from pathlib import Path
from typing import Self, TypeVar

from tweenbatch.errors import Problem, UnreadableFrame
from tweenbatch.frames.appearance import AT_ONCE, Appearance, appearance_of
from tweenbatch.frames.inspect import MAX_BYTES, FrameFacts
from tweenbatch.frames.warnings import (
    InspectedFrame,
    WarningKind,
    expiring,
    may_expire,
    of_frame,
    of_pair,
    same_frame,
)
from tweenbatch.manifest.near_duplicates import NearDuplicates
from tweenbatch.records.manifest import ContentColumns

T = TypeVar("T", bound=Hashable)

_NONE = -1
_COLUMNS = ("start_image", "end_image")


@dataclass(frozen=True, slots=True)
class _RowFrames:
    """A row and its frames, by their numbers in ``Preflight``."""

    number: int
    line: int | None
    start: int
    end: int


@dataclass(slots=True)
class _Warnings:
    """The warnings of a frame or pair, the first row with it and the number of such rows."""

    messages: Sequence[tuple[WarningKind, str]]
    first: _RowFrames
    column: str
    rows: int = 0

    def problems(self) -> Iterator[Problem]:
        """Yield problems of the first row, with the number of further rows."""
        more = self.rows - 1
        also = f" (and {more:,} more row{'s' if more > 1 else ''})" if more else ""
        for kind, message in self.messages:
            yield Problem(
                message=f"{message}{also}",
                kind=kind,
                row=self.first.number,
                line=self.first.line,
                column=self.column,
            )


@dataclass(slots=True, kw_only=True)
class Preflight:
    """Collects frames and rows; a context manager that ends its threads on exit."""

    fitted: bool = False
    """Whether frames are fitted: then nothing is reported that fitting corrects."""
    max_url_bytes: int | None = None
    """Probe every https URL for an image of at most this size; None: probe none."""
    _numbers: dict[str, int] = field(default_factory=dict)
    _frames: dict[int, tuple[str, FrameFacts, Future[Appearance]]] = field(default_factory=dict)
    _urls: dict[str, int] = field(default_factory=dict)
    _at_both_ends: _Warnings | None = None
    """The first URL that is both start and end, with the number of such rows."""
    _expiring: _Warnings | None = None
    """The first URL that expires, with the number of such cells."""
    _rows: "array[int]" = field(default_factory=lambda: array("l"))
    _duplicates: NearDuplicates = field(default_factory=NearDuplicates)
    _pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def decode(
        self,
        text: str,
        path: Path,
        facts: FrameFacts,
        *,
        max_bytes: int = MAX_BYTES,
        known: Appearance | None = None,
    ) -> Future[Appearance]:
        """Decode a local frame in a thread, unless its ``Appearance`` is known."""
        decoding: Future[Appearance] = Future()
        if known is not None:
            decoding.set_result(known)
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="preflight")
            decoding = self._pool.submit(appearance_of, path, max_bytes=max_bytes)
        number = self._numbers.setdefault(text, len(self._numbers))
        self._frames[number] = (text, facts, decoding)
        return decoding

    def note_urls(self, texts: Iterable[str]) -> None:
        """Record the URLs of frames, if they are to be probed."""
        if self.max_url_bytes is not None:
            for text in texts:
                self._urls[text] = self._numbers.setdefault(text, len(self._numbers))

    def note_frames(
        self,
        starts: Sequence[str],
        ends: Sequence[str],
        numbers: Sequence[int],
        lines: Sequence[int | None],
    ) -> None:
        """Record the frames of rows, by the text of their cells."""
        if any(map(eq, starts, ends)):
            for start, end, number, line in zip(starts, ends, numbers, lines, strict=True):
                if start == end and start.startswith("https://"):
                    if self._at_both_ends is None:
                        row = _RowFrames(number, line, _NONE, _NONE)
                        self._at_both_ends = _Warnings([same_frame(start, end)], row, "end_image")
                    self._at_both_ends.rows += 1
        for column, texts in zip(_COLUMNS, (starts, ends), strict=True):
            if may_expire(texts):
                self._note_expiring(column, texts, numbers, lines)
        if not self._numbers:
            return
        for start, end, number, line in zip(starts, ends, numbers, lines, strict=True):
            first, last = self._numbers.get(start, _NONE), self._numbers.get(end, _NONE)
            if first != _NONE or last != _NONE:
                self._rows.extend((number, line or 0, first, last))

    def _note_expiring(
        self,
        column: str,
        texts: Sequence[str],
        numbers: Sequence[int],
        lines: Sequence[int | None],
    ) -> None:
        for text, number, line in zip(texts, numbers, lines, strict=True):
            warning = expiring(text)
            if warning is not None:
                if self._expiring is None:
                    row = _RowFrames(number, line, _NONE, _NONE)
                    self._expiring = _Warnings([warning], row, column)
                self._expiring.rows += 1

    def note_rows(
        self, contents: ContentColumns, numbers: Sequence[int], lines: Sequence[int | None]
    ) -> None:
        """Record the contents of valid rows."""
        self._duplicates.note(contents, numbers, lines)

    def findings(self) -> tuple[list[Problem], list[Problem]]:
        """Wait until all frames are decoded; return problems and warnings."""
        seen: dict[int, InspectedFrame] = {}
        broken: dict[int, str] = {}
        for number, (text, facts, decoding) in self._frames.items():
            try:
                seen[number] = InspectedFrame(text=text, facts=facts, appearance=decoding.result())
            except UnreadableFrame as error:
                broken[number] = f"'{text}' {error}"
            except OSError as error:
                broken[number] = f"'{text}' can't be read ({error.strerror or error})"
        if self._urls and self.max_url_bytes is not None:
            from tweenbatch.frames import urls as probe

            wrong = probe.ask(self._urls, max_bytes=self.max_url_bytes)
            broken |= {self._urls[url]: f"'{url}' {text}" for url, text in wrong.items()}
        return (
            list(self._broken(broken)),
            [
                *self._of_frames(seen),
                *self._of_pairs(seen),
                *(self._at_both_ends.problems() if self._at_both_ends else ()),
                *(self._expiring.problems() if self._expiring else ()),
                *self._duplicates.warnings(),
            ],
        )

    def _row_frames(self) -> Iterator[_RowFrames]:
        numbers = iter(self._rows)
        for number, line, start, end in zip(numbers, numbers, numbers, numbers, strict=True):
            yield _RowFrames(number, line or None, start, end)

    def _broken(self, broken: dict[int, str]) -> Iterator[Problem]:
        if not broken:
            return
        for row in self._row_frames():
            for frame, column in ((row.start, "start_image"), (row.end, "end_image")):
                if frame in broken:
                    yield Problem(
                        message=broken[frame], row=row.number, line=row.line, column=column
                    )

    def _of_frames(self, seen: dict[int, InspectedFrame]) -> Iterator[Problem]:
        """Yield the warnings of each frame, at the first row that names it."""
        if self.fitted:
            return iter(())
        named = (
            (frame, row, column)
            for row in self._row_frames()
            for frame, column in zip(dict.fromkeys((row.start, row.end)), _COLUMNS, strict=False)
            if frame in seen
        )
        return _once(named, lambda frame: of_frame(seen[frame]))

    def _of_pairs(self, seen: dict[int, InspectedFrame]) -> Iterator[Problem]:
        """Yield the warnings of each pair, at the first row that names it."""
        named = (
            ((row.start, row.end), row, "end_image")
            for row in self._row_frames()
            if row.start in seen and row.end in seen
        )
        return _once(
            named, lambda pair: of_pair(*(seen[frame] for frame in pair), fitted=self.fitted)
        )


def _once(
    named: Iterable[tuple[T, _RowFrames, str]],
    warnings_of: Callable[[T], Iterable[tuple[WarningKind, str]]],
) -> Iterator[Problem]:
    """Yield the warnings of each frame or pair once, at the first row that names it."""
    by_item: dict[T, _Warnings | None] = {}
    for item, row, column in named:
        if item not in by_item:
            messages = tuple(warnings_of(item))
            by_item[item] = _Warnings(messages, row, column) if messages else None
        if (warnings := by_item[item]) is not None:
            warnings.rows += 1
    for warnings in filter(None, by_item.values()):
        yield from warnings.problems()
