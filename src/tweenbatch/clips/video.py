"""What a clip shows: its length, its size, its pictures a second.

Read through PyAV by demuxing every packet, because headers lie: a clip of which half is
missing still announces all its pictures. It refuses to know whether the file is whole,
which ``mp4`` decides first, and it decodes no picture, which ``pictures`` does.
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

# Naming the format keeps a hostile "clip" from being read as a playlist, which makes FFmpeg
# open the addresses and the files that it lists.
_FORMAT = "mov"
# Without it, FFmpeg takes names such as "concat:a|b" and "http:clip.mp4" for addresses.
_FILE = "file:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What was measured on the video stream; width and height are in pixels."""

    seconds: float
    width: int
    height: int
    frames: int
    fps: float
    codec: str


def probe(path: Path) -> ClipFacts:
    """Return what the clip shows.

    Raises:
        BrokenVideo: there is nothing to show; the message does not name the file.
        OSError: the file can't be read.
    """
    with opened(path) as container:
        return measure(container)


@contextmanager
def opened(path: Path) -> "Iterator[InputContainer]":
    """Open a clip; raises what ``probe`` does, also for what is read inside of the block."""
    # Imported here: it costs 60 ms that most commands do not need.
    import av
    from av.error import FFmpegError

    # Opened here only so that a file that can't be read raises what Python calls it.
    with path.open("rb"):
        try:
            with av.open(
                _FILE + str(path), mode="r", format=_FORMAT, **_reading_titles(av.__version__)
            ) as container:
                yield container
        except FFmpegError as error:
            raise BrokenVideo(f"the clip can't be read: {error.strerror}") from error


def _reading_titles(version: str) -> dict[str, Any]:
    """Return the options of ``av.open`` with which a title that is not UTF-8 is no error.

    PyAV 19 reads every title, and the option is gone.
    """
    return {"metadata_errors": "replace"} if version.startswith("18.") else {}


def measure(container: "InputContainer") -> ClipFacts:
    """Return what an opened clip shows; raises what ``probe`` does."""
    stream = main_stream(container)
    time_base = stream.time_base
    begins: list[int] = []
    ends: list[int] = []
    for packet in container.demux(stream):
        # The last packet that demux yields is empty and stands for the end of the file.
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
    # PyAV's stubs do not say that a stream of an unknown codec has none.
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
    """Return the first video stream that is not a cover picture."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise BrokenVideo("the file has no video stream")
