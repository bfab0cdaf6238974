"""A preview is a whole, honest video between the given pictures."""

import io
import itertools
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from av.video.frame import PictureType
from PIL import Image, UnidentifiedImageError

from tweenbatch.emulator.model import preview
from tweenbatch.emulator.model.alignment import Similarity, align, find_camera
from tweenbatch.emulator.model.morph import Frame, Morph, Picture, ease, push_in

Pixels: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

WIDTH, HEIGHT, FPS = 256, 144, 12
BT709 = 1


def texture(seed: int, *, width: int = WIDTH, height: int = HEIGHT, grain: float = 2.0) -> Pixels:
    """Return a picture full of soft, coloured structure."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3), dtype=np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), grain), dtype=np.float32)
    noise[..., 1:] = 0.7 * noise[..., :1] + 0.3 * noise[..., 1:]  # as in nature: mostly brightness
    return np.asarray(np.clip(128 + 40 * noise / noise.std(), 0, 255), dtype=np.uint8)


def encoded(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def video(pixels: Pixels) -> Frame:
    return preview.to_video(Image.fromarray(pixels))


def rendered(
    folder: Path, start: Pixels, end: Pixels | None, *, seconds: float = 1.0, fps: int = FPS
) -> Path:
    target = folder / "clip.mp4"
    preview.render(
        start=encoded(start),
        end=None if end is None else encoded(end),
        seconds=seconds,
        target=target,
        width=WIDTH,
        height=HEIGHT,
        fps=fps,
    )
    return target


def decoded(path: Path) -> list[Pixels]:
    with av.open(str(path)) as container:
        shown = [
            frame.reformat(
                format="rgb24",
                src_colorspace=BT709,
                dst_colorspace=BT709,
                src_color_range=preview.LIMITED,
                dst_color_range=preview.FULL,
                interpolation=preview.EXACT,
            )
            for frame in container.decode(video=0)
        ]
    return [np.asarray(frame.to_ndarray(), dtype=np.uint8) for frame in shown]


def luma(frame: Frame) -> Floats:
    return Picture.of(frame).luma


def blurred(image: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), dtype=np.float32)


def ssim(first: Pixels, second: Pixels) -> float:
    """Return the structural similarity of two pictures' luminance (Wang et al., 2004)."""
    x, y = (
        np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.float32)
        for image in (first, second)
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = blurred(x), blurred(y)
    vx, vy, cov = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
    top = (2 * mx * my + c1) * (2 * cov + c2)
    return float((top / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def contrast(image: Floats) -> float:
    """Return the contrast of the inner part, which no border has touched."""
    return float(image[24:-24, 40:-40].std())


def boxes(path: Path) -> Iterator[str]:
    """Yield the names of an mp4's top-level boxes."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        yield name.decode()
        at += size


@pytest.mark.parametrize(
    ("seconds", "fps", "count"), [(1.0, 12, 12), (0.52, 25, 13), (0.05, 20, 1)]
)
def test_a_clip_has_exactly_the_frames_that_its_length_asks_for(
    tmp_path: Path, seconds: float, fps: int, count: int
) -> None:
    path = rendered(tmp_path, texture(1), texture(2), seconds=seconds, fps=fps)
    assert len(decoded(path)) == count


def test_a_clip_without_a_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        rendered(tmp_path, texture(1), None, seconds=0)


def test_bytes_that_are_no_picture_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnidentifiedImageError):
        preview.render(start=b"no picture", end=None, seconds=1, target=tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("width", "height"), [(320, 180), (301, 301), (180, 320)])
def test_the_size_follows_the_proportions_of_the_start(
    tmp_path: Path, width: int, height: int
) -> None:
    last = decoded(rendered(tmp_path, texture(1, width=width, height=height), texture(2)))[-1]
    got_height, got_width, _ = last.shape
    assert got_width % 2 == got_height % 2 == 0
    assert got_width / got_height == pytest.approx(width / height, rel=0.02)
    assert got_width * got_height == pytest.approx(WIDTH * HEIGHT, rel=0.02)


def test_a_clip_says_what_it_is(tmp_path: Path) -> None:
    with av.open(str(rendered(tmp_path, texture(1), texture(2)))) as container:
        context = container.streams.video[0].codec_context
        assert context.name == "h264"
        assert context.pix_fmt == "yuv420p"
        assert context.color_primaries == context.color_trc == context.colorspace == BT709
        assert context.color_range == preview.LIMITED
        assert container.metadata["title"] == "tweenbatch preview"
        assert "not generated by a model" in container.metadata["comment"]


def test_a_player_can_start_before_the_whole_file_has_come(tmp_path: Path) -> None:
    names = list(boxes(rendered(tmp_path, texture(1), None)))
    assert names.index("moov") < names.index("mdat")


def test_the_first_and_the_last_frame_are_the_given_pictures(tmp_path: Path) -> None:
    start, end = texture(1), texture(2)
    frames = decoded(rendered(tmp_path, start, end))
    for given, shown in ((start, frames[0]), (end, frames[-1])):
        assert ssim(given, shown) >= 0.97
        error = shown.astype(np.float32).mean(axis=(0, 1)) - given.mean(axis=(0, 1))
        assert np.abs(error).max() < 1


@pytest.mark.parametrize("colour", [(255, 255, 255), (200, 40, 30), (20, 90, 200), (0, 0, 0)])
def test_a_plain_colour_comes_back_as_it_was(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    plain = np.full((HEIGHT, WIDTH, 3), colour, dtype=np.uint8)
    frames = decoded(rendered(tmp_path, plain, plain))
    assert len(frames) > 1
    for frame in frames:
        assert np.abs(frame.astype(int) - colour).max() <= 2


def test_the_last_frame_is_predicted_from_no_other(tmp_path: Path) -> None:
    with av.open(str(rendered(tmp_path, texture(1), texture(2)))) as container:
        *_, last = container.decode(video=0)
    assert last.pict_type == PictureType.I


def test_the_same_pictures_make_the_same_file(tmp_path: Path) -> None:
    first = rendered(tmp_path, texture(1), texture(2)).read_bytes()
    assert rendered(tmp_path, texture(1), texture(2)).read_bytes() == first


def test_what_moved_is_moved_and_keeps_the_contrast_that_a_cross_fade_loses() -> None:
    wide = texture(3, width=WIDTH + 12)
    start, end = video(wide[:, :-12]), video(wide[:, 12:])
    middle = luma(Morph.plan(start, end).at(0.5))
    full = contrast(luma(start))
    assert contrast(0.5 * luma(start) + 0.5 * luma(end)) < 0.8 * full
    assert contrast(middle) > 0.93 * full
    halfway = luma(video(wide[:, 6:-6]))
    assert contrast(middle - halfway) < 0.15 * full


def test_a_camera_move_is_found_under_another_light() -> None:
    picture = texture(4).astype(np.float32)
    move = Similarity(turn=1.1 + 0.05j, shift=-14 - 9j)
    shape = (WIDTH, HEIGHT)
    moved = cv2.warpAffine(picture, move.matrix(), shape, borderMode=cv2.BORDER_REFLECT)
    first, second = video(texture(4)), video((moved * 0.6).astype(np.uint8))
    found = align(luma(first), luma(second)).camera
    assert found.turn == pytest.approx(move.turn, abs=0.01)
    assert found.shift == pytest.approx(move.shift, abs=1.5)


def test_between_unrelated_pictures_nothing_is_torn() -> None:
    found = align(luma(video(texture(5))), luma(video(texture(6))))
    assert found.camera == Similarity()
    assert np.abs(found.forward).mean() < 1
    assert np.abs(found.backward).mean() < 1


def test_the_light_turns_evenly() -> None:
    dark, bright = (texture(seed) // 2 + lift for seed, lift in ((1, 0), (2, 120)))
    morph = Morph.plan(video(dark), video(bright))
    levels = [float(luma(morph.at(step / 20)).mean()) for step in range(21)]
    steps = np.diff(levels)
    assert steps.min() > 0
    assert steps.max() < 2 * steps.mean()


def test_progress_is_slow_at_both_ends() -> None:
    way = np.array([ease(step / 10) for step in range(11)])
    assert way[0] == 0
    assert way[-1] == 1
    assert np.diff(way).argmax() in {4, 5}
    assert np.diff(way)[0] == pytest.approx(np.diff(way)[-1])


def test_parts_of_a_camera_move_add_up() -> None:
    move = Similarity(turn=1.2 + 0.1j, shift=30 - 8j)
    points = np.array([[[0, 0], [100, 40], [-7, 90]]], dtype=np.float32)
    twice = move.part(0.7).move(move.part(0.3).move(points))
    assert twice == pytest.approx(move.move(points), abs=1e-3)
    assert move.inverse().move(move.move(points)) == pytest.approx(points, abs=1e-3)


def test_without_an_end_the_view_pushes_in_steadily() -> None:
    start = Picture.of(video(texture(7)))
    views = [luma(push_in(start, step / 4)) for step in range(5)]
    zooms = [abs(find_camera(views[0], view).turn) for view in views[1:]]
    assert all(later > earlier + 0.01 for earlier, later in itertools.pairwise([1.0, *zooms]))
    assert zooms[-1] == pytest.approx(1.08, abs=0.01)


def test_a_picture_on_its_side_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned right
    file = io.BytesIO()
    Image.fromarray(np.rot90(texture(1)).copy()).save(file, "JPEG", quality=95, exif=exif)
    target = tmp_path / "clip.mp4"
    preview.render(
        start=file.getvalue(), end=None, seconds=0.1, target=target, width=WIDTH, height=HEIGHT
    )
    assert ssim(texture(1), decoded(target)[0]) > 0.95


def test_a_transparent_picture_lies_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    file = io.BytesIO()
    clear.save(file, "PNG")
    assert preview.decode(file.getvalue()).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(("size", "corner_is_bar"), [((160, 120), False), ((120, 240), True)])
def test_an_end_of_other_proportions_is_cropped_unless_too_much_would_go(
    size: tuple[int, int], corner_is_bar: bool
) -> None:
    fitted = preview.fit(Image.new("RGB", size, "white"), (WIDTH, HEIGHT))
    assert fitted.size == (WIDTH, HEIGHT)
    assert fitted.getpixel((0, 0)) == ((0, 0, 0) if corner_is_bar else (255, 255, 255))


def test_a_render_that_fails_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"the old clip")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a disk that is full
    try:
        with pytest.raises(OSError, match="File too large"):
            rendered(tmp_path, texture(1), None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old clip"]
