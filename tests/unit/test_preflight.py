"""What is said of frames, pairs and rows before anything is paid for them."""

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError
from tweenbatch.frames import appearance as pictures
from tweenbatch.frames import warnings as concerns
from tweenbatch.frames.warnings import WarningKind
from tweenbatch.manifest import Reading
from tweenbatch.manifest.near_duplicates import bare_words
from tweenbatch.records.manifest import Manifest

SEASONS = Path(__file__).parents[2] / "jobs" / "seasons"
SIZE = (640, 360)


def scene(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Return large blocks of chance colours."""
    chance = random.Random(seed)
    blocks = Image.frombytes("RGB", (16, 9), chance.randbytes(16 * 9 * 3))
    return blocks.resize(size, Image.Resampling.NEAREST)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(1, (360, 640)).save(path, "JPEG", exif=exif)


def transparent(path: Path) -> None:
    image = scene(1).convert("RGBA")
    image.putpixel((5, 5), (0, 0, 0, 0))
    image.save(path, "PNG")


def with_a_transparent_colour(path: Path) -> None:
    image = scene(1).quantize(16)
    image.save(path, "PNG", transparency=image.getpixel((5, 5)))


def cmyk(path: Path) -> None:
    scene(1).convert("CMYK").save(path, "JPEG")


def deep_grey(path: Path) -> None:
    Image.new("I;16", SIZE, 40_000).save(path, "PNG")


def deep_colour(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    width, height = SIZE
    lines = (b"\0" + b"\x12\x34" * 3 * width) * height
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def animated(path: Path) -> None:
    scene(1).save(path, "WEBP", save_all=True, append_images=[scene(2)])


def animated_png(path: Path) -> None:
    scene(1).save(path, "PNG", save_all=True, append_images=[scene(2)])


ODD = {
    "turned": turned,
    "transparent": transparent,
    "cmyk": cmyk,
    "16-bit": deep_grey,
    "animated": animated,
}
ALSO = [
    ("transparent", with_a_transparent_colour),
    ("16-bit", deep_colour),
    ("animated", animated_png),
]


def row(start: str = "a.png", end: str = "b.png", prompt: str = "Snow melts.") -> dict[str, str]:
    return {"prompt": prompt, "start_image": start, "end_image": end}


def read(folder: Path, *rows: dict[str, str], **reading: Any) -> Manifest:
    return manifest.read(manifests.write(folder / "manifest.csv", rows), Reading(**reading))


def warned(folder: Path, *rows: dict[str, str], **reading: Any) -> list[tuple[str, int | None]]:
    return [(each.kind, each.row) for each in read(folder, *rows, **reading).warnings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two frames of one scene in different light."""
    scene(1).save(tmp_path / "a.png")
    scene(1).point(lambda value: value // 2 + 60).save(tmp_path / "b.png")
    return tmp_path


def test_good_frames_have_no_warnings(folder: Path) -> None:
    assert warned(folder, row(), row("b.png", "a.png", "It snows.")) == []


@pytest.mark.parametrize(("kind", "make"), [*ODD.items(), *ALSO])
def test_what_a_model_may_take_otherwise_than_a_viewer_is_warned_of(
    folder: Path, kind: str, make: Any
) -> None:
    make(folder / "odd")
    found = read(folder, row("odd", "https://example.com/b.png")).warnings
    assert [(each.kind, each.row, each.column) for each in found] == [(kind, 2, "start_image")]
    assert "'odd'" in found[0].message
    assert "--fit" in found[0].message


def test_an_alpha_channel_without_a_transparent_pixel_is_no_concern(folder: Path) -> None:
    scene(1).convert("RGBA").save(folder / "opaque.png")
    assert warned(folder, row("opaque.png")) == []


def test_a_second_picture_in_a_phones_jpeg_is_no_animation(folder: Path) -> None:
    scene(1).save(folder / "phone.jpg", "MPO", save_all=True, append_images=[scene(2, (64, 36))])
    assert warned(folder, row("phone.jpg")) == []


def test_a_frame_is_warned_of_once_however_many_rows_name_it(folder: Path) -> None:
    transparent(folder / "odd")
    rows = [row("a.png", "odd", f"number {n}") for n in range(5)]
    assert warned(folder, *rows) == [("transparent", 2)]
    (found,) = read(folder, *rows).warnings
    assert found.message.endswith("(and 4 more rows)")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_breaks_off_is_a_problem_of_each_row_that_names_it(
    folder: Path, kind: str
) -> None:
    buffer = io.BytesIO()
    scene(7).save(buffer, kind)
    (folder / "torn").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 2 // 3])
    with pytest.raises(ManifestError) as refusal:
        read(folder, row("torn"), row(), row("a.png", "torn"), row("gone.png"))
    found = [(each.row, each.column) for each in refusal.value.problems]
    assert found == [(2, "start_image"), (4, "end_image"), (5, "start_image")]
    for problem in refusal.value.problems[:2]:
        assert "'torn'" in problem.message
        assert "damaged" in problem.message
        assert "export the image again" in problem.message


def test_large_images_are_looked_into_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGE_PIXELS", 1)
    transparent(folder / "odd")
    assert warned(folder, row("odd", "a.png"), row("b.png", "a.png")) == [("transparent", 2)]


def test_frames_of_other_proportions_are_warned_of_with_both_sizes(folder: Path) -> None:
    scene(1, (800, 600)).save(folder / "c.png")
    (found,) = read(folder, row("a.png", "c.png"), row("a.png", "c.png", "Other.")).warnings
    assert (found.kind, found.row, found.column) == ("aspect ratio", 2, "end_image")
    assert "640×360 px" in found.message
    assert "800×600 px" in found.message
    assert "--fit" in found.message


@pytest.mark.parametrize(("width", "kinds"), [(650, []), (660, ["aspect ratio"])])
def test_two_percent_are_the_bound_of_proportions(
    folder: Path, width: int, kinds: list[str]
) -> None:
    scene(1, (width, 360)).save(folder / "c.png")
    assert [kind for kind, _ in warned(folder, row("a.png", "c.png"))] == kinds


def test_the_same_image_at_both_ends_is_warned_of_whatever_its_name(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    assert warned(folder, row("a.png", "copy.png")) == [("same frame", 2)]
    rows = [row(end=end, prompt=f"number {end}") for end in ("b.png", "copy.png", "b.png")]
    (found,) = read(folder, *rows, row(end="copy.png", prompt="Another.")).warnings
    assert found.row == 3
    assert found.message.endswith(" (and 1 more row)")


def test_one_address_at_both_ends_is_warned_of(folder: Path) -> None:
    ends = [f"https://example.com/{name}.png" for name in "abbb"]
    rows = [row(ends[1], end, f"number {n}") for n, end in enumerate(ends)]
    (found,) = read(folder, *rows).warnings
    assert (found.kind, found.row, found.column) == ("same frame", 3, "end_image")
    assert found.message.endswith("(and 2 more rows)")
    assert warned(folder, row(ends[0], "a.png"), row("a.png", "a.png")) == [("same frame", 3)]


@pytest.mark.parametrize(
    "address",
    [
        "https://v5.airtableusercontent.com/v3/u/29/29/1796000000000/abc/def/ghi",
        "https://dl.airtable.com/.attachments/8f/a.png",
        "https://file.notion.so/f/f/3d/a.png?table=block&id=1&signature=s",
        "https://img.notionusercontent.com/s3/a.png/size/w=2000",
        "https://S3.us-west-2.Notion-Static.com/a.png",
    ],
)
def test_an_address_that_each_export_makes_anew_is_warned_of_once(
    folder: Path, address: str
) -> None:
    rows = [row(address, "https://example.com/b.png", prompt=f"prompt {n}") for n in range(3)]
    (found,) = read(folder, *rows).warnings
    assert (found.kind, found.row, found.column) == (WarningKind.ADDRESS_ENDS, 2, "start_image")
    assert "the next export has a different one" in found.message
    assert "(and 2 more rows)" in found.message


@pytest.mark.parametrize("host", ["airtable.example.com", "mynotion.so", "notion.so.example.com"])
def test_a_host_of_a_similar_name_is_no_concern(folder: Path, host: str) -> None:
    assert warned(folder, row(f"https://{host}/a.png", "https://example.com/b.png")) == []


def test_a_much_smaller_frame_is_hinted_at_and_no_matter_of_strictness(folder: Path) -> None:
    scene(1, (1280, 720)).save(folder / "large.png")
    assert warned(folder, row("a.png", "large.png"), strict=True) == [("hint: sizes", 2)]


def test_frames_that_share_nothing_are_hinted_at(folder: Path) -> None:
    scene(2).save(folder / "other.png")
    assert warned(folder, row("a.png", "other.png"), strict=True) == [("hint: unlike", 2)]


def test_the_seasons_share_a_place() -> None:
    tiny = [pictures.appearance_of(path).tiny for path in sorted(SEASONS.glob("*.jpg"))]
    assert len(tiny) == 4
    assert not any(concerns.share_nothing(one, other) for one in tiny for other in tiny)


def test_images_without_forms_tell_nothing(folder: Path) -> None:
    manifests.frame(folder / "plain.png", (255, 255, 255))
    sand = random.Random(3).randbytes(SIZE[0] * SIZE[1])
    Image.frombytes("L", SIZE, sand).save(folder / "sand.png")
    assert warned(folder, row("a.png", "plain.png"), row("a.png", "sand.png")) == []


@pytest.mark.parametrize(
    ("prompt", "end", "said"),
    [
        ("@Image1 becomes @Image2", "", "uses @Image2, but the row has no end frame"),
        ("@Image1 becomes @Image3", "b.png", "uses @Image3, but only @Image1"),
        ("@image0 melts", "b.png", "uses @image0, but only @Image1"),
        ("@Image12 melts", "b.png", "uses @Image12, but only @Image1"),
    ],
)
def test_a_prompt_names_no_frame_that_the_row_lacks(
    folder: Path, prompt: str, end: str, said: str
) -> None:
    with pytest.raises(ManifestError) as refusal:
        read(folder, row("a.png", end, prompt), allow_open_ended=True)
    (problem,) = refusal.value.problems
    assert (problem.row, problem.column) == (2, "prompt")
    assert said in problem.message


def test_a_prompt_may_name_both_frames_and_people(folder: Path) -> None:
    assert (
        warned(folder, row(prompt="@Image1 becomes @Image2, says @Image and anna@image.com")) == []
    )


def test_rows_that_differ_in_looks_only_are_warned_of_with_the_row_before(folder: Path) -> None:
    rows = [
        row(prompt="Snow melts, slowly."),
        row(prompt="Something else."),
        row(prompt="snow  melts - SLOWLY"),
        row(prompt="Snow melts, slowly."),
        row(prompt="“Snow” melts slowly…"),
        row(prompt="Snow melts, slowly", start="b.png", end="a.png"),
    ]
    found = read(folder, *rows).warnings
    assert [(each.kind, each.row) for each in found] == [
        ("nearly repeated", 4),
        ("nearly repeated", 6),
    ]
    assert all("row 2" in each.message for each in found)


def test_a_default_that_is_spelled_out_makes_no_difference_to_equal_rows(folder: Path) -> None:
    lengths = {"Snow melts.": "5", "snow melts": ""}
    rows = [{**row(prompt=prompt), "duration": length} for prompt, length in lengths.items()]
    assert [each.row for each in read(folder, *rows).warnings] == [3]


def test_several_groups_of_alike_rows_are_told_apart(folder: Path) -> None:
    rows = [row(prompt=f"Prompt{mark} {n}") for mark in ("", "!", "?") for n in range(20)]
    found = read(folder, *rows).warnings
    assert [each.row for each in found] == list(range(22, 62))
    for each in found:
        assert each.row is not None
        assert f"row {(each.row - 2) % 20 + 2} " in each.message


def test_the_same_row_twice_and_other_lengths_are_not_nearly_the_same(folder: Path) -> None:
    rows = [{**row(), "duration": duration} for duration in ("5", "5", "10")]
    assert warned(folder, *rows) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("Don't stop", "don’t STOP"), ("Straße!", "STRASSE"), ("雪 が", "雪が。"), ("a_b", "A B")],
)
def test_looks_make_no_difference_in_any_script(one: str, other: str) -> None:
    assert bare_words(one) == bare_words(other) != bare_words("else")


def test_strictness_makes_problems_of_warnings_beside_all_others(folder: Path) -> None:
    transparent(folder / "odd")
    with pytest.raises(ManifestError) as refusal:
        read(folder, row("odd"), row("gone.png"), strict=True)
    assert [(each.row, each.kind) for each in refusal.value.problems] == [
        (2, "transparent"),
        (3, ""),
    ]
