"""The results file: whatever the texts are, each row stays one row and no cell is a formula."""

import csv
import io
import json
from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tweenbatch import manifest
from tweenbatch.manifest import Reading
from tweenbatch.manifest.prompts import problems
from tweenbatch.models import KLING_O1
from tweenbatch.records import Billed, ExportRow
from tweenbatch.report import results
from tweenbatch.states import State

A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
NUMBERS = ("row", "take", "bytes", "seconds", "width", "height", "attempts", "cost_usd")

cells = st.text(
    alphabet=st.one_of(
        st.sampled_from(["=", "+", "-", "@", "\t", "\r", "\n", "'", '"', ",", ";", " ", "\ufeff"]),
        st.characters(codec="utf-8", exclude_characters="\0"),
    ),
    max_size=12,
)

prompts = cells.filter(lambda text: not problems(text or "x", max_chars=12))


def row(**facts: Any) -> ExportRow:
    usual: dict[str, Any] = {
        **dict.fromkeys(results.COLUMNS),
        "extra": {},
        "manifest": "/jobs/manifest.csv",
        "row": 2,
        "name": "clip",
        "state": State.SUCCEEDED,
        "take": 1,
        "endpoint": KLING_O1.id,
        "prompt": "Snow melts.",
        "start_image": "https://example.com/a.png",
        "end_image": "https://example.com/b.png",
        "duration": "5",
        "bytes": 27_000_000,
        "seconds": 5.04,
        "width": 1280,
        "height": -1,
        "attempts": 1,
        "cost_usd": Decimal("-0.56"),
        "billed": Billed.YES,
    }
    return ExportRow(**{**usual, **facts})


def written(
    rows: list[ExportRow], *, raw: bool = False, extra: Iterable[str] = ()
) -> list[dict[str, str]]:
    file = io.StringIO(newline="")
    assert partial(results.csv, raw=raw, extra=extra)(rows, file) == len(rows)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5))
def test_each_row_stays_one_row_without_a_formula(texts: list[tuple[str, str, str]]) -> None:
    rows = [row(name=name, prompt=prompt, error_message=message) for name, prompt, message in texts]
    read = written(rows)
    assert len(read) == len(rows)
    for each in read:
        assert each.keys() > set(NUMBERS)
        for name, cell in each.items():
            if name not in NUMBERS:
                assert not cell.strip(" \ufeff").startswith(A_FORMULA), name


def test_numbers_stay_numbers() -> None:
    (read,) = written([row()])
    assert (read["height"], read["cost_usd"], read["seconds"]) == ("-1", "-0.56", "5.04")
    assert read["bytes"] == "27000000"


@pytest.mark.parametrize("name", sorted({*results.COLUMNS} - {*NUMBERS, "finished_at"}))
def test_every_column_of_texts_is_kept_from_holding_a_formula(name: str) -> None:
    (read,) = written([row(**{name: "=1+1"})])
    assert read[name] == "'=1+1"


def test_quotes_stand_round_the_cells_that_need_them_alone() -> None:
    file = io.StringIO(newline="")
    texts = {"name": "a,b", "prompt": 'say "a"', "start_image": "a\rb", "end_image": "a\nb"}
    results.csv([row(**texts), row(name="c", prompt="d e")], file)
    assert f',2,"a,b",succeeded,1,{KLING_O1.id},"say ""a""","a\rb","a\nb",5,' in file.getvalue()
    assert f",2,c,succeeded,1,{KLING_O1.id},d e," in file.getvalue()
    assert file.getvalue().count('"') == 12


def test_rows_keep_their_order_and_their_cells_over_many_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "PAGE", 2)
    texts = ["=a", "b,c", "", "d", 'e"']
    read = written([row(row=n, name=text, extra={"x": text}) for n, text in enumerate(texts)])
    assert [(each["row"], each["name"].removeprefix("'")) for each in read] == [
        (str(n), text) for n, text in enumerate(texts)
    ]


@given(prompt=cells, name=cells)
def test_raw_leaves_every_text_as_it_is(prompt: str, name: str) -> None:
    (read,) = written([row(prompt=prompt, name=name)], raw=True)
    assert (read["prompt"], read["name"]) == (prompt, name)


@pytest.mark.parametrize("prompt", ["=1+1", "@a", "'=x", "plain"])
def test_json_lines_are_never_changed(prompt: str) -> None:
    file = io.StringIO()
    results.jsonl([row(prompt=prompt)], file)
    assert json.loads(file.getvalue())["prompt"] == prompt


def test_own_columns_stand_behind_the_fixed_ones_as_the_manifest_spells_them() -> None:
    rows = [row(extra={"Shot no.": " 7 ", "a,b": "x"}), row(extra={"Shot no.": ""}), row()]
    read = written(rows, extra=["Shot no.", "a,b"])
    assert list(read[0]) == [*results.COLUMNS, "Shot no.", "a,b"]
    assert [(each["Shot no."], each["a,b"]) for each in read] == [(" 7 ", "x"), ("", ""), ("", "")]


def test_an_own_column_never_takes_the_place_of_a_fixed_one() -> None:
    (read,) = written([row(extra={"State": "mine", "note": "x"})], extra=["State", "note"])
    assert list(read) == [*results.COLUMNS, "note"]
    assert read["state"] == "succeeded"


@given(name=cells.filter(lambda text: text.strip().lower() not in results.COLUMNS), text=cells)
def test_own_columns_hold_no_formulas_and_break_no_row(name: str, text: str) -> None:
    (read,) = written([row(extra={name: text})], extra=[name])
    last, cell = list(read.items())[-1]
    assert len(read) == len(results.COLUMNS) + 1
    assert not last.strip(" \ufeff").startswith(A_FORMULA)
    assert not cell.strip(" \ufeff").startswith(A_FORMULA)


def test_json_lines_have_own_columns_behind_the_fixed_ones() -> None:
    file = io.StringIO()
    results.jsonl([row(extra={"note": "x"}), row()], file, extra=["note"])
    first, second = map(json.loads, file.getvalue().splitlines())
    assert list(first) == list(second) == [*results.COLUMNS, "note"]
    assert (first["note"], second["note"]) == ("x", None)


def test_a_redacted_file_leaves_own_columns_empty() -> None:
    secret = results.redacted([row(extra={"note": "secret"})])
    (read,) = written(list(secret), extra=["note"])
    assert read["note"] == ""


SECRETS = {
    "prompt": "the secret prompt",
    "start_image": "secret/a.png",
    "end_image": "secret/b.png",
    "video_url": "https://v3.fal.media/files/secret.mp4",
    "request_id": "secret-request",
    "error_message": "fal says: secret",
}


@pytest.mark.parametrize("raw", [False, True])
def test_a_redacted_csv_differs_only_in_what_must_not_be_shown(*, raw: bool) -> None:
    (whole,) = written([row(**SECRETS)], raw=raw)
    (shared,) = written(list(results.redacted([row(**SECRETS)])), raw=raw)
    assert list(shared) == list(whole) == list(results.COLUMNS)
    assert shared == whole | dict.fromkeys(SECRETS, "")


def test_redacted_json_lines_differ_in_what_must_not_be_told_alone() -> None:
    whole, shared = io.StringIO(), io.StringIO()
    results.jsonl([row(**SECRETS)], whole)
    results.jsonl(results.redacted([row(**SECRETS)]), shared)
    expected = json.loads(whole.getvalue()) | dict.fromkeys(SECRETS, "")
    assert json.loads(shared.getvalue()) == expected
    assert list(expected) == list(results.COLUMNS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(prompts, cells), min_size=1, max_size=5))
def test_an_export_read_as_a_manifest_asks_for_the_same_clips(
    tmp_path: Path, texts: list[tuple[str, str]]
) -> None:
    # As a table holds them: a manifest's cells lose the blanks round them.
    kept = [(prompt.strip() or "x", name.strip()) for prompt, name in texts]
    path = tmp_path / "again.csv"
    rows = [row(prompt=prompt, name=name) for prompt, name in kept]
    results.write_file(rows, path, results.csv)
    again = manifest.read(path, Reading(endpoint=KLING_O1))
    assert [(each.spec.prompt, each.name) for each in again.rows] == kept
