"""Measure a clip: length, width, height, pictures per second, codec.

PyAV demuxes every packet, because headers lie: half a clip still declares all its pictures. It
neither checks that the file is complete (``mp4`` does, before) nor decodes pictures (``pictures``
does).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tweenbatch.errors import BrokenVideo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

# Without a fixed format, FFmpeg could read a hostile "clip" as a playlist and open the URLs and
# files in it.
_FORMAT = "mov"
# Without it, FFmpeg treats names such as "concat:a|b" and "http:clip.mp4" as URLs.
_FILE = "file:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """Measurements of the video stream; width and height are in pixels."""

    seconds: float
    width: int
    height: int
    frames: int
    fps: float
    codec: str


def probe(path: Path) -> ClipFacts:
    """Return the facts of a clip.

    Raises:
        BrokenVideo: the clip has no valid pictures; the message does not name the file.
        OSError: the file can't be read.
    """
    with opened(path) as container:
        return measure(container)


@contextmanager
def opened(path: Path) -> "Iterator[InputContainer]":
    """Open a clip; raises the same errors as ``probe``, also inside the block."""
    # Imported here because it takes 60 ms, and most commands don't need it.
    import av
    from av.error import FFmpegError

    # Opened only so that an unreadable file raises Python's own error.
    with path.open("rb"):
        try:
            with av.open(
                _FILE + str(path), mode="r", format=_FORMAT, **_reading_titles(av.__version__)
            ) as container:
                yield container
        except FFmpegError as error:
            raise BrokenVideo(f"the clip can't be read: {error.strerror}") from error


def _reading_titles(version: str) -> dict[str, Any]:
    """Return the options of ``av.open`` that accept a title that isn't UTF-8.

    PyAV 19 accepts every title and no longer has the option.
    """
    return {"metadata_errors": "replace"} if version.startswith("18.") else {}


def measure(container: "InputContainer") -> ClipFacts:
    """Return the facts of an opened clip; raises the same errors as ``probe``."""
    stream = main_stream(container)
    time_base = stream.time_base
    begins: list[int] = []
    ends: list[int] = []
    for packet in container.demux(stream):
        # The last packet of demux is empty and marks the end of the file.
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.is_corrupt or packet.pts is None:
            raise BrokenVideo(f"picture {len(begins) + 1} of the clip is damaged")
        begins.append(packet.pts)
        ends.append(packet.pts + (packet.duration or 0))
    if not begins or time_base is None:
        raise BrokenVideo("the clip has no pictures")
    seconds = float((max(ends) - min(begins)) * time_base)
    if seconds <= 0:
        raise BrokenVideo("the clip has no length")
    # PyAV's stubs do not declare that a stream with an unknown codec has None.
    codec = cast("VideoCodecContext | None", stream.codec_context)
    if codec is None or not (codec.width and codec.height):
        raise BrokenVideo("the pictures of the clip have no size or an unknown codec")
    return ClipFacts(
        seconds=seconds,
        width=codec.width,
        height=codec.height,
        frames=len(begins),
        fps=len(begins) / seconds,
        codec=codec.name,
    )


def main_stream(container: "InputContainer") -> "VideoStream":
    """Return the first video stream other than a cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise BrokenVideo("the file has no video stream")
