"""Upload a local frame to fal, free, so that a submission can name its URL."""

import asyncio
from pathlib import Path

from tweenbatch.clock import Clock
from tweenbatch.errors import FrameChanged, UnreadableFrame
from tweenbatch.fal import Fal
from tweenbatch.fal.retrying import reading
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.records import Frame


async def upload(frame: Frame, *, fal: Fal, clock: Clock) -> tuple[str, int]:
    """Upload a local frame and return its URL and its size in bytes.

    The digest is computed from the bytes that are sent. Raises ``FrameChanged`` if the file is
    missing or differs from the plan.
    """
    data, facts = await asyncio.to_thread(_read_unchanged, frame)
    name = f"{facts.sha256[:16]}.{facts.format.lower()}"
    url = await reading(
        lambda: fal.upload(data, content_type=facts.content_type, file_name=name), clock=clock
    )
    return url, len(data)


def _read_unchanged(frame: Frame) -> tuple[bytes, FrameFacts]:
    path = Path(frame.source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FrameChanged(f"can't read a frame any more: {error.strerror} ({path})") from error
    changed = FrameChanged(
        f"a frame has changed since the manifest was read; run the manifest again ({path})"
    )
    try:
        facts = frames.inspect(data, max_bytes=len(data))
    except UnreadableFrame as error:
        raise changed from error
    if facts.sha256 != frame.sha256:
        raise changed
    return data, facts
