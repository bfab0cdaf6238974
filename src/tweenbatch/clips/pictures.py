"""Can a clip's pictures be decoded: the first, the last and every key picture.

A file may have all its boxes and nothing but zeros in its media data. Whatever looks wrong there
is decoded once more from the first picture to the last, as a player would, and only that decides:
a paid clip is not refused because of a short cut.

Bytes come from outside here, and decoders are large: ``checker`` is who calls this.
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
"""Where a codec's configuration says how long the length before each unit of a packet is."""


def check(path: Path) -> ClipFacts:
    """Return what the clip shows, once its first, last and key pictures have been decoded.

    Raises:
        BrokenVideo: they can't be decoded; the message does not name the file.
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
    """Where a picture stands: its time, and whether it is decoded without another."""

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
            # Those shown before their key picture may need the group before it.
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
    """Return all pictures as they are stored; raise where one is not even put together right."""
    length_size = _length_size(decoder)
    found: list[_Picture] = []
    for packet in _packets(container):
        whole = not length_size or _is_filled_by_units(bytes(packet), length_size)
        if packet.pts is None or not whole:
            raise BrokenVideo(f"picture {len(found) + 1} of the clip is damaged")
        found.append(_Picture(packet.pts, packet.is_keyframe))
    if not found or not found[0].is_key:
        raise BrokenVideo("the clip does not begin with a key picture")
    return found


def _packets(container: "InputContainer") -> "Iterator[Packet[Any]]":
    demuxed = container.demux(main_stream(container))
    return (packet for packet in demuxed if packet.size and not packet.is_discard)


def _strict(container: "InputContainer") -> "VideoCodecContext":
    """Return a decoder that says what is wrong, with memory for one picture at a time."""
    decoder = main_stream(container).codec_context
    decoder.options = {"err_detect": "explode"}
    decoder.thread_count = 1
    return decoder


def _decode(decoder: "VideoCodecContext", packets: "Iterable[Packet[Any]]") -> None:
    """Decode these to the end: at least one picture, and none that is painted over."""
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
        raise BrokenVideo("the clip has no picture that can be decoded")


def _length_size(decoder: "VideoCodecContext") -> int:
    """Return how many bytes hold the length of a packet's unit; 0: it is not built of units."""
    at = _LENGTH_SIZE_AT.get(decoder.name)
    told = decoder.extradata
    # A configuration begins with its version, which is 1.
    if at is None or told is None or len(told) <= at or told[0] != 1:
        return 0
    return (told[at] & 3) + 1


def _is_filled_by_units(packet: bytes, length_size: int) -> bool:
    position = 0
    while position < len(packet):
        length = int.from_bytes(packet[position : position + length_size], "big")
        position += length_size + length
        if not length:
            return False
    return position == len(packet)
