"""Check that an mp4 file is complete, from its boxes and without decoding a picture.

An interrupted transfer often ends without an error, so a clip counts as downloaded only if its own
tables prove that nothing is missing: the boxes fill the file to its last byte, and every sample in
the index (``moov``) is inside the media data (``mdat``). A file without this proof is refused.

Boxes: ISO/IEC 14496-12.
"""

import os
import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tweenbatch.errors import BrokenVideo

_HEADER = 8
_LARGE_HEADER = 16
_SIZE_TO_END = 0
_SIZE_IS_LARGE = 1

# Limits on the work that a hostile file can cause; an hour of video is far below them.
_MAX_INDEX_BYTES = 16 * 1024 * 1024
_MAX_SIBLINGS = 65_536

_PADDING = frozenset({b"free", b"skip", b"wide"})
# Printable ASCII, and the copyright sign, the first character of QuickTime's own types.
_LETTERS = frozenset([*range(0x20, 0x7F), 0xA9])


@dataclass(frozen=True, slots=True)
class _Box:
    """A box: its header begins at ``start``, its content is ``[body, end)``."""

    kind: bytes
    start: int
    body: int
    end: int


def check(path: Path) -> None:
    """Return if the file is a complete mp4.

    Raises:
        BrokenVideo: the file is incomplete, or can't be proven complete; the message does not
            name the file.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise BrokenVideo("the file is empty")
        boxes = _top_level(file, size)
        index = _sole(boxes, b"moov", of="file")
        media = [box for box in boxes if box.kind == b"mdat"]
        if not media:
            raise BrokenVideo("the file has an index (moov) but no media data (mdat)")
        moov = _index(file, index)
        # The index is read from a copy, so offsets in it start at its content.
        inside = list(_siblings(moov, _Box(b"moov", 0, 0, len(moov))))
        if any(box.kind == b"mvex" for box in inside):
            _check_fragment_index(file, boxes[-1])
            return
    samples = sum(_check_track(moov, box, media) for box in inside if box.kind == b"trak")
    if samples == 0:
        raise BrokenVideo("the index (moov) lists no samples")


def _top_level(file: BinaryIO, size: int) -> list[_Box]:
    """Return the boxes that fill the file; ``ftyp`` must be the first."""
    boxes: list[_Box] = []
    position = 0
    has_ftyp = False
    while position < size:
        file.seek(position)
        head = file.read(_LARGE_HEADER)
        if not has_ftyp and head[4:8] not in _PADDING | {b"ftyp"}:
            raise BrokenVideo(f"the file begins with {head!r}: it isn't an mp4")
        box = _parse(head, position, size)
        has_ftyp = has_ftyp or box.kind == b"ftyp"
        boxes.append(box)
        if len(boxes) > _MAX_SIBLINGS:
            raise BrokenVideo(f"the file has more than {_MAX_SIBLINGS} boxes")
        position = box.end
    return boxes


def _siblings(data: bytes, parent: _Box) -> Iterator[_Box]:
    """Yield the boxes that fill ``parent`` to its last byte."""
    position = parent.body
    for _ in range(_MAX_SIBLINGS):
        if position == parent.end:
            return
        box = _parse(
            data[position : min(position + _LARGE_HEADER, parent.end)], position, parent.end
        )
        yield box
        position = box.end
    raise BrokenVideo(f"the box {_name(parent)} has more than {_MAX_SIBLINGS} boxes")


def _parse(head: bytes, start: int, limit: int) -> _Box:
    """Return the box whose first bytes are ``head``; it must end at ``limit`` or before."""
    left = limit - start
    if len(head) < _HEADER:
        raise BrokenVideo(f"the last {left} bytes, at offset {start}, aren't a box")
    size, kind = struct.unpack_from(">I4s", head)
    body = start + _HEADER
    if not _LETTERS.issuperset(kind):
        raise BrokenVideo(f"{kind!r} at offset {start} isn't a box type")
    if size == _SIZE_IS_LARGE:
        if len(head) < _LARGE_HEADER:
            raise BrokenVideo(f"the header of the box at offset {start} is cut")
        (size,) = struct.unpack_from(">Q", head, _HEADER)
        body = start + _LARGE_HEADER
    elif size == _SIZE_TO_END:
        # Only samples can prove that such a box is complete, and only mdat has samples.
        if kind != b"mdat":
            raise BrokenVideo(f"the box at offset {start} has no length")
        size = left
    box = _Box(kind, start, body, start + size)
    if box.end < body:
        raise BrokenVideo(f"the box {_name(box)} is shorter than its own header")
    if box.end > limit:
        raise BrokenVideo(f"the box {_name(box)} is cut: it has {left} of its {size} bytes")
    return box


def _name(box: _Box) -> str:
    return f"{box.kind.decode('latin-1')} at offset {box.start}"


def _sole(boxes: list[_Box], kind: bytes, *, of: str) -> _Box:
    """Return the only box of this kind."""
    matches = [box for box in boxes if box.kind == kind]
    if len(matches) != 1:
        raise BrokenVideo(f"the {of} has {len(matches)} {kind.decode()} boxes; expected 1")
    return matches[0]


def _index(file: BinaryIO, box: _Box) -> bytes:
    length = box.end - box.body
    if length > _MAX_INDEX_BYTES:
        raise BrokenVideo(f"the index (moov) is {length} bytes long, far more than a clip needs")
    file.seek(box.body)
    data = file.read(length)
    if len(data) != length:
        raise BrokenVideo("the file became shorter while it was read")
    return data


def _check_fragment_index(file: BinaryIO, last: _Box) -> None:
    """Refuse a fragmented file that does not end with an index of its fragments (``mfra``).

    Without it, a file truncated between two fragments looks like a complete, shorter one.
    """
    file.seek(max(last.body, last.end - 16))
    size, kind, _, total = struct.unpack(">I4sII", file.read(16).ljust(16, b"\0"))
    if (last.kind, size, kind, total) != (b"mfra", 16, b"mfro", last.end - last.start):
        raise BrokenVideo("the file is fragmented and has no index of its fragments at its end")


def _check_track(moov: bytes, track: _Box, media: list[_Box]) -> int:
    """Return the number of the track's samples; all of them must be inside ``media``."""
    table = track
    for kind in (b"mdia", b"minf", b"stbl"):
        table = _sole(list(_siblings(moov, table)), kind, of=f"box {_name(table)}")
    inside = list(_siblings(moov, table))
    sizes = _sample_sizes(moov, _sole(inside, b"stsz", of="sample table"))
    runs = _chunk_runs(moov, _sole(inside, b"stsc", of="sample table"))
    wide = any(box.kind == b"co64" for box in inside)
    offsets = _chunk_offsets(moov, _sole(inside, b"co64" if wide else b"stco", of="sample table"))
    starts = [box.body for box in media]
    samples = chunk = 0
    for number, (first, each) in enumerate(runs):
        after = runs[number + 1][0] if number + 1 < len(runs) else len(offsets) + 1
        if first != chunk + 1 or not first < after <= len(offsets) + 1:
            raise BrokenVideo("the chunks of the sample table are out of order")
        for chunk in range(first, after):
            begin = offsets[chunk - 1]
            end = begin + sizes.total(samples, each)
            samples += each
            box = media[max(bisect_right(starts, begin) - 1, 0)]
            if end > begin and not box.body <= begin < end <= box.end:
                raise BrokenVideo(
                    f"samples at offsets {begin} to {end} are outside the media data (mdat)"
                )
    if samples != sizes.count:
        raise BrokenVideo(
            f"the sample table lists {sizes.count} samples, but has chunks for {samples}"
        )
    return samples


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The sizes of ``count`` samples: ``each`` bytes, or ``listed`` if ``each`` is 0."""

    count: int
    each: int
    listed: "array[int]"

    def total(self, first: int, count: int) -> int:
        """Return the bytes of ``count`` samples from number ``first`` (from 0)."""
        return self.each * count if self.each else sum(self.listed[first : first + count])


def _sample_sizes(moov: bytes, box: _Box) -> _Sizes:
    each, count = _fields(moov, box, ">4xII")
    listed = _numbers(moov, box, code="I", skip=12, count=0 if each else count)
    return _Sizes(count, each, listed)


def _chunk_offsets(moov: bytes, box: _Box) -> "array[int]":
    (count,) = _fields(moov, box, ">4xI")
    return _numbers(moov, box, code="Q" if box.kind == b"co64" else "I", skip=8, count=count)


def _chunk_runs(moov: bytes, box: _Box) -> list[tuple[int, int]]:
    """Return ``(first chunk, samples per chunk)`` of each run; a run ends before the next one."""
    (count,) = _fields(moov, box, ">4xI")
    numbers = _numbers(moov, box, code="I", skip=8, count=3 * count)
    return list(zip(numbers[0::3], numbers[1::3], strict=True))


def _fields(moov: bytes, box: _Box, form: str) -> tuple[int, ...]:
    if box.end - box.body < struct.calcsize(form):
        raise BrokenVideo(f"the box {_name(box)} is too short")
    return struct.unpack_from(form, moov, box.body)


def _numbers(moov: bytes, box: _Box, *, code: str, skip: int, count: int) -> "array[int]":
    """Return the table that follows ``skip`` bytes of the box and fills it."""
    numbers = array(code)
    # Checked before allocation, because a file may claim any count.
    if box.end - box.body != skip + count * numbers.itemsize:
        raise BrokenVideo(f"the size of the table {_name(box)} does not match its {count} entries")
    numbers.frombytes(moov[box.body + skip : box.end])
    if sys.byteorder == "little":  # pragma: no branch
        numbers.byteswap()
    return numbers
