"""Prepared copies: what is done to frames, and that the same copy stays the same."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError, OutputUnusable
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.fit import Fit, Way
from tweenbatch.manifest import Reading
from tweenbatch.models import KLING_O1, USUAL_LIMITS
from tweenbatch.records import Frame
from tweenbatch.records.manifest import Manifest, Row

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A batch with a good start frame of 16 to 9."""
    manifests.frame(tmp_path / "a.png", (200, 220, 255))
    return tmp_path


def row_of(manifest: Manifest, place: int) -> Row:
    return list(manifest.rows)[place]


def fit(folder: Path, way: Way = Way.PAD, *, writes: bool = True) -> Fit:
    return Fit(way=way, folder=folder / "videos" / "fitted", writes=writes)


def read(
    folder: Path, *pairs: tuple[str, str], way: Way = Way.PAD, writes: bool = True, **reading: Any
) -> Manifest:
    rows = [
        {"prompt": f"prompt {n}", "start_image": start, "end_image": end}
        for n, (start, end) in enumerate(pairs)
    ]
    path = manifests.write(folder / "manifest.csv", rows)
    return manifest.read(path, Reading(fit=fit(folder, way, writes=writes), **reading))


def end_of(row: Row) -> Frame:
    assert row.spec.end is not None
    return row.spec.end


def fitted(folder: Path, name: str, **reading: Any) -> tuple[Image.Image, str]:
    """Return the copy of an end frame and what was done to it."""
    found = read(folder, ("a.png", name), **reading)
    (row,) = found.rows
    path = Path(end_of(row).source)
    assert path.parent == folder / "videos" / "fitted"
    assert end_of(row).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row.end_image == name
    ((frame, done),) = found.fitted
    assert frame == name
    assert found.warnings == ()
    with Image.open(path) as image:
        image.load()
    assert image.mode == "RGB"
    assert not image.getexif()
    return image, done


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = image.getpixel((x, y))
    assert isinstance(found, tuple)
    return found


def near(image: Image.Image, x: int, y: int, colour: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 3 for a, b in zip(pixel(image, x, y), colour, strict=True))


def halves(left: Any, right: Any, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (640, 360), left)
    image.paste(right, (320, 0, 640, 360))
    return image


def test_good_frames_are_used_as_they_are_and_no_folder_is_made(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(1280, 720))
    found = read(folder, ("a.png", "b.png"))
    assert end_of(row_of(found, 0)).source == str(folder / "b.png")
    assert found.fitted == ()
    assert not (folder / "videos").exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_frame_is_turned_as_its_exif_data_say(folder: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # what is stored on the left is shown on top
    stored = halves(RED, GREEN).rotate(90, expand=True)
    stored.save(folder / "b", kind, exif=exif, **({} if kind == "PNG" else {"quality": 100}))
    image, done = fitted(folder, "b")
    assert done == "turned"
    assert image.size == (640, 360)
    assert near(image, 10, 180, RED)
    assert near(image, 630, 180, GREEN)


def test_transparent_parts_become_white_and_half_of_it_half(folder: Path) -> None:
    image = halves((255, 0, 0, 255), (255, 0, 0, 0), "RGBA")
    image.putpixel((0, 0), (0, 0, 0, 128))
    image.save(folder / "b.png")
    image, done = fitted(folder, "b.png")
    assert done == "flattened on white"
    assert pixel(image, 100, 100) == RED
    assert pixel(image, 500, 100) == WHITE
    assert near(image, 0, 0, (127, 127, 127))


def test_a_transparent_colour_of_a_palette_becomes_white(folder: Path) -> None:
    image = halves(RED, GREEN).quantize(4)
    image.save(folder / "b.png", transparency=image.getpixel((500, 100)))
    image, _ = fitted(folder, "b.png")
    assert pixel(image, 100, 100) == RED
    assert pixel(image, 500, 100) == WHITE


def test_cmyk_becomes_red_green_and_blue(folder: Path) -> None:
    halves((0, 255, 255, 0), (255, 0, 255, 0), "CMYK").save(folder / "b.jpg", quality=100)
    image, done = fitted(folder, "b.jpg")
    assert done == "converted to 8-bit sRGB"
    assert near(image, 100, 100, RED)
    assert near(image, 500, 100, GREEN)


def test_sixteen_bits_become_eight_and_none_is_cut_off(folder: Path) -> None:
    Image.new("I;16", (640, 360), 40_000).save(folder / "b.png")
    image, done = fitted(folder, "b.png")
    assert done == "converted to 8-bit sRGB"
    assert pixel(image, 100, 100) == (156, 156, 156)


def swapped_profile() -> bytes:
    """Return a profile whose red is sRGB's green, and the other way round."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return plain.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


def test_the_colour_profile_of_a_frame_is_used(folder: Path) -> None:
    halves((255, 0, 0, 0), RED, "RGBA").save(folder / "b.png", icc_profile=swapped_profile())
    image, _ = fitted(folder, "b.png")
    assert near(image, 500, 100, GREEN)
    assert "icc_profile" not in image.info


def test_a_profile_that_makes_no_sense_is_left_out(folder: Path) -> None:
    halves((0, 0, 0, 0), RED, "RGBA").save(folder / "b.png", icc_profile=b"no profile at all")
    image, _ = fitted(folder, "b.png")
    assert pixel(image, 500, 100) == RED


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_picture_of_an_animation_is_used(folder: Path, kind: str) -> None:
    first, second = halves(RED, RED), halves(GREEN, GREEN)
    first.save(folder / "b", kind, save_all=True, append_images=[second], lossless=True)
    image, done = fitted(folder, "b")
    assert done == "first picture of an animation"
    assert image.format == {"PNG": "PNG", "WEBP": "JPEG"}[kind]
    assert near(image, 100, 100, RED)


def test_an_end_is_padded_to_the_proportions_of_its_start_in_the_colour_of_its_edge(
    folder: Path,
) -> None:
    manifests.frame(folder / "b.png", (40, 120, 60), size=(800, 600))
    image, done = fitted(folder, "b.png")
    assert done == "padded 800×600 → 1067×600"
    assert image.size == (1067, 600)
    assert pixel(image, 0, 0) == pixel(image, 1066, 599) == (40, 120, 60)


def test_an_edge_of_many_colours_is_padded_with_black_on_both_sides(folder: Path) -> None:
    halves(RED, GREEN).resize((360, 360)).rotate(90).save(folder / "b.png")
    image, done = fitted(folder, "b.png")
    assert done == "padded 360×360 → 640×360"
    assert pixel(image, 139, 180) == pixel(image, 500, 180) == (0, 0, 0)
    assert pixel(image, 140, 5) != (0, 0, 0)
    assert pixel(image, 499, 5) != (0, 0, 0)


def test_an_end_is_cropped_in_its_middle_where_that_is_asked_for(folder: Path) -> None:
    image = Image.new("RGB", (800, 800), RED)
    image.paste(GREEN, (0, 175, 800, 625))
    image.save(folder / "b.png")
    image, done = fitted(folder, "b.png", way=Way.CROP)
    assert done == "cropped 800×800 → 800×450"
    assert image.size == (800, 450)
    assert image.getcolors() == [(800 * 450, GREEN)]


def test_what_was_turned_is_padded_by_its_sides_as_shown(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (600, 800), GREEN).save(folder / "b.png", exif=exif)
    image, done = fitted(folder, "b.png")
    assert done == "turned, padded 800×600 → 1067×600"
    assert image.size == (1067, 600)


def test_a_start_outside_of_what_the_endpoint_takes_is_brought_inside_and_its_end_after_it(
    folder: Path,
) -> None:
    manifests.frame(folder / "wide.png", size=(1200, 400))
    manifests.frame(folder / "b.png", size=(1280, 720))
    (row,) = read(folder, ("wide.png", "b.png"), way=Way.CROP).rows
    start, end = (frames.inspect(Path(each.source)) for each in (row.spec.start, end_of(row)))
    assert frames.problems(start, KLING_O1.image_limits) == []
    assert (start.width, start.height) == (990, 400)
    assert end.width / end.height == pytest.approx(990 / 400, rel=0.01)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_file_that_is_too_big_is_made_smaller_in_bytes_and_no_more_than_needed(
    folder: Path, kind: str
) -> None:
    few = replace(KLING_O1, image_limits=replace(USUAL_LIMITS, max_bytes=300_000))
    noise = Image.effect_noise((960, 540), 80).convert("RGB")
    noise.save(folder / "b", kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert (folder / "b").stat().st_size > 300_000
    image, done = fitted(folder, "b", endpoint=few)
    assert "scaled down 960×540 → " in done
    assert " → 0." in done
    assert image.format == "JPEG"
    (copy,) = (folder / "videos" / "fitted").iterdir()
    assert 150_000 < copy.stat().st_size <= 300_000


def test_more_than_is_read_otherwise_is_read_to_be_fitted(folder: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 360), GREEN).save(buffer, "JPEG")
    # Whatever stands behind the picture is of no concern.
    (folder / "b.jpg").write_bytes(buffer.getvalue() + bytes(frames.MAX_BYTES))
    _, done = fitted(folder, "b.jpg")
    assert done == "30.0 → 0.0 MB"


def test_what_no_copy_mends_stays_a_problem(folder: Path) -> None:
    manifests.frame(folder / "small.png", size=(299, 299))
    manifests.frame(folder / "tall.png", size=(400, 900))
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:-300])
    with pytest.raises(ManifestError) as refusal:
        read(
            folder,
            ("a.png", "small.png"),
            ("a.png", "tall.png"),
            ("torn.png", "a.png"),
            way=Way.CROP,
        )
    found = [(each.row, each.column) for each in refusal.value.problems]
    assert found == [(2, "end_image"), (3, "end_image"), (4, "start_image")]
    texts = [each.message for each in refusal.value.problems]
    assert "is 299×299 px" in texts[0]
    assert "cropped 400×900 → 400×225, is 400×225 px; the endpoint needs at least 300" in texts[1]
    assert texts[1].endswith("use a larger image, or --fit pad")
    assert "'torn.png' is damaged" in texts[2]


def test_the_originals_are_never_touched(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    before = (folder / "b.png").read_bytes()
    fitted(folder, "b.png")
    assert (folder / "b.png").read_bytes() == before


def test_without_writing_it_says_the_same_and_leaves_nothing(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    planned = read(folder, ("a.png", "b.png"), writes=False)
    assert not (folder / "videos").exists()
    made = read(folder, ("a.png", "b.png"))
    assert (list(planned.rows), planned.fitted) == (list(made.rows), made.fitted)


def test_a_copy_that_is_there_is_used_as_it_is_whatever_would_be_made_today(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    read(folder, ("a.png", "b.png"))
    (copy,) = (folder / "videos" / "fitted").iterdir()
    Image.new("RGB", (1067, 600), RED).save(copy)  # as an older library made it
    again = read(folder, ("a.png", "b.png"))
    assert end_of(row_of(again, 0)).sha256 == hashlib.sha256(copy.read_bytes()).hexdigest()
    with Image.open(copy) as image:
        assert pixel(image, 0, 0) == RED


def test_a_link_under_the_name_of_a_copy_sends_no_image_of_the_user_s(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    read(folder, ("a.png", "b.png"))
    (copy,) = (folder / "videos" / "fitted").iterdir()
    private = manifests.frame(folder / "private.png", RED)
    copy.unlink()
    copy.symlink_to(private)
    with pytest.raises(OutputUnusable, match="is a symbolic link"):
        read(folder, ("a.png", "b.png"))


def test_no_copy_is_written_where_a_link_leads_out_of_the_output(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    (folder / "pictures").mkdir()
    (folder / "videos").mkdir()
    (folder / "videos" / "fitted").symlink_to(folder / "pictures")
    with pytest.raises(OutputUnusable, match="leads out of"):
        read(folder, ("a.png", "b.png"))
    assert list((folder / "pictures").iterdir()) == []


def test_a_copy_that_is_no_image_any_more_is_made_again(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    first = read(folder, ("a.png", "b.png"))
    (copy,) = (folder / "videos" / "fitted").iterdir()
    copy.write_bytes(b"")
    again = read(folder, ("a.png", "b.png"))
    assert list(again.rows) == list(first.rows)
    assert copy.stat().st_size > 0


def test_the_name_of_a_copy_follows_from_content_and_recipe_alone(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    (folder / "same.png").write_bytes((folder / "b.png").read_bytes())
    pairs = [("a.png", "b.png"), ("a.png", "same.png")]
    one, other = (end_of(row) for row in read(folder, *pairs).rows)
    assert one == other
    (copy,) = (folder / "videos" / "fitted").iterdir()
    digest = frames.digest(folder / "b.png")
    assert copy.name == f"{digest[:24]}-pad-1067x600-10000000b.png"
    assert end_of(row_of(read(folder, pairs[0], way=Way.CROP), 0)) != one


def test_a_frame_beside_two_starts_has_two_copies(folder: Path) -> None:
    manifests.frame(folder / "square.png", size=(500, 500))
    manifests.frame(folder / "b.png", size=(800, 600))
    found = read(folder, ("a.png", "b.png"), ("square.png", "b.png"), ("b.png", "b.png"))
    assert [done for _, done in found.fitted] == [
        "padded 800×600 → 1067×600",
        "padded 800×600 → 800×800",
    ]
    assert end_of(row_of(found, 2)).source == str(folder / "b.png")


def test_beside_an_address_a_frame_keeps_its_proportions(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    assert read(folder, ("https://example.com/a.png", "b.png")).fitted == ()


def test_a_folder_that_can_not_be_written_is_reported_in_one_line(folder: Path) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    (folder / "videos").write_text("a file")
    with pytest.raises(OutputUnusable, match=r"can't write the fitted frame .*--output"):
        read(folder, ("a.png", "b.png"))


def test_nothing_half_written_is_left_where_the_disk_fails(
    folder: Path, failing_disk: Callable[[], None]
) -> None:
    manifests.frame(folder / "b.png", size=(800, 600))
    failing_disk()
    with pytest.raises(OutputUnusable):
        read(folder, ("a.png", "b.png"))
    assert list((folder / "videos" / "fitted").iterdir()) == []


@pytest.fixture
def failing_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What makes every flush to the disk fail from then on."""

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    return lambda: monkeypatch.setattr("os.fsync", fail)
