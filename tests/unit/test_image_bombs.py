"""Small files that would unfold to gigabytes are refused before they do."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

BOMB_MEMORY = 150_000_000
"""Bytes that looking at a bomb may take: every bomb here would unfold to more."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """Return a PNG that announces a size, has these chunks, and no pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rest = chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + rest


def webp(kind: bytes, data: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def animated_webp(side: int) -> bytes:
    """Return an animation of one tiny picture on a canvas of such sides."""
    canvas = b"\x02\0\0\0" + 2 * (side - 1).to_bytes(3, "little")
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP")
    picture_chunk = buffer.getvalue()[12:]
    anim = bytes(6) + 2 * b"\x07\0\0" + b"\x0a\0\0\0" + picture_chunk
    more = b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(anim)) + anim
    body = b"WEBP" + b"VP8X" + struct.pack("<I", len(canvas)) + canvas + more
    return b"RIFF" + struct.pack("<I", len(body)) + body


def deflated(megabytes: int) -> bytes:
    packing = zlib.compressobj(9)
    return b"".join(packing.compress(bytes(1 << 20)) for _ in range(megabytes)) + packing.flush()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(webp(b"VP8X", bytes(4) + 6 * b"\xff"), id="webp canvas"),
        pytest.param(webp(b"VP8L", b"\x2f" + struct.pack("<I", (1 << 28) - 1)), id="lossless webp"),
        pytest.param(animated_webp(16_384), id="animated webp"),
        pytest.param(
            b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65_500, 65_500, 3)
            + bytes([1, 17, 0, 2, 17, 0, 3, 17, 0]) + b"\xff\xd9",
            id="jpeg",
        ),
        pytest.param(png(2**31 - 1, 2**31 - 1), id="png"),
        pytest.param(png(640, 360, chunk(b"zTXt", b"a\0\0" + deflated(512))), id="png text"),
        pytest.param(png(640, 360, chunk(b"iTXt", b"a\0\1\0\0\0" + deflated(512))), id="png itext"),
        pytest.param(png(640, 360, chunk(b"iCCP", b"a\0\0" + deflated(512))), id="png profile"),
        pytest.param(png(640, 360, *200 * [chunk(b"zTXt", b"a\0\0" + deflated(1))]), id="texts"),
        pytest.param(png(640, 360, chunk(b"tEXt", b"a\0")[:4] + b"tEXt"), id="png cut in a text"),
    ],
)  # fmt: skip
def test_an_image_bomb_stays_closed_in_little_memory(tmp_path: Path, data: bytes) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(data)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from PIL import Image, PngImagePlugin, JpegImagePlugin, WebPImagePlugin\n"
        "from tweenbatch.frames.inspect import inspect\n"
        "from tweenbatch.errors import UnreadableFrame\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, 2 * (used + {BOMB_MEMORY},))\n"
        "try:\n"
        "    inspect(Path(sys.argv[1]))\n"
        "except UnreadableFrame as refused:\n"
        "    print('refused:', refused)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(bomb)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("refused:"), run.stderr
    assert run.stdout.count("\n") == 1
