"""Key frames in a row become rows that a person would have written, only without slips."""

import csv
import io
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.manifests import frame
from tweenbatch import manifest
from tweenbatch.errors import UsageError
from tweenbatch.files import names as filenames
from tweenbatch.manifest import Reading, pairs
from tweenbatch.manifest.pairs import KeyFrame, Pair, PairsRequest


def drawn(folder: Path, *names: str) -> list[Path]:
    """Draw frames, each of its own colour."""
    for n, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame(path, (n + 1, 0, 0))
    return [folder / name for name in names]


def made(folder: Path, *names: str, keep_order: bool = True, **wish: object) -> list[Pair]:
    images = pairs.key_frames([str(folder / name) for name in names], keep_order=keep_order)
    return pairs.make(images, PairsRequest(**wish), folder=folder)  # type: ignore[arg-type]


def images(*names: str) -> list[KeyFrame]:
    return [KeyFrame(path=Path(name), sha256=f"{n:064x}") for n, name in enumerate(names)]


def names_of(found: list[KeyFrame]) -> list[str]:
    return [each.path.name for each in found]


def test_each_frame_leads_to_the_next(tmp_path: Path) -> None:
    drawn(tmp_path, "winter.png", "spring.png", "summer.png")
    rows = made(tmp_path, "winter.png", "spring.png", "summer.png", sequence="year")
    assert [(row.name, row.start_image, row.end_image, row.order) for row in rows] == [
        ("010-winter-to-spring", "winter.png", "spring.png", 1),
        ("020-spring-to-summer", "spring.png", "summer.png", 2),
    ]
    assert {row.sequence for row in rows} == {"year"}
    assert all("@Image1" in row.prompt and "@Image2" in row.prompt for row in rows)


def test_a_loop_leads_the_last_frame_back_to_the_first(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png", "b.png", "c.png")
    rows = made(tmp_path, "a.png", "b.png", "c.png", loop=True)
    assert [(row.start_image[0], row.end_image[0]) for row in rows] == [
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
    ]


@given(st.lists(st.integers(0, 10**6), min_size=2, unique=True), st.randoms())
def test_numbers_in_names_are_sorted_as_numbers(numbers: list[int], order: random.Random) -> None:
    paths = [Path(f"shots/frame{number}.png") for number in numbers]
    order.shuffle(paths)
    sorted_paths = sorted(paths, key=filenames.natural)
    assert [path.name for path in sorted_paths] == [f"frame{n}.png" for n in sorted(numbers)]


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), max_size=8))
def test_any_names_can_be_sorted(names: list[str]) -> None:
    assert len(sorted(map(Path, names), key=filenames.natural)) == len(names)


def test_a_folder_gives_its_images_in_order_and_nothing_else(tmp_path: Path) -> None:
    drawn(tmp_path, "frame10.png", "frame2.PNG", "frame1.jpg", ".hidden.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    found = pairs.key_frames([str(tmp_path)], keep_order=False)
    assert names_of(found) == ["frame1.jpg", "frame2.PNG", "frame10.png"]


def test_a_pattern_gives_its_images_in_order(tmp_path: Path) -> None:
    drawn(tmp_path, "a10.png", "a9.png", "b1.png")
    found = pairs.key_frames([str(tmp_path / "a*.png")], keep_order=True)
    assert names_of(found) == ["a9.png", "a10.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    drawn(tmp_path, "a[1].png", "a1.png")
    found = pairs.key_frames([str(tmp_path / "a[1].png")], keep_order=True)
    assert names_of(found) == ["a[1].png"]


def test_the_order_given_is_kept_when_asked_for(tmp_path: Path) -> None:
    drawn(tmp_path, "1.png", "2.png")
    named = [str(tmp_path / name) for name in ("2.png", "1.png", "2.png")]
    assert names_of(pairs.key_frames(named, keep_order=True)) == ["2.png", "1.png", "2.png"]


def test_a_frame_that_is_named_twice_is_there_once_in_natural_order(tmp_path: Path) -> None:
    drawn(tmp_path, "1.png", "2.png")
    named = [str(tmp_path), str(tmp_path / "2.png"), str(tmp_path / ".." / tmp_path.name / "1.png")]
    assert names_of(pairs.key_frames(named, keep_order=False)) == ["1.png", "2.png"]


def test_everything_wrong_with_the_frames_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    named = [
        *(str(tmp_path / name) for name in ("gone.png", "text.png", "empty", "x*.png")),
        "https://example.com/a.png",
    ]
    with pytest.raises(UsageError) as refused:
        pairs.key_frames(named, keep_order=False)
    for said in (
        "gone.png' does not exist",
        "text.png' is not a PNG, JPEG or WebP image",
        "empty' contains no PNG",
        "x*.png' matches no PNG",
        "'https://example.com/a.png' is a URL",
        "nothing was written",
    ):
        assert said in str(refused.value)


@pytest.mark.parametrize("name", ["line\nbreak.png", "bell\a.png", "blank.png "])
def test_a_name_that_no_cell_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    drawn(tmp_path, "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    with pytest.raises(UsageError, match="rename it"):
        pairs.key_frames([str(tmp_path / name)], keep_order=True)


def test_a_name_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png")
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    (tmp_path / "a.png").rename(name)
    with pytest.raises(UsageError, match="rename it"):
        pairs.key_frames([name], keep_order=True)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_make_no_transition(count: int) -> None:
    with pytest.raises(UsageError, match=f"{count} key frame.*needs two"):
        pairs.make(images("a.png")[:count], PairsRequest(), folder=Path())


def test_two_neighbours_that_are_one_file_are_refused_with_their_places(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png", "b.png")
    with pytest.raises(UsageError, match=r"key frames 2 and 3 are both '.*b\.png'"):
        made(tmp_path, "a.png", "b.png", "b.png")


def test_two_neighbours_with_the_same_picture_are_refused_under_both_names(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    with pytest.raises(UsageError, match=r"the same image \('.*a.png', '.*copy.png'\)"):
        made(tmp_path, "a.png", "copy.png")


def test_a_loop_over_frames_that_close_it_already_is_refused(tmp_path: Path) -> None:
    drawn(tmp_path, "a.png", "b.png")
    assert len(made(tmp_path, "a.png", "b.png", "a.png")) == 2
    with pytest.raises(UsageError, match="the last and the first are both"):
        made(tmp_path, "a.png", "b.png", "a.png", loop=True)


def test_the_prompt_names_frames_and_counts() -> None:
    (row, _) = pairs.make(
        images("dawn.png", "noon.png", "dusk.png"),
        PairsRequest(prompt="{n:02} of {total}: {start} → {end} in {{braces}}"),
        folder=Path(),
    )
    assert row.prompt == "01 of 2: dawn → noon in {braces}"


@pytest.mark.parametrize(
    "prompt",
    [
        *("{middle}", "{start.__class__}", "{start", "}", "{}", "{0}", "{start!x}", "{n:q}"),
        *("{n:{middle}}", "{n:{0}}", "{n:{}}", "{n:99999999999}", "{n:{n:{n}}}"),
    ],
)
def test_a_prompt_with_anything_else_in_braces_is_refused(prompt: str) -> None:
    with pytest.raises(UsageError, match=r"expected .*\{start\}, \{end\}, \{n\}, \{total\}"):
        pairs.make(images("a.png", "b.png"), PairsRequest(prompt=prompt), folder=Path())


@pytest.mark.parametrize(("prompt", "said"), [("", "row 1 is empty"), ("x" * 2501, "at most 2500")])
def test_a_prompt_that_fal_would_refuse_is_refused(prompt: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        pairs.make(images("a.png", "b.png"), PairsRequest(prompt=prompt), folder=Path())


def test_a_length_that_the_model_does_not_make_is_refused() -> None:
    with pytest.raises(UsageError, match="--duration is 7; Kling O1 allows"):
        pairs.make(images("a.png", "b.png"), PairsRequest(duration="7"), folder=Path())


def test_frames_with_one_stem_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    drawn(tmp_path, "day/tree.png", "night/tree.png")
    (row,) = made(tmp_path, "day/tree.png", "night/tree.png", prompt="{start} to {end}")
    assert row.name == "010-day-tree-to-night-tree"
    assert row.prompt == "day-tree to night-tree"


def test_frames_with_one_stem_in_one_folder_are_told_apart_by_their_suffixes(
    tmp_path: Path,
) -> None:
    drawn(tmp_path, "tree.png", "tree.jpg")
    (row,) = made(tmp_path, "tree.png", "tree.jpg")
    assert row.name == "010-tree.png-to-tree.jpg"


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1),
        min_size=2,
        max_size=12,
    )
)
def test_names_are_safe_and_unique_whatever_the_frames_are_called(stems: list[str]) -> None:
    rows = pairs.make(images(*(f"f/{stem}x.png" for stem in stems)), PairsRequest(), folder=Path())
    names = [row.name for row in rows]
    assert len({name.lower() for name in names}) == len(names)
    assert all(filenames.slug(name) == name for name in names)


def test_names_sort_as_the_rows_do_however_many_there_are() -> None:
    rows = pairs.make(images(*(f"{n}.png" for n in range(1_200))), PairsRequest(), folder=Path())
    assert sorted(row.name for row in rows) == [row.name for row in rows]


def test_paths_are_seen_from_the_manifest_where_they_lie_near(tmp_path: Path) -> None:
    home = tmp_path / "project" / "jobs"
    home.mkdir(parents=True)
    inside, beside, far = drawn(
        tmp_path, "project/jobs/in/a.png", "project/frames/b.png", "far/c.png"
    )
    found = pairs.key_frames([str(each) for each in (inside, beside, far)], keep_order=True)
    first, second = pairs.make(found, PairsRequest(), folder=home)
    assert (first.start_image, first.end_image) == ("in/a.png", "../frames/b.png")
    assert second.end_image == str(far)
    assert pairs.outside(found, home / "manifest.csv") == [far.parent]


def test_a_path_that_readers_would_take_for_another_is_marked(tmp_path: Path) -> None:
    (row,) = pairs.make(
        images(f"{tmp_path}/~a.png", f"{tmp_path}/ b.png"), PairsRequest(), folder=tmp_path
    )
    assert (row.start_image, row.end_image) == (f"{tmp_path}/~a.png", "./ b.png")


@pytest.mark.parametrize(
    "prompt", ['says "hi", then', "sleeps\nand wakes", "lone\rreturn", "both\r\nof them"]
)
def test_what_is_written_survives_every_quote_comma_and_line_break(prompt: str) -> None:
    rows = pairs.make(images("a,b.png", 'c"d.png'), PairsRequest(prompt=prompt), folder=Path())
    file = io.StringIO(newline="")
    pairs.write(rows, file)
    (read,) = csv.DictReader(io.StringIO(file.getvalue(), newline=""))
    assert read["prompt"] == prompt
    assert (read["start_image"], read["end_image"]) == ("a,b.png", 'c"d.png')


def test_braces_in_a_prompt_are_not_taken_for_places_to_fill_in(tmp_path: Path) -> None:
    drawn(tmp_path, "{a}.png", "b.png")
    rows = made(tmp_path, "{a}.png", "b.png", prompt="{start} {{and}} {end}")
    path = tmp_path / "manifest.csv"
    pairs.write_file(rows, path, force=False)
    (row,) = manifest.read(path, Reading()).rows
    assert row.spec.prompt == "{a} {and} b"


def test_a_text_that_a_spreadsheet_would_take_for_a_formula_is_guarded() -> None:
    rows = pairs.make(images("=1.png", "b.png"), PairsRequest(prompt="=2+2"), folder=Path())
    file = io.StringIO()
    pairs.write(rows, file)
    (read,) = csv.DictReader(io.StringIO(file.getvalue()))
    assert (read["prompt"], read["start_image"]) == ("'=2+2", "'=1.png")


def test_a_manifest_that_is_there_is_only_written_over_with_force(tmp_path: Path) -> None:
    target = tmp_path / "manifest.csv"
    target.write_text("mine")
    rows = pairs.make(images("a.png", "b.png"), PairsRequest(), folder=Path())
    with pytest.raises(UsageError, match="the file exists; add --force"):
        pairs.write_file(rows, target, force=False)
    assert target.read_text() == "mine"
    pairs.write_file(rows, target, force=True)
    assert target.read_text().startswith("name,sequence,order,prompt,start_image,end_image,dur")
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    rows = pairs.make(images("a.png", "b.png"), PairsRequest(), folder=Path())
    with pytest.raises(UsageError, match="the folder does not exist"):
        pairs.write_file(rows, tmp_path / "gone" / "manifest.csv", force=False)
