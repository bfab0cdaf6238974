"""The meaning of a manifest's columns."""

from pathlib import Path

import pytest

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError
from tweenbatch.manifest import Reading
from tweenbatch.records.manifest import Manifest, Row
from tweenbatch.report import plan as planned

ROW = {
    "prompt": "Snow melts.",
    "start_image": "https://example.com/a.png",
    "end_image": "https://example.com/b.png",
}


def read(folder: Path, *rows: dict[str, str], **reading: object) -> Manifest:
    path = manifests.write(folder / "manifest.csv", rows)
    return manifest.read(path, Reading(**reading))  # type: ignore[arg-type]


def one(folder: Path, row: dict[str, str], **reading: object) -> Row:
    (only,) = read(folder, row, **reading).rows
    return only


def refused(folder: Path, row: dict[str, str], **reading: object) -> str:
    with pytest.raises(ManifestError) as refusal:
        read(folder, row, **reading)
    return str(refusal.value)


def renamed(**names: str) -> dict[str, str]:
    return {names.get(name, name): value for name, value in ROW.items()}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        *(("start_image", other) for other in ("First_Frame", "start_image_url", "image_url")),
        *(("end_image", other) for other in ("last_frame", "end_image_url", "tail_image_url")),
        *(("prompt", other) for other in ("text", " Description ")),
    ],
)
def test_a_column_of_another_name_means_the_same_and_is_shown(
    tmp_path: Path, name: str, other: str
) -> None:
    same = one(tmp_path, ROW)
    found = read(tmp_path, renamed(**{name: other}))
    assert [row.spec.key for row in found.rows] == [same.spec.key]
    assert found.mapped == {other: name}
    assert planned.column_lines([found]) == [f"  columns: {other} → {name}"]


def test_nothing_is_shown_where_all_columns_have_their_own_names(tmp_path: Path) -> None:
    assert planned.column_lines([read(tmp_path, {**ROW, "order": "1"})]) == []


def test_columns_that_mean_nothing_here_are_shown(tmp_path: Path) -> None:
    found = read(tmp_path, {**ROW, "Length": "10", "order": "1", "note": "x"})
    assert planned.column_lines([found]) == ["  own columns, kept in the results: Length, note"]


@pytest.mark.parametrize("name", ["title", "id", "filename"])
def test_a_clip_is_named_by_what_other_tools_call_its_name(tmp_path: Path, name: str) -> None:
    assert one(tmp_path, {**ROW, name: "spring"}).name == "spring"


def test_two_columns_that_mean_one_are_named_both_with_the_way_out(tmp_path: Path) -> None:
    row = {**ROW, "First_Frame": "https://example.com/other.png"}
    said = refused(tmp_path, row)
    assert "'start_image' and 'First_Frame' mean the same column" in said
    assert "--keep first_frame" in said
    kept = one(tmp_path, row, keep=("first_frame",))
    assert kept.spec.start.source == ROW["start_image"]
    assert kept.extra == {"First_Frame": "https://example.com/other.png"}


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("promt", "prompt"),
        ("Duraton", "duration"),
        ("start_imge", "start_image"),
        ("take", "takes"),
        ("negative_promt", "negative_prompt"),
        ("sequense", "sequence"),
        ("modle", "model"),
        ("nmae", "name"),
        ("takse", "takes"),
    ],
)
def test_a_slip_in_a_name_is_pointed_at_and_can_be_let_through(
    tmp_path: Path, slip: str, meant: str
) -> None:
    row = {**ROW, slip: "x"}
    said = refused(tmp_path, row)
    assert f"column '{slip.lower()}'" in said
    assert f"rename it if you mean '{meant}'" in said
    assert one(tmp_path, row, keep=(slip,)).extra == {slip: "x"}


def test_what_is_wrong_with_the_rows_is_reported_beside_what_is_wrong_with_the_columns(
    tmp_path: Path,
) -> None:
    said = refused(tmp_path, {**ROW, "seed": "7", "nmae": "x", "duration": "9", "prompt": ""})
    assert "4 problems" in said
    for column in ("seed", "nmae", "duration", "prompt"):
        assert f"column '{column}'" in said


def test_a_missing_column_is_reported_beside_those_that_there_are_as_the_file_spells_them(
    tmp_path: Path,
) -> None:
    said = refused(tmp_path, {"TEXT": "x", "First_Frame": ROW["start_image"], "seed": "7"})
    assert "the header has TEXT, First_Frame, seed" in said
    assert "column 'seed': Kling O1 would ignore it" in said


@pytest.mark.parametrize(
    "name", ["start_time", "end_time", "notes", "shot", "scene", "style", "state", "image"]
)
def test_a_column_of_its_own_is_carried_through_untouched(tmp_path: Path, name: str) -> None:
    assert one(tmp_path, {**ROW, name.title(): " a  b "}).extra == {name.title(): " a  b "}


def test_a_column_that_the_endpoint_would_ignore_is_refused_unless_it_is_let_through(
    tmp_path: Path,
) -> None:
    row = {**ROW, "seed": "7"}
    assert "Kling O1 would ignore it: it has no seed" in refused(tmp_path, row)
    kept = one(tmp_path, row, keep=("seed",))
    assert kept.extra == {"seed": "7"}
    assert "seed" not in kept.spec.parameters


def test_a_column_that_has_a_meaning_can_not_be_let_through_unread(tmp_path: Path) -> None:
    said = refused(tmp_path, {**ROW, "duration": "10"}, keep=("duration",))
    assert "remove --keep duration" in said


def test_sequence_and_order_are_kept_with_the_row(tmp_path: Path) -> None:
    row = one(tmp_path, {**ROW, "Sequence": "intro", "order": "0"})
    assert row.extra == {"sequence": "intro", "order": "0"}


@pytest.mark.parametrize("order", ["-1", "first", "1.5"])
def test_an_order_is_a_whole_number_from_zero_on(tmp_path: Path, order: str) -> None:
    assert "row 2, column 'order'" in refused(tmp_path, {**ROW, "order": order})


def test_every_row_without_takes_has_as_many_as_were_asked_for(tmp_path: Path) -> None:
    rows = [{**ROW, "takes": ""}, {**ROW, "prompt": "Rain.", "takes": "1"}]
    takes = [(row.number, row.spec.take) for row in read(tmp_path, *rows, takes=3).rows]
    assert takes == [(2, 1), (2, 2), (2, 3), (3, 1)]


def test_a_default_stands_where_a_cell_is_empty_or_missing_and_nowhere_else(
    tmp_path: Path,
) -> None:
    rows = [{**ROW, "Duration": ""}, {**ROW, "Duration": "5", "prompt": "Rain."}]
    read_ = read(tmp_path, *rows, defaults={"duration": "10", "title": "spring"})
    assert [row.spec.parameters["duration"] for row in read_.rows] == ["10", "5"]
    assert [row.name for row in read_.rows] == ["spring", "spring"]
    assert "seed" in refused(tmp_path, ROW, defaults={"seed": "7"})


def test_two_defaults_for_one_column_are_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, ROW, defaults={"text": "a", "prompt": "b"})
    assert "the defaults of text and prompt (--set) name one column twice" in said


def test_empty_columns_without_a_name_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(",".join(ROW) + ",,\n" + ",".join(ROW.values()) + ",,\n", encoding="utf-8")
    (row,) = manifest.read(path, Reading()).rows
    assert row.extra == {}
