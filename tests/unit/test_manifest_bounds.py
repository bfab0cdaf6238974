"""Bounds stop a hostile manifest, let an ordinary one through, and name the limit."""

import io
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from support import bombs, workbooks
from tweenbatch.errors import MOST_CHARS_SHOWN, ManifestError, Problem
from tweenbatch.frames.cache import FrameCache
from tweenbatch.manifest import Reading, read, read_all
from tweenbatch.manifest.formats.bounds import MAX_COLUMNS, MAX_PROBLEMS
from tweenbatch.records import CachedFrame

A, B = "https://example.com/a.png", "https://example.com/b.png"
HEAD = ["prompt", "start_image", "end_image"]


def refused(path: Path) -> str:
    with pytest.raises(ManifestError) as raised:
        read(path, Reading())
    return str(raised.value)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"row_group_size": 7, "compression": "zstd"},
        {"use_dictionary": False, "data_page_version": "2.0"},
        {"use_dictionary": False, "column_encoding": {"prompt": "DELTA_BYTE_ARRAY"}},
        {"dictionary_pagesize_limit": 100},
        {"write_page_index": True, "write_page_checksum": True, "store_schema": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_parquet_file_means_the_same_however_it_is_written(
    tmp_path: Path, how: dict[str, object], kind: object
) -> None:
    prompts = [None, *(f"{'long ' * (number % 90)}{number}" for number in range(6_000))]
    path = tmp_path / "m.parquet"
    table = pa.table(
        {
            "prompt": pa.array(prompts, kind),
            "start_image": pa.array([A] * len(prompts), kind),
            "end_image": pa.array([None, *[B] * 6_000], kind),
            "tags": pa.array([[], *[["a", None, "b"]] * 6_000], pa.list_(kind)),
        }
    )
    parquet.write_table(table.slice(1), path, **how)
    rows = list(read(path, Reading()).rows)
    assert [row.prompt for row in rows] == prompts[1:]
    assert {(row.start_image, row.end_image, row.tags) for row in rows} == {(A, B, ("a", "b"))}
    parquet.write_table(table, path, **how)
    assert "row 2, column 'prompt': is empty" in refused(path)


def test_a_prompt_that_all_rows_share_is_read_from_a_small_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({name: ["y" * 2_400] * 20_000 for name in HEAD})
    frame = frame.assign(start_image=A, end_image=B)
    path = tmp_path / "m.parquet"
    frame.to_parquet(path)
    assert path.stat().st_size < 20_000
    assert len(read(path, Reading()).rows) == 20_000


def test_a_manifest_may_have_a_thousand_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    more = [f"shot {number}" for number in range(MAX_COLUMNS - len(HEAD))]
    frame = pd.DataFrame([["x", A, B, *more]] * 3, columns=HEAD + more)
    frame.to_csv(path, index=False)
    (row, *_) = read(path, Reading()).rows
    assert row.extra["shot 996"] == "shot 996"
    frame.assign(another="x").to_csv(path, index=False)
    assert "the header has 1,001 columns; a manifest has at most 1,000" in refused(path)


def test_a_sheet_that_somebody_formatted_to_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    styled = '<row r="7"><c r="B7" s="0"/></row><row r="1048576" ht="5"><c r="XFD1048576"/></row>'
    book = workbooks.book([HEAD, ["x", A, B]], shared=True)
    book = workbooks.altered(
        book, workbooks.SHEET, workbooks.before(b"</sheetData>", styled.encode())
    )
    path.write_bytes(book)
    assert [row.number for row in read(path, Reading()).rows] == [2]


@pytest.mark.parametrize("number", [1, 2, 0, -5, 1_048_577])
def test_a_row_that_is_not_where_it_says_is_never_passed_over(tmp_path: Path, number: int) -> None:
    path = tmp_path / "m.xlsx"
    row = f'<row r="{number}"><c t="str"><v>x</v></c></row>'
    book = workbooks.book([HEAD, ["x", A, B]])
    path.write_bytes(
        workbooks.altered(book, workbooks.SHEET, workbooks.before(b"</sheetData>", row.encode()))
    )
    assert f"row {number} comes after row 2; the workbook is damaged" in refused(path)


def test_pieces_of_a_rich_text_are_one_text_without_its_reading_aid(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    aid = b"<rPh sb='0' eb='3'><t>aid</t></rPh>"
    rich = b"<si><r><t>she </t></r><r><rPr><b/></rPr><t>goes</t></r>" + aid + b"</si>"
    book = workbooks.book([HEAD, ["x", A, B]], shared=True)
    book = workbooks.altered(
        book, workbooks.STRINGS, lambda text: text.replace(b"<si><t>x</t></si>", rich)
    )
    path.write_bytes(book)
    assert [row.prompt for row in read(path, Reading()).rows] == ["she goes"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("columns.csv", "the header has 1,000,000 columns"),
        ("names.json", "its objects have more than 1,000 different names"),
        ("one long name.csv", "the column names have more than 50,000 characters"),
        ("objects.parquet", "column 'note' has the type struct<a: int64>"),
        ("one too long word.parquet", "a cell has 1,000,000 characters; at most 131,072 are read"),
        ("laughs.xlsx", "it declares XML entities"),
        ("laughs in UTF-16.xlsx", "it declares XML entities"),
        ("laughs in a style.xlsx", "it declares XML entities"),
        ("outside.xlsx", "it declares XML entities"),
        ("bzip2.xlsx", "has an unsupported compression"),
        ("farther.xlsx", "row 2000000000 comes after row 2"),
        ("sheets.xlsx", "it has more than 1,000 sheets"),
        ("a lie.xlsx", "can't be read as XLSX (Bad CRC-32 for file 'xl/sharedStrings.xml')"),
    ],
)
def test_what_is_too_much_is_reported(tmp_path: Path, name: str, words: str) -> None:
    data = bombs.BOMBS[name]()
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    assert words in refused(path)


def test_more_problems_than_anybody_reads_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(",".join(HEAD) + "\n" + "x\n" * (MAX_PROBLEMS + 10))
    with pytest.raises(ManifestError) as raised:
        read(path, Reading())
    *_, last = raised.value.problems
    assert len(raised.value.problems) == MAX_PROBLEMS + 1
    assert last.message == "there are more than 100,000 problems; the rest was not read"


def test_a_long_text_is_shown_with_its_start_and_its_end() -> None:
    problem = Problem(message=f"is '{'x' * 100_000}'; write less", column="note", row=2)
    said = str(problem)
    assert len(said) < MOST_CHARS_SHOWN + 100
    assert said.startswith("row 2, column 'note': is 'xxx")
    assert said.endswith("xxx'; write less")


def test_a_fault_of_ours_in_one_file_is_reported_for_that_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def recall(paths: Iterable[str]) -> Mapping[str, CachedFrame]:
        raise RuntimeError(str(list(paths)))

    for name, frame in (("a.csv", "a.png"), ("b.csv", A)):
        (tmp_path / name).write_text(f"{','.join(HEAD)}\nx,{frame},{frame}\n")
        (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ManifestError) as raised:
        read_all(
            [tmp_path / "a.csv", tmp_path / "b.csv"], Reading(memory=FrameCache(recall=recall))
        )
    assert raised.value.path == tmp_path / "a.csv"
    assert raised.value.others == ()
    (problem,) = raised.value.problems
    assert problem.message.startswith("can't be read because of a bug in tweenbatch (RuntimeError)")
    assert "manifest not read" in caplog.text


@pytest.mark.parametrize("failure", [OSError("disk full"), MemoryError()], ids=repr)
def test_what_is_wrong_with_the_machine_is_not_told_of_a_file(
    tmp_path: Path, failure: Exception
) -> None:
    def recall(paths: Iterable[str]) -> Mapping[str, CachedFrame]:
        del paths
        raise failure

    (tmp_path / "a.csv").write_text(f"{','.join(HEAD)}\nx,a.png,a.png\n")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(type(failure)):
        read_all([tmp_path / "a.csv"], Reading(memory=FrameCache(recall=recall)))


@pytest.mark.skipif(sys.platform != "linux", reason="others refuse such names themselves")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "\udcff.csv"
    path.write_text(f"{','.join(HEAD)}\nx,{A},{B}\n")
    assert "the name of the file or its folder isn't UTF-8; rename it" in refused(path)


def test_a_workbook_that_openpyxl_warns_of_says_nothing_on_the_screen(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "m.xlsx"
    book = io.BytesIO(workbooks.of_openpyxl([[*HEAD, "note"], ["x", A, B, "1"]]))
    parts = workbooks.parts(book.getvalue())
    del parts["xl/theme/theme1.xml"]
    path.write_bytes(workbooks.packed(parts))
    read(path, Reading())
    assert list(recwarn) == []
