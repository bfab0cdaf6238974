"""What a clip shows is measured on its packets, not read from its headers."""

import struct
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, cast

import av
import numpy as np
import pytest
from av.container import InputContainer
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.clips import video
from tweenbatch.errors import BrokenVideo

FPS = 24
RATE = 44_100


def silence(number: int) -> av.AudioFrame:
    nothing = np.zeros((2, 1024), dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(nothing, format="fltp", layout="stereo")
    frame.sample_rate = RATE
    frame.pts = number * 1024
    return frame


def encode(
    path: Path,
    *,
    pictures: int = 12,
    fps: Fraction | int = FPS,
    size: tuple[int, int] = (96, 64),
    codec: Literal["libx264", "libx265"] = "libx264",
    sound: bool = False,
    container_format: str = "mp4",
    movflags: str = "faststart",
    titles: bool = False,
) -> Path:
    noise = np.random.default_rng(1)
    options = {"movflags": movflags} if container_format == "mp4" else {}
    with av.open(path, "w", format=container_format, options=options) as container:
        video_stream = container.add_stream(codec, rate=fps) if pictures else None
        audio_stream = container.add_stream("aac", rate=RATE, layout="stereo") if sound else None
        if titles and video_stream:
            container.metadata["title"] = "of the film"
            video_stream.metadata["handler_name"] = "of the pictures"
        if video_stream:
            video_stream.width, video_stream.height = size
            video_stream.pix_fmt = "yuv420p"
            for _ in range(pictures):
                pixels = noise.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(video_stream.encode(frame))
            container.mux(video_stream.encode())
        if audio_stream:
            for number in range(50):
                container.mux(audio_stream.encode(silence(number)))
            container.mux(audio_stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", sound=True)


def test_a_clip_is_measured(tmp_path: Path) -> None:
    clip = video.probe(encode(tmp_path / "clip.mp4"))
    assert clip == video.ClipFacts(
        seconds=0.5, width=96, height=64, frames=12, fps=24.0, codec="h264"
    )


def test_sound_that_lasts_longer_does_not_count(tmp_path: Path) -> None:
    clip = video.probe(encode(tmp_path / "clip.mp4", sound=True))
    assert (clip.seconds, clip.frames) == (0.5, 12)


@pytest.mark.parametrize("pictures", [1, 2, 25])
def test_every_picture_counts(tmp_path: Path, pictures: int) -> None:
    clip = video.probe(encode(tmp_path / "clip.mp4", pictures=pictures))
    assert clip.frames == pictures
    assert clip.seconds == pytest.approx(pictures / FPS)


def test_a_rate_that_is_not_a_whole_number_is_kept(tmp_path: Path) -> None:
    clip = video.probe(encode(tmp_path / "clip.mp4", fps=Fraction(30_000, 1_001)))
    assert clip.fps == pytest.approx(29.97, abs=0.001)


def test_a_fragmented_clip_is_measured_by_its_packets(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", movflags="frag_keyframe+empty_moov")
    assert video.probe(path).frames == 12


def test_the_length_in_the_header_is_not_believed(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    # The length of the whole film stands in version 0 of mvhd after two times and a scale.
    struct.pack_into(">I", data, data.index(b"mvhd") + 20, 3_600_000)
    path.write_bytes(data)
    assert video.probe(path).seconds == 0.5


def test_pictures_that_are_cut_out_by_the_edit_list_do_not_count(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    # An entry of elst is a length in 1/1000 s and a start in 1/12288 s: 6 pictures of 512.
    length, start = struct.unpack_from(">II", data, data.index(b"elst") + 12)
    struct.pack_into(">II", data, data.index(b"elst") + 12, length // 2, start + 6 * 512)
    path.write_bytes(data)
    clip = video.probe(path)
    assert (clip.frames, clip.seconds) == (6, 0.25)


@pytest.mark.parametrize(
    ("times", "size", "reason"),
    [
        ([], 64, "no pictures"),
        ([(0, 0)], 64, "no length"),
        ([(None, 1)], 64, "damaged"),
        ([(0, 1)], 0, "no size"),
    ],
)
def test_measures_that_make_no_clip_are_refused(
    times: list[tuple[int | None, int]], size: int, reason: str
) -> None:
    packets = [
        SimpleNamespace(size=9, is_discard=False, is_corrupt=False, pts=pts, duration=duration)
        for pts, duration in times
    ]
    codec = SimpleNamespace(width=64, height=size, name="h264")
    stream = SimpleNamespace(disposition=0, time_base=Fraction(1, FPS), codec_context=codec)
    container = SimpleNamespace(
        streams=SimpleNamespace(video=(stream,)), demux=lambda _: iter(packets)
    )
    with pytest.raises(BrokenVideo, match=reason):
        video.measure(cast("InputContainer", container))


@pytest.mark.parametrize("title", ["of the film", "of the pictures"])
def test_a_title_that_is_not_utf8_does_no_harm(tmp_path: Path, title: str) -> None:
    path = encode(tmp_path / "clip.mp4", titles=True)
    data = path.read_bytes()
    assert title.encode() in data
    path.write_bytes(data.replace(title.encode(), b"\xff" * len(title)))
    assert video.probe(path).frames == 12


def test_a_name_that_looks_like_an_address_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.mp4", "http:clip.mp4", "-i.mp4", "été %d.mp4", "byte \udcff.mp4"):
        assert video.probe(encode(Path("clip.mp4")).rename(name)).frames == 12


@pytest.mark.parametrize("disguise", ["transport stream", "list of files"])
def test_another_format_under_the_name_of_an_mp4_is_refused(tmp_path: Path, disguise: str) -> None:
    stream = encode(tmp_path / "part.ts", container_format="mpegts")
    path = tmp_path / "clip.mp4"
    if disguise == "transport stream":
        stream.rename(path)
    else:
        path.write_text("ffconcat version 1.0\nfile part.ts\n")
    with pytest.raises(BrokenVideo, match="Invalid data"):
        video.probe(path)


def test_a_playlist_in_place_of_a_clip_is_refused(tmp_path: Path) -> None:
    encode(tmp_path / "part.ts", container_format="mpegts")
    path = tmp_path / "clip.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\npart.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(BrokenVideo):
        video.probe(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"<!DOCTYPE html>" * 100, b'{"detail": "no"}', bytes(5_000)],
    ids=["nothing", "html", "json", "zeros"],
)
def test_what_is_no_clip_is_broken_and_its_error_names_no_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "secret-name.mp4"
    path.write_bytes(data)
    with pytest.raises(BrokenVideo) as caught:
        video.probe(path)
    assert "secret-name" not in str(caught.value)


def test_sound_without_pictures_is_broken(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", pictures=0, sound=True)
    with pytest.raises(BrokenVideo, match="no video stream"):
        video.probe(path)


def test_a_cover_picture_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(path, "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=RATE, layout="stereo")
        cover = container.add_stream("png", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        pixels = np.zeros((64, 64, 3), dtype=np.uint8)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(audio.encode(silence(0)))
        container.mux(audio.encode())
    with pytest.raises(BrokenVideo, match="no video stream"):
        video.probe(path)


@pytest.mark.parametrize(
    ("found", "put"),
    [
        pytest.param(b"avc1", b"xvc1", id="unknown codec"),
        pytest.param(b"stts", b"free", id="no times"),
        pytest.param(b"vide", b"soun", id="pictures called sound"),
    ],
)
def test_a_clip_whose_index_is_damaged_is_broken(tmp_path: Path, found: bytes, put: bytes) -> None:
    path = encode(tmp_path / "clip.mp4")
    data = path.read_bytes()
    assert found in data
    path.write_bytes(data.replace(found, put))
    with pytest.raises(BrokenVideo):
        video.probe(path)


def test_a_clip_without_its_second_half_is_never_measured_as_whole(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenVideo):
        video.probe(path)


@given(st.lists(st.tuples(st.integers(0, 4_000), st.binary(min_size=1, max_size=9))))
def test_a_mutated_clip_is_measured_or_broken(clip: Path, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(clip.read_bytes())
    for start, value in changes:
        data[start : start + len(value)] = value
    mutated = clip.with_name("mutated.mp4")
    mutated.write_bytes(data)
    with suppress(BrokenVideo):
        assert video.probe(mutated).frames > 0


def test_a_missing_file_is_not_called_broken(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        video.probe(tmp_path / "absent.mp4")


def test_the_module_is_imported_without_pyav() -> None:
    code = "import sys, tweenbatch.clips.video; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
