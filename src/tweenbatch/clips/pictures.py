"""Check that a clip's pictures can be decoded: the first, the last and every key picture.

A file may have all its boxes, but only zeros as media data. If this check fails, all pictures are
decoded as a player would, and only that result counts: a paid clip is never refused because of a
shortcut.

The bytes are untrusted and decoders are complex, so only the child process of ``checker`` calls it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweenbatch.clips.video import ClipFacts, main_stream, measure, opened
from tweenbatch.errors import BrokenVideo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

_LENGTH_SIZE_AT = {"h264": 4, "hevc": 21}
"""Offset in a codec's configuration of the size of the length before each unit of a packet."""


def check(path: Path) -> ClipFacts:
    """Return the facts of a clip after decoding its first, last and key pictures.

    Raises:
        BrokenVideo: a picture can't be decoded; the message does not name the file.
        OSError: the file can't be read.
    """
    with opened(path) as container:
        clip = measure(container)
        try:
            _decode_some(container)
        except BrokenVideo:
            pass
        else:
            return clip
    with opened(path) as container:
        decoder = _strict(container)
        _decode(decoder, _packets(container))
        return clip


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture's time, and whether it can be decoded without another picture."""

    pts: int
    is_key: bool


def _decode_some(container: "InputContainer") -> None:
    decoder = _strict(container)
    container.seek(0)
    pictures = _pictures(container, decoder)
    container.seek(0)
    last_key = max(number for number, each in enumerate(pictures) if each.is_key)
    shown_last = max(range(len(pictures)), key=lambda number: pictures[number].pts)

    def last_group(packets: Iterable[tuple[int, "Packet[Any]"]]) -> "Iterator[Packet[Any]]":
        for number, packet in packets:
            # Pictures shown before their key picture may need the group before it.
            if pictures[number].pts >= pictures[last_key].pts:
                needed = number in {shown_last, len(pictures) - 1}
                decoder.skip_frame = "DEFAULT" if needed else "NONREF"
                yield packet

    packets = enumerate(_packets(container))
    for number, packet in packets:
        if number == last_key:
            _decode(decoder, last_group(chain([(number, packet)], packets)))
        elif pictures[number].is_key:
            _decode(decoder, [packet])
            decoder.flush_buffers()


def _pictures(container: "InputContainer", decoder: "VideoCodecContext") -> list[_Picture]:
    """Return all pictures in stored order; raise ``BrokenVideo`` if one is malformed."""
    length_size = _length_size(decoder)
    pictures: list[_Picture] = []
    for packet in _packets(container):
        whole = not length_size or _is_filled_by_units(bytes(packet), length_size)
        if packet.pts is None or not whole:
            raise BrokenVideo(f"picture {len(pictures) + 1} of the clip is damaged")
        pictures.append(_Picture(packet.pts, packet.is_keyframe))
    if not pictures or not pictures[0].is_key:
        raise BrokenVideo("the clip does not begin with a key picture")
    return pictures


def _packets(container: "InputContainer") -> "Iterator[Packet[Any]]":
    demuxed = container.demux(main_stream(container))
    return (packet for packet in demuxed if packet.size and not packet.is_discard)


def _strict(container: "InputContainer") -> "VideoCodecContext":
    """Return a decoder that reports every error and holds one picture in memory at a time."""
    decoder = main_stream(container).codec_context
    decoder.options = {"err_detect": "explode"}
    decoder.thread_count = 1
    return decoder


def _decode(decoder: "VideoCodecContext", packets: "Iterable[Packet[Any]]") -> None:
    """Decode all packets; raise ``BrokenVideo`` if there is no picture or a concealed error."""
    from av.error import FFmpegError

    count = 0
    try:
        for packet in chain(packets, [None]):
            frames = decoder.decode(packet)
            if any(frame.is_corrupt for frame in frames):
                raise BrokenVideo("a picture of the clip is damaged")
            count += len(frames)
    except FFmpegError as error:
        raise BrokenVideo(f"a picture of the clip can't be decoded: {error.strerror}") from error
    if not count:
        raise BrokenVideo("no picture of the clip can be decoded")


def _length_size(decoder: "VideoCodecContext") -> int:
    """Return the bytes of the length before each unit of a packet; 0: packets have no units."""
    at = _LENGTH_SIZE_AT.get(decoder.name)
    configuration = decoder.extradata
    # A configuration begins with its version, which is 1.
    if at is None or configuration is None or len(configuration) <= at or configuration[0] != 1:
        return 0
    return (configuration[at] & 3) + 1


def _is_filled_by_units(packet: bytes, length_size: int) -> bool:
    position = 0
    while position < len(packet):
        length = int.from_bytes(packet[position : position + length_size], "big")
        position += length_size + length
        if not length:
            return False
    return position == len(packet)
