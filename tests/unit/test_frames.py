"""What is said about a start or end frame before anything is spent on it."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.inspect import FrameFacts, digest, inspect, problems
from tweenbatch.models import KLING_O1, ImageLimits

LIMITS = ImageLimits(max_bytes=10_000_000, min_side=300, min_aspect=0.40, max_aspect=2.50)


def picture(
    kind: str = "PNG", size: tuple[int, int] = (640, 360), *, orientation: int | None = None
) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    Image.new("RGB", size, "teal").save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that announces a size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def facts(width: int = 640, height: int = 360, size: int = 50_000) -> FrameFacts:
    return FrameFacts(
        sha256="0" * 64,
        bytes=size,
        format="PNG",
        width=width,
        height=height,
        content_type="image/png",
    )


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")],
)
def test_an_image_is_described_the_same_from_bytes_and_from_a_file(
    tmp_path: Path, kind: str, content_type: str
) -> None:
    data = picture(kind)
    path = tmp_path / "frame.with.a.wrong.suffix.gif"
    path.write_bytes(data)
    expected = FrameFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        format=kind,
        width=640,
        height=360,
        content_type=content_type,
    )
    assert inspect(data) == inspect(path) == expected
    assert digest(path) == expected.sha256


def test_a_jpeg_with_a_second_picture_behind_the_first_is_a_jpeg() -> None:
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (640, 360)), Image.new("RGB", (64, 36))
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    found = inspect(buffer.getvalue())
    assert (found.format, found.content_type) == ("JPEG", "image/jpeg")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_sides_are_those_of_the_displayed_image(kind: str, orientation: int) -> None:
    found = inspect(picture(kind, orientation=orientation))
    assert (found.width, found.height) == ((360, 640) if orientation >= 5 else (640, 360))


def test_an_exif_block_that_makes_no_sense_does_not_turn_the_image() -> None:
    data = picture("WEBP", orientation=6).replace(b"MM\0*", b"xxMM")
    assert (inspect(data).width, inspect(data).height) == (640, 360)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    data = picture(kind)

    def load(_: object) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert inspect(data).width == 640


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_000, 10_000), (10_000, 5_001)])
def test_an_image_bomb_is_refused_without_a_warning(size: tuple[int, int]) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(UnreadableFrame, match="at most 50000000 pixels"):
            inspect(png_header(*size))
    assert warned == []


def test_fifty_million_pixels_are_allowed() -> None:
    assert inspect(png_header(10_000, 5_000)).width == 10_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "is empty", id="nothing"),
        pytest.param(b"<html></html>", "is not a PNG, JPEG or WebP image", id="html"),
        pytest.param(b"-----BEGIN OPENSSH PRIVATE KEY-----", "is not a PNG", id="a secret"),
        pytest.param(picture("GIF"), "is not a PNG", id="gif"),
        pytest.param(picture("BMP"), "is not a PNG", id="bmp"),
        pytest.param(picture("TIFF"), "is not a PNG", id="tiff"),
        pytest.param(picture("PNG")[:20], "damaged", id="cut png"),
        pytest.param(picture("JPEG")[:20], "damaged", id="cut jpeg"),
        pytest.param(picture("WEBP")[:20], "damaged", id="cut webp"),
        pytest.param(png_header(0, 5), "damaged", id="no width"),
        pytest.param(png_header(5, 5)[:12], "damaged", id="half a header"),
        pytest.param(bytes(30_000_001), "is 30000001 bytes", id="too many bytes"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFrame, match=reason):
        inspect(data)


def test_a_file_that_is_too_big_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.touch()
    os.truncate(path, 10**12)
    with pytest.raises(UnreadableFrame, match="is 1000000000000 bytes"):
        inspect(path)


def test_a_missing_file_is_not_called_unreadable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "absent.png")


def test_a_folder_or_a_pipe_is_no_frame(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(UnreadableFrame, match="is not a file"):
            inspect(path)


def test_a_reason_does_not_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "secret-name.png"
    path.write_bytes(b"no image")
    with pytest.raises(UnreadableFrame) as caught:
        inspect(path)
    assert "secret-name" not in str(caught.value)


def test_an_image_within_the_limits_has_no_problems() -> None:
    assert problems(inspect(picture()), KLING_O1.image_limits) == []


@pytest.mark.parametrize("size", [(300, 300), (750, 300), (300, 750)])
def test_the_limits_themselves_are_allowed(size: tuple[int, int]) -> None:
    assert problems(facts(*size, size=10_000_000), LIMITS) == []


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            facts(400, 299),
            (
                "is 400\N{MULTIPLICATION SIGN}299 px; the endpoint needs at least 300 px on each"
                " side: use a larger image"
            ),
        ),
        (
            facts(751, 300),
            (
                "is 751\N{MULTIPLICATION SIGN}300 px, an aspect ratio (width / height) of 2.5033;"
                " the endpoint accepts 0.4 to 2.5: crop the image"
            ),
        ),
        (
            facts(300, 751),
            (
                "is 300\N{MULTIPLICATION SIGN}751 px, an aspect ratio (width / height) of 0.39947;"
                " the endpoint accepts 0.4 to 2.5: crop the image"
            ),
        ),
        (
            facts(size=10_000_001),
            (
                "is 10000001 bytes; the endpoint accepts at most 10000000:"
                " save it smaller or with more compression"
            ),
        ),
    ],
)
def test_a_problem_says_what_was_found_what_is_allowed_and_what_to_do(
    found: FrameFacts, message: str
) -> None:
    assert problems(found, LIMITS) == [message]


def test_all_problems_are_reported_at_once() -> None:
    assert len(problems(facts(900, 100, size=20_000_000), LIMITS)) == 3


@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    orientation=st.sampled_from([None, 6]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=6),
    length=st.integers(0, 3_000),
)
def test_a_mutated_image_is_described_or_refused(
    kind: str, orientation: int | None, changes: list[tuple[int, bytes]], length: int
) -> None:
    data = bytearray(picture(kind, (64, 36), orientation=orientation))
    for start, value in changes:
        data[start : start + len(value)] = value
    with suppress(UnreadableFrame):
        inspect(bytes(data[:length]))


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"])
)
def test_random_bytes_are_refused(data: bytes, start: bytes) -> None:
    with suppress(UnreadableFrame):
        inspect(start + data)


def test_the_module_is_imported_without_pillow() -> None:
    code = "import sys, tweenbatch.frames; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert frames.MAX_PIXELS == 50_000_000
