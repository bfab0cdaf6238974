"""A text that looks like a formula goes into a spreadsheet as a text, and comes back as it was."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.files.csv_injection import all_guarded, bare, guarded

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
BLANKS = " \t\r\n\ufeff\u200b\u3000"

texts = st.text() | st.text(
    alphabet=[*BEGINNINGS, *BLANKS, "'", '"', ";", ",", "a", "1"], max_size=12
)


def is_formula(cell: str) -> bool:
    return cell.lstrip(BLANKS).startswith(BEGINNINGS)


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("before", ["", " ", "\ufeff", "\u200b", "\u3000", "\ufeff  "])
def test_what_begins_like_a_formula_gets_a_quote_in_front(beginning: str, before: str) -> None:
    text = f"{before}{beginning}cmd|' /C calc'!A0"
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Snow;=cmd|'/C calc'!A0", "'Snow;'=cmd|'/C calc'!A0"),
        ("Snow\t=1+1", "'Snow\t'=1+1"),
        ("Snow\n@SUM(A1)", "'Snow\n'@SUM(A1)"),
        ("Snow\r-1", "'Snow\r'-1"),
        ("Snow, ice; ＝1", "'Snow, ice;' ＝1"),
        ('Snow;"=1+1"', "'Snow;'\"=1+1\""),
    ],
)
def test_a_formula_behind_a_break_within_a_cell_is_guarded_too(text: str, expected: str) -> None:
    assert guarded(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a=b",
        "Snow melts.",
        "1-2",
        "'tis the season",
        "'",
        "Snow, @Image1 melts",
        "Snow; ice",
        "Snow\r\nmelts",
        "She says;'@Image1' and goes",
    ],
)
def test_any_other_text_comes_in_as_it_is(text: str) -> None:
    assert bare(text) == text


@pytest.mark.parametrize(
    "text", ["", "a=b", "1-2", "'", "Snow, @Image1 melts", "Snow; ice", "Snow\r\nmelts"]
)
def test_a_text_without_a_formula_goes_out_as_it_is(text: str) -> None:
    assert guarded(text) == text


@given(texts)
def test_a_guarded_text_comes_back_as_it_was(text: str) -> None:
    assert bare(guarded(text)) == text


@given(texts)
def test_a_guarded_text_has_no_formula_at_its_beginning_or_behind_a_break(text: str) -> None:
    guarded_text = guarded(text)
    parts = [guarded_text]
    for separator in (";", "\t", "\n", "\r"):
        parts += [part for each in parts for part in each.split(separator)]
    assert not [part for part in parts if is_formula(part)]


@given(st.lists(texts, min_size=1, max_size=3), st.sampled_from(";\t,"))
def test_no_separator_that_a_reader_may_choose_makes_a_formula(
    cells: list[str], separator: str
) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(map(guarded, ["manifest.csv", *cells]))
    # Any line break ends a line here, as it does in a spreadsheet.
    lines = io.StringIO(written.getvalue(), newline=None)
    for line in csv.reader(lines, delimiter=separator):
        assert not [cell for cell in line if is_formula(cell)]


@given(st.lists(texts))
def test_a_column_is_guarded_as_each_of_its_texts_is(column: list[str]) -> None:
    assert all_guarded(column) == [guarded(text) for text in column]
