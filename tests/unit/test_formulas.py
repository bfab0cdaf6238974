"""A text that begins like a formula goes into a spreadsheet as a text, and comes back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.files.csv_injection import all_guarded, bare, guarded

BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")

texts = st.text() | st.builds(
    str.__add__,
    st.text(alphabet=[*BEGINNINGS, "'", " ", "\ufeff", "\u200b", "\u3000"], max_size=4),
    st.text(max_size=5),
)


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("before", ["", " ", "\ufeff", "\u200b", "\u3000", "\ufeff  "])
def test_what_begins_like_a_formula_gets_a_quote_in_front(beginning: str, before: str) -> None:
    text = f"{before}{beginning}cmd|' /C calc'!A0"
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", "Snow melts.", "1-2", "'tis the season", "'"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text
    assert bare(text) == text


@given(texts)
def test_a_guarded_text_comes_back_as_it_was(text: str) -> None:
    assert bare(guarded(text)) == text


@given(texts)
def test_no_guarded_text_begins_like_a_formula(text: str) -> None:
    assert not guarded(text).strip().lstrip("\ufeff\u200b").strip().startswith(BEGINNINGS)


@given(st.lists(texts))
def test_a_column_is_guarded_as_each_of_its_texts_is(column: list[str]) -> None:
    assert all_guarded(column) == [guarded(text) for text in column]
