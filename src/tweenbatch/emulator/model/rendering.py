"""Draw previews in worker processes, so that they never block the server's event loop.

The workers ignore Ctrl-C, which the terminal sends to them too. They end at once when the server
stops or is killed: they read a pipe whose only writing end the server holds.
"""

import asyncio
import hashlib
import io
import multiprocessing
import os
import signal
import threading
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image, ImageDraw

from tweenbatch.files import atomic

PLACEHOLDER_SIZE = (1280, 720)


class FrameNotAnImage(Exception):
    """A frame can't be decoded; the arguments are the field's name and the URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFrame:
    """An input image: the stored file, or a placeholder for an outside URL."""

    field: str
    url: str
    blob: Path | None

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            FrameNotAnImage: the header is valid, but the rest isn't.
        """
        if self.blob is None:
            return placeholder(self.url)
        data = self.blob.read_bytes()
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise FrameNotAnImage(self.field, self.url) from None
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One clip to be rendered into ``folder``."""

    start: PixelFrame
    end: PixelFrame | None
    seconds: float
    width: int
    height: int
    fps: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedClip:
    """A rendered clip, stored under its digest."""

    sha256: str
    size: int


def placeholder(url: str) -> bytes:
    """Return a placeholder PNG for an outside URL, always the same for the same URL."""
    digest = hashlib.sha256(url.encode()).digest()
    width, height = PLACEHOLDER_SIZE
    top, bottom = (64 + digest[0] // 2, 64 + digest[1] // 2, 64 + digest[2] // 2), digest[3:6]
    image = Image.new("RGB", PLACEHOLDER_SIZE)
    draw = ImageDraw.Draw(image)
    for y in range(height):
        share = y / (height - 1)
        colour = tuple(round(a * (1 - share) + b * share) for a, b in zip(top, bottom, strict=True))
        draw.line([(0, y), (width, y)], fill=colour)
    x, y, side = width * digest[6] // 400, height * digest[7] // 400, height // 4
    draw.ellipse([x, y, x + side, y + side], fill=(digest[8], digest[9], digest[10]))
    draw.text((24, 24), url[:120], fill=(255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def draw(drawing: Drawing) -> RenderedClip:
    """Render a clip in this process and store it under its digest."""
    from tweenbatch.emulator.model import preview

    part = drawing.folder / f"{uuid.uuid4().hex}.mp4"
    preview.render(
        start=drawing.start.read(),
        end=None if drawing.end is None else drawing.end.read(),
        seconds=drawing.seconds,
        target=part,
        width=drawing.width,
        height=drawing.height,
        fps=drawing.fps,
    )
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = part.stat().st_size
    atomic.replace(part, drawing.folder / digest)
    return RenderedClip(sha256=digest, size=size)


def _start_worker(lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def die_with_the_server() -> None:
        try:
            lifeline.recv()
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=die_with_the_server, daemon=True).start()


class Studio:
    """The worker processes, started with the first clip."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None
        self._lifelines: tuple[Connection, Connection] | None = None

    async def draw(self, drawing: Drawing) -> RenderedClip:
        """Render a clip in a worker."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._lifelines = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=context,
                initializer=_start_worker,
                initargs=(self._lifelines[0],),
            )
        return await asyncio.get_running_loop().run_in_executor(self._pool, draw, drawing)

    def close(self) -> None:
        """End the workers now, without waiting for unfinished clips."""
        if self._pool is None:
            return
        assert self._lifelines is not None
        self._lifelines[1].close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._lifelines[0].close()
        self._pool = self._lifelines = None
