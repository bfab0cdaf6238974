"""What the pages of a Parquet file unfold to, from their headers and without unfolding any.

The footer of a file may claim anything; a decoder goes by the header before each page. Both are
structs in Thrift's compact protocol. Arrow's own view of a damaged footer is not asked: it ends the
whole process (pyarrow 26, ``RowGroupMetaData.column``).
"""

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_FOOTER = 5_000_000
"""Bytes; a thousand groups of ten columns have a third of that."""
_TAIL = 8
_ROW_GROUPS, _COLUMNS, _FACTS = 4, 1, 3
_KIND, _PACKED_SIZE, _DATA_START, _WORDS_START = 1, 7, 9, 11
_BYTE_ARRAY = 6

MAX_HEADER = 1_000_000
"""Bytes; the least and the greatest value of the page may stand in it."""
_FIRST_READ = 4_096
_MAX_DEPTH = 8
_LONG = 15
"""Says that the length of a list comes behind."""
_BITS = 63

_DICTIONARY = 2
_DELTA_BYTE_ARRAY = 7
_SIZE, _PACKED = 2, 3
_HEADERS = {0: 5, 2: 7, 3: 8}
"""Where the details are, by the type of the page: data, dictionary, data of version 2."""
_VALUES = 1
_ENCODING = {0: 2, 3: 4}


class Chunk(NamedTuple):
    """The pages of one column in one group of rows, and where they begin and end."""

    start: int
    end: int
    is_text: bool


class Page(NamedTuple):
    """A page before it is unfolded."""

    size: int
    values: int
    is_dictionary: bool
    repeats: bool
    """Whether a value may be the last one again, which takes no room in the page."""


def groups(file: io.BufferedIOBase) -> Iterator[list[Chunk]]:
    """Yield the chunks of each group of rows; raise ``ValueError`` where the footer has none."""
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


def _structs(found: object) -> list[dict[int, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def pages(file: io.BufferedIOBase, chunk: Chunk) -> Iterator[Page]:
    """Yield the pages of a column; raise ``ValueError`` where there is none."""
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
    """Return the fields of a page's header, and how many bytes it has."""
    size = _FIRST_READ
    while True:
        file.seek(start)
        data = file.read(size)
        struct = _Struct(data)
        try:
            return struct.fields(0), struct.place
        except IndexError:
            if len(data) < size or size >= MAX_HEADER:
                raise ValueError(f"the page at byte {start} is cut off") from None
            size *= 16


class _Struct:
    """Reads a struct from bytes; raises ``IndexError`` where they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def fields(self, depth: int) -> dict[int, Any]:
        """Return the whole numbers, the structs and their lists, by the number of the field."""
        if depth > _MAX_DEPTH:
            raise ValueError("a header is nested too deeply")
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._zigzag()
            value = self._value(kind, depth, in_list=False)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        match kind:
            case 1 | 2:  # true and false are their own kind, but for lists
                self.place += in_list
            case 3:
                self.place += 1
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                self.place += 8
            case 8:
                length = self._varint()
                self.place += length
            case 9 | 10:
                head = self._byte()
                count = self._varint() if head >> 4 == _LONG else head >> 4
                values = []
                for _ in range(count):
                    values.append(self._value(head & 15, depth, in_list=True))
                    if self.place > len(self._data):
                        raise IndexError
                return values
            case 12:
                return self.fields(depth + 1)
            case _:
                raise ValueError(f"a header has a field of kind {kind}")
        return None

    def _byte(self) -> int:
        byte = self._data[self.place]
        self.place += 1
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
                raise ValueError("a header has a number beyond all bounds")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
