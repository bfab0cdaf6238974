"""Prompts with places to fill in: what is filled is what is checked, sent and keyed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError
from tweenbatch.manifest import Reading, templates
from tweenbatch.records.manifest import Row

FRAMES = {"start_image": "https://example.com/a.png", "end_image": "https://example.com/b.png"}


def one(folder: Path, row: dict[str, str], **defaults: str) -> Row:
    path = manifests.write(folder / "manifest.csv", [{**row, **FRAMES}])
    (only,) = manifest.read(path, Reading(defaults=defaults)).rows
    return only


def refused(folder: Path, row: dict[str, str], **defaults: str) -> str:
    with pytest.raises(ManifestError) as refusal:
        one(folder, row, **defaults)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("{name} in {Season}", "spring in May"),
        ("{ season }, {SEASON}", "May, May"),
        ("{title}: {first_frame}", f"spring: {FRAMES['start_image']}"),
        ("{{name}} {name}", "{name} spring"),
        ("no braces", "no braces"),
    ],
)
def test_places_are_filled_from_the_columns_of_the_row(
    tmp_path: Path, prompt: str, filled: str
) -> None:
    row = one(tmp_path, {"prompt": prompt, "name": "spring", "season": "May"})
    plain = one(tmp_path, {"prompt": "x", "name": "spring", "season": "May"})
    assert row.spec.prompt == filled
    assert row.spec.key != plain.spec.key


def test_what_is_filled_in_is_not_filled_again(tmp_path: Path) -> None:
    assert one(tmp_path, {"prompt": "{a}", "a": "{b}", "b": "x"}).spec.prompt == "{b}"


def test_a_prompt_for_all_rows_needs_no_column(tmp_path: Path) -> None:
    row = one(tmp_path, {"name": "spring"}, prompt="{name} and {more}", more="rain")
    assert row.spec.prompt == "spring and rain"


def test_a_default_fills_where_the_cell_is_empty(tmp_path: Path) -> None:
    row = {"prompt": "{season}", "season": " "}
    assert "fill in the cell, or fill in all empty ones with --set" in refused(tmp_path, row)
    assert one(tmp_path, row, Season="May").spec.prompt == "May"


@pytest.mark.parametrize(
    ("prompt", "wrong"),
    [
        (
            "{sesaon}",
            "has {sesaon}, but there is no such column; the columns are season, start_",
        ),
        ("{}", "has {}, but there is no such column"),
        ("{prompt}", "has {prompt}, but there is no such column"),
        ("{season.__class__}", "there is no such column"),
        ("{season!r}", "there is no such column"),
        ("a } b", "has a single }; write }} for a literal brace"),
        ("a { b", "has a single {; write {{ for a literal brace"),
        ("{season:04}", "'May' isn't a whole number"),
    ],
)
def test_a_place_that_can_not_be_filled_is_a_problem_of_its_row(
    tmp_path: Path, prompt: str, wrong: str
) -> None:
    said = refused(tmp_path, {"prompt": prompt, "season": "May"})
    assert "row 2, column 'prompt'" in said
    assert wrong in said


def test_the_filled_prompt_is_what_is_checked(tmp_path: Path) -> None:
    said = refused(tmp_path, {"prompt": "{a}{a}", "a": "x" * 1300})
    assert "has 2600 characters" in said


@given(st.text(), st.dictionaries(st.text(alphabet="ab"), st.text()))
def test_doubled_braces_come_out_single_and_all_else_untouched(
    text: str, values: dict[str, str]
) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert templates.fill(doubled, values, named=str) == (text, [])
