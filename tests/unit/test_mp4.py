"""The box walk: a whole mp4 passes, anything that could be a piece of one does not."""

import io
import os
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PosixPath

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.clips import mp4
from tweenbatch.errors import BrokenVideo

LAYOUTS = {
    "index first": "faststart",
    "index last": "",
    "fragmented": "frag_keyframe",
    "fragmented, empty index": "frag_keyframe+empty_moov",
}

Check = Callable[[bytes], None]


def encode(path: Path, movflags: str) -> bytes:
    """Write 12 pictures and half a second of sound; return the file's bytes."""
    noise = np.random.default_rng(1)
    options = {"movflags": movflags} if movflags else {}
    with av.open(path, "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=24, options={"crf": "40", "g": "4"})
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=44_100, layout="stereo")
        for _ in range(12):
            pixels = noise.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        for number in range(22):
            silence = np.zeros((2, 1024), dtype=np.float32)
            sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
            sound.sample_rate = 44_100
            sound.pts = number * 1024
            container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path.read_bytes()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return {layout: encode(path, movflags) for layout, movflags in LAYOUTS.items()}


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    path = tmp_path_factory.mktemp("check") / "file.mp4"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        mp4.check(path)

    return check


def box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def large_box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + sum(map(len, content))) + b"".join(content)


def table(kind: bytes, *numbers: int, width: str = "I") -> bytes:
    """Return a box of version and flags, the first number as its count, and the others."""
    return box(kind, struct.pack(f">II{len(numbers) - 1}{width}", 0, *numbers))


def stsz(*sizes: int) -> bytes:
    return box(b"stsz", struct.pack(f">III{len(sizes)}I", 0, 0, len(sizes), *sizes))


def moov(*tables: bytes) -> bytes:
    stbl = box(b"stbl", *tables)
    return box(b"moov", box(b"trak", box(b"mdia", box(b"minf", stbl))))


FTYP = box(b"ftyp", b"isom\0\0\0\0isom")
MDAT = box(b"mdat", b"x" * 100)
DATA = len(FTYP) + 8
"""Where the 100 bytes of MDAT begin in a file in which it follows FTYP."""
STSC = table(b"stsc", 1, 1, 2, 1)
"""Every chunk has two samples."""


def test_the_smallest_whole_file_is_accepted(check: Check) -> None:
    check(FTYP + MDAT + moov(stsz(50, 50), STSC, table(b"stco", 1, DATA)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_clip_is_accepted(check: Check, clips: dict[str, bytes], layout: str) -> None:
    check(clips[layout])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clip_cut_at_any_byte_is_refused(
    tmp_path: Path, clips: dict[str, bytes], layout: str
) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clips[layout])
    accepted = []
    offsets = range(len(clips[layout]) - 1, -1, -1)
    for offset in offsets:
        os.truncate(path, offset)
        try:
            mp4.check(path)
        except BrokenVideo:
            continue
        accepted.append(offset)
    assert accepted == []
    assert len(offsets) >= 2_000


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clip_with_bytes_missing_from_its_middle_is_refused(
    check: Check, clips: dict[str, bytes], layout: str
) -> None:
    data = clips[layout]
    for start in range(0, len(data), 101):
        for length in (1, 64):
            with pytest.raises(BrokenVideo):
                check(data[:start] + data[start + length :])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "the file is empty", id="nothing"),
        pytest.param(b"<!DOCTYPE html><html></html>", "<!DOCTYPE html>", id="html"),
        pytest.param(b'{"detail": "not found"}', "it isn't an mp4", id="json"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(500), "it isn't an mp4", id="png"),
        pytest.param(bytes(2_000), "it isn't an mp4", id="zeros"),
        pytest.param(b"\0\0\0", "it isn't an mp4", id="three bytes"),
        pytest.param(MDAT + FTYP, "it isn't an mp4", id="type not first"),
        pytest.param(FTYP, "0 moov boxes", id="type only"),
        pytest.param(FTYP + MDAT, "0 moov boxes", id="no index"),
        pytest.param(FTYP + moov(), "no media data", id="no media"),
        pytest.param(FTYP + MDAT + box(b"moov"), "no samples", id="no track"),
        pytest.param(FTYP + MDAT + moov(), "0 stsz boxes", id="no tables"),
    ],
)
def test_what_is_no_clip_is_refused_with_the_reason(check: Check, data: bytes, reason: str) -> None:
    with pytest.raises(BrokenVideo, match=reason):
        check(data)


@pytest.mark.parametrize(
    "garbage",
    [
        b"x",
        b"\n",
        bytes(8),
        bytes(1_000),
        b"<html>not found</html>",
        bytes(range(255, 0, -1)),
        box(b"\1\2\3\4", b"5678"),
    ],
    ids=["a byte", "a line end", "8 zeros", "1000 zeros", "html", "noise", "an unnamed box"],
)
def test_garbage_behind_a_whole_clip_is_refused(
    check: Check, clips: dict[str, bytes], garbage: bytes
) -> None:
    for data in clips.values():
        with pytest.raises(BrokenVideo):
            check(data + garbage)


def test_an_error_does_not_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "secret-name.mp4"
    path.write_bytes(FTYP)
    with pytest.raises(BrokenVideo) as caught:
        mp4.check(path)
    assert "secret-name" not in str(caught.value)


def test_a_missing_file_is_not_called_broken(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mp4.check(tmp_path / "absent.mp4")


class CutWhileRead(io.FileIO):
    """A file that loses its last byte when more than a header is read from it."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > 1000:
            self.truncate(os.fstat(self.fileno()).st_size - 1)
        return super().read(size)


class CutPath(PosixPath):
    """The path of such a file."""

    def open(self, *_: object, **__: object) -> CutWhileRead:  # type: ignore[override]
        return CutWhileRead(self, "r+")


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(FTYP + MDAT + moov(box(b"free", bytes(1_000_000))))
    with pytest.raises(BrokenVideo, match="became shorter"):
        mp4.check(CutPath(path))


def test_padding_may_come_before_the_type(check: Check) -> None:
    start = box(b"free", b"1234") + FTYP
    check(start + MDAT + moov(stsz(50, 50), STSC, table(b"stco", 1, len(start) + 8)))


def test_boxes_with_64_bit_sizes_and_offsets_are_accepted_and_refused_when_cut(
    check: Check,
) -> None:
    index = moov(stsz(50, 50), STSC, table(b"co64", 1, len(FTYP) + 16, width="Q"))
    data = FTYP + large_box(b"mdat", b"x" * 100) + large_box(b"moov", index[8:])
    check(data)
    for offset in range(len(data)):
        with pytest.raises(BrokenVideo):
            check(data[:offset])


def test_media_data_without_a_length_must_hold_every_sample(check: Check) -> None:
    def index(offset: int) -> bytes:
        return moov(stsz(50, 50), STSC, table(b"stco", 1, offset))

    start = FTYP + index(len(FTYP) + len(index(0)) + 8)
    endless = struct.pack(">I4s", 0, b"mdat") + b"x" * 100
    check(start + endless)
    for missing in range(1, 101):
        with pytest.raises(BrokenVideo, match="are outside"):
            check(start + endless[:-missing])


@pytest.mark.parametrize("kind", [b"free", b"moov", b"mfra"])
def test_no_other_box_may_go_without_a_length(check: Check, kind: bytes) -> None:
    whole = FTYP + MDAT + moov(stsz(50, 50), STSC, table(b"stco", 1, DATA))
    with pytest.raises(BrokenVideo, match="has no length"):
        check(whole + struct.pack(">I4s", 0, kind))


def test_an_index_that_was_moved_without_its_offsets_is_refused(check: Check) -> None:
    index = moov(stsz(50, 50), STSC, table(b"stco", 1, DATA))
    with pytest.raises(BrokenVideo, match="are outside the media data"):
        check(FTYP + index + MDAT)


@pytest.mark.parametrize("offset", [0, DATA - 1, DATA + 1, DATA + 100, 2**32 - 1])
def test_samples_outside_the_media_data_are_refused(check: Check, offset: int) -> None:
    with pytest.raises(BrokenVideo, match="are outside the media data"):
        check(FTYP + MDAT + moov(stsz(50, 50), STSC, table(b"stco", 1, offset)))


def test_samples_may_be_spread_over_several_media_boxes(check: Check) -> None:
    second = DATA + 100 + 8
    tables = (stsz(50, 50, 99, 1), STSC, table(b"stco", 2, DATA, second))
    check(FTYP + MDAT + MDAT + moov(*tables))
    with pytest.raises(BrokenVideo, match="are outside the media data"):
        check(FTYP + MDAT + moov(*tables))


def test_samples_of_one_size_are_measured_too(check: Check) -> None:
    def sizes(count: int) -> bytes:
        return box(b"stsz", struct.pack(">III", 0, 25, count))

    runs = table(b"stsc", 1, 1, 4, 1)
    check(FTYP + MDAT + moov(sizes(4), runs, table(b"stco", 1, DATA)))
    with pytest.raises(BrokenVideo, match="are outside the media data"):
        check(FTYP + MDAT + moov(sizes(4), runs, table(b"stco", 1, DATA + 1)))


@pytest.mark.parametrize(
    "tables",
    [
        pytest.param((stsz(1), STSC, table(b"stco", 1, DATA)), id="too few samples"),
        pytest.param((stsz(1, 1, 1), STSC, table(b"stco", 1, DATA)), id="too many samples"),
        pytest.param((stsz(1, 1), table(b"stsc", 0), table(b"stco", 1, DATA)), id="no runs"),
        pytest.param((stsz(1, 1), STSC, table(b"stco", 0)), id="no chunks"),
        pytest.param(
            (stsz(1, 1), table(b"stsc", 1, 2, 2, 1), table(b"stco", 2, DATA, DATA)),
            id="first chunk in no run",
        ),
        pytest.param(
            (stsz(1, 1), table(b"stsc", 2, 1, 1, 1, 1, 1, 1), table(b"stco", 2, DATA, DATA)),
            id="runs that do not rise",
        ),
        pytest.param(
            (stsz(1, 1), table(b"stsc", 2, 1, 2, 1, 9, 2, 1), table(b"stco", 1, DATA)),
            id="a run behind the last chunk",
        ),
        pytest.param(
            (stsz(*[1] * 18), table(b"stsc", 2, 1, 2, 1, 9, 2, 1), table(b"stco", 1, DATA)),
            id="a run behind the last chunk, with samples",
        ),
        pytest.param((stsz(1, 1), STSC, table(b"stco", 2, DATA)), id="a count too high"),
        pytest.param((stsz(1, 1), STSC, table(b"stco", 1, DATA, DATA)), id="a count too low"),
        pytest.param((stsz(1, 1), STSC, box(b"stco", b"\0\0")), id="a table without a head"),
        pytest.param((stsz(1, 1), STSC), id="no offsets"),
        pytest.param((stsz(1, 1), STSC, STSC, table(b"stco", 1, DATA)), id="two tables of a kind"),
    ],
)
def test_sample_tables_that_contradict_themselves_are_refused(
    check: Check, tables: tuple[bytes, ...]
) -> None:
    with pytest.raises(BrokenVideo):
        check(FTYP + MDAT + moov(*tables))


@pytest.mark.parametrize("left", range(1, 8))
def test_bytes_between_boxes_of_the_index_are_refused(check: Check, left: int) -> None:
    whole = box(b"free", b"x" * 100)
    with pytest.raises(BrokenVideo, match=f"^the last {left} bytes, at offset 12, aren't a box"):
        check(FTYP + MDAT + box(b"moov", box(b"free", b"1234"), b"\0" * left) + whole)


def test_a_fragmented_clip_without_its_closing_index_is_refused(
    check: Check, clips: dict[str, bytes]
) -> None:
    data = clips["fragmented"]
    (closing,) = struct.unpack(">I", data[-4:])
    with pytest.raises(BrokenVideo, match="fragmented"):
        check(data[:-closing])


@pytest.mark.parametrize("size", [2**60, 2**64 - 1, 0, 15])
def test_an_absurd_64_bit_size_is_refused(check: Check, size: int) -> None:
    with pytest.raises(BrokenVideo, match="is cut" if size > 15 else "shorter than its own header"):
        check(FTYP + struct.pack(">I4sQ", 1, b"mdat", size) + b"x" * 100)


@pytest.mark.parametrize(
    "tables",
    [
        (stsz(1, 1), STSC, table(b"stco", 2**31)),
        (stsz(1, 1), table(b"stsc", 2**31), table(b"stco", 1, DATA)),
        (box(b"stsz", struct.pack(">III", 0, 0, 2**31)), STSC, table(b"stco", 1, DATA)),
        (
            box(b"stsz", struct.pack(">III", 0, 2**31, 2**31)),
            table(b"stsc", 1, 1, 2**31, 1),
            table(b"stco", 1, DATA),
        ),
    ],
    ids=["offsets", "runs", "sizes", "samples of one size"],
)
def test_a_table_that_claims_two_thousand_million_entries_costs_no_memory(
    check: Check, tables: tuple[bytes, ...]
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BrokenVideo):
            check(FTYP + MDAT + moov(*tables))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_an_index_of_absurd_length_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.mp4"
    length = 2**30
    with path.open("wb") as file:
        file.write(FTYP + MDAT + struct.pack(">I4s", length, b"moov"))
        file.truncate(file.tell() - 8 + length)
    tracemalloc.start()
    try:
        with pytest.raises(BrokenVideo, match="far more than a clip needs"):
            mp4.check(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        FTYP + box(b"free") * 70_000,
        FTYP + MDAT + box(b"moov", box(b"free") * 70_000),
    ],
    ids=["in the file", "in the index"],
)
def test_boxes_without_end_are_refused(check: Check, data: bytes) -> None:
    with pytest.raises(BrokenVideo, match="more than 65536 boxes"):
        check(data)


def test_depth_is_bounded_by_the_path_to_the_tables(check: Check) -> None:
    deep = b""
    for _ in range(5_000):
        deep = box(b"trak", deep)
    with pytest.raises(BrokenVideo, match="0 mdia boxes"):
        check(FTYP + MDAT + box(b"moov", deep))


@given(data=st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_broken_video(check: Check, data: bytes) -> None:
    for start in (b"", FTYP, FTYP + MDAT):
        with pytest.raises(BrokenVideo):
            check(start + data)


@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9))
    ),
)
def test_a_mutated_clip_passes_or_raises_broken_video(
    check: Check, clips: dict[str, bytes], layout: str, changes: list[tuple[float, bytes]]
) -> None:
    data = bytearray(clips[layout])
    for where, value in changes:
        start = int(where * len(data))
        data[start : start + len(value)] = value
    with suppress(BrokenVideo):
        check(bytes(data))


@given(
    tables=st.lists(
        st.tuples(
            st.sampled_from([b"stsz", b"stsc", b"stco", b"co64"]),
            st.lists(st.integers(0, 5) | st.integers(0, 2**32 - 1), max_size=12),
        ),
        max_size=5,
    )
)
def test_random_sample_tables_pass_or_raise_broken_video(
    check: Check, tables: list[tuple[bytes, list[int]]]
) -> None:
    made = [box(kind, struct.pack(f">{len(values)}I", *values)) for kind, values in tables]
    with suppress(BrokenVideo):
        check(FTYP + MDAT + moov(*made))
