"""Sizes of the pages of a Parquet file, read from page headers without unpacking a page.

A footer may claim any size, but a decoder uses the header of each page. Both are structs in
Thrift's compact protocol. Arrow must not read a damaged footer: it ends the whole process (pyarrow
26, ``RowGroupMetaData.column``).
"""

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_FOOTER = 5_000_000
"""Bytes; a thousand groups of ten columns take a third of that."""
_TAIL = 8
_ROW_GROUPS, _COLUMNS, _FACTS = 4, 1, 3
_KIND, _PACKED_SIZE, _DATA_START, _WORDS_START = 1, 7, 9, 11
_BYTE_ARRAY = 6

MAX_HEADER = 1_000_000
"""Bytes; a header may contain the smallest and the largest value of the page."""
_FIRST_READ = 4_096
_MAX_DEPTH = 8
_LONG = 15
"""Marks a list whose length follows."""
_BITS = 63

_DICTIONARY = 2
_DELTA_BYTE_ARRAY = 7
_SIZE, _PACKED = 2, 3
_HEADERS = {0: 5, 2: 7, 3: 8}
"""Field number of the details, by page type: data, dictionary, data of version 2."""
_VALUES = 1
_ENCODING = {0: 2, 3: 4}


class Chunk(NamedTuple):
    """The pages of one column in one group of rows, and their offsets in the file."""

    start: int
    end: int
    is_text: bool


class Page(NamedTuple):
    """A page before unpacking."""

    size: int
    values: int
    is_dictionary: bool
    repeats: bool
    """Whether a value may repeat the one before, which takes no bytes in the page."""


def groups(file: io.BufferedIOBase) -> Iterator[list[Chunk]]:
    """Yield the chunks of each group of rows; raise ``ValueError`` if the footer is invalid."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL))
    length = int.from_bytes(file.read(4), "little")
    if length > min(size - _TAIL, MAX_FOOTER):
        raise ValueError(f"its footer has {length:,} bytes; at most {MAX_FOOTER:,} are read")
    file.seek(size - _TAIL - length)
    try:
        footer = _Struct(file.read(length)).fields(0)
    except IndexError:
        raise ValueError("its footer is cut off") from None
    for group in _structs(footer.get(_ROW_GROUPS)):
        yield [_chunk(column.get(_FACTS)) for column in _structs(group.get(_COLUMNS))]


def _chunk(facts: object) -> Chunk:
    if not isinstance(facts, dict):
        raise ValueError("its footer lacks a column")  # noqa: TRY004 - a fault of the file
    start, words = facts.get(_DATA_START, 0), facts.get(_WORDS_START)
    if words is not None and 0 < words < start:
        start = words
    end = start + facts.get(_PACKED_SIZE, 0)
    return Chunk(start=start, end=end, is_text=facts.get(_KIND) == _BYTE_ARRAY)


def _structs(value: object) -> list[dict[int, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def pages(file: io.BufferedIOBase, chunk: Chunk) -> Iterator[Page]:
    """Yield the pages of a column; raise ``ValueError`` if a page is invalid."""
    start, end = chunk.start, chunk.end
    while start < end:
        header, length = _header(file, start)
        kind = header.get(1, 0)
        details = header.get(_HEADERS.get(kind, 0), {})
        packed, size = header.get(_PACKED, -1), header.get(_SIZE, -1)
        if not isinstance(details, dict) or packed < 0 or size < 0:
            raise ValueError(f"no page begins at byte {start}")
        yield Page(
            size=size,
            values=max(0, details.get(_VALUES, 0)),
            is_dictionary=kind == _DICTIONARY,
            repeats=details.get(_ENCODING.get(kind, 0)) == _DELTA_BYTE_ARRAY,
        )
        start += length + packed


def _header(file: io.BufferedIOBase, start: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a page's header, and its length in bytes."""
    size = _FIRST_READ
    while True:
        file.seek(start)
        data = file.read(size)
        struct = _Struct(data)
        try:
            return struct.fields(0), struct.position
        except IndexError:
            if len(data) < size or size >= MAX_HEADER:
                raise ValueError(f"the page at byte {start} is cut off") from None
            size *= 16


class _Struct:
    """Reads a struct from bytes; raises ``IndexError`` where they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def fields(self, depth: int) -> dict[int, Any]:
        """Return the whole numbers, the structs and their lists, by the number of the field."""
        if depth > _MAX_DEPTH:
            raise ValueError("a header is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._zigzag()
            value = self._value(kind, depth, in_list=False)
            if value is not None:
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        match kind:
            case 1 | 2:  # true and false are types of their own, except in lists
                self.position += in_list
            case 3:
                self.position += 1
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                self.position += 8
            case 8:
                length = self._varint()
                self.position += length
            case 9 | 10:
                head = self._byte()
                count = self._varint() if head >> 4 == _LONG else head >> 4
                values = []
                for _ in range(count):
                    values.append(self._value(head & 15, depth, in_list=True))
                    if self.position > len(self._data):
                        raise IndexError
                return values
            case 12:
                return self.fields(depth + 1)
            case _:
                raise ValueError(f"a header has a field of kind {kind}")
        return None

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value
            if shift > _BITS:
                raise ValueError("a header has too long a number")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
