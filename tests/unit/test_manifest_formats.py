"""The same rows mean the same in every format; other files are refused with a message."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tweenbatch.errors import ManifestError, Problem
from tweenbatch.manifest import Reading, from_dataframe, read, read_all
from tweenbatch.manifest.rows import LEFTOVERS
from tweenbatch.records.manifest import Manifest

A, B = "https://example.com/a.png", "https://example.com/b.png"
COLUMNS = ["prompt", "start_image", "end_image", "duration", "note"]
ROWS: list[list[str]] = [
    ["melts, slowly", A, B, "10", "one; two"],
    ['she says "go"\nand goes', B, A, "5", ""],
    ["Frühling — 春", A, B, "5", "NA"],
    ["NA", A, B, "5", "007"],
]
TEXT = "\n".join(",".join(row) for row in [COLUMNS, ["x", A, B, "5", "n"]]) + "\n"


def delimited(rows: list[list[str]], separator: str = ",", **how: Any) -> str:
    return written([COLUMNS, *rows], delimiter=separator, **how)


def written(rows: list[list[str]], **how: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **how).writerows(rows)
    return text.getvalue()


def objects() -> list[dict[str, object]]:
    found: list[dict[str, object]] = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    found[0]["duration"] = 10
    found[1]["note"] = None
    found[2]["duration"] = 5.0
    return found


def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=COLUMNS)


def numbered() -> pd.DataFrame:
    """As a spreadsheet holds it: durations are numbers."""
    return frame().assign(duration=[10, 5, 5, 5])


WRITERS: dict[str, Callable[[Path], object]] = {
    "m.csv": lambda path: path.write_text(delimited(ROWS), "utf-8", newline=""),
    "m.txt": lambda path: path.write_text(delimited(ROWS, ";"), "utf-8", newline=""),
    "mark.csv": lambda path: path.write_text(delimited(ROWS), "utf-8-sig", newline=""),
    "wide.csv": lambda path: path.write_text(delimited(ROWS, "\t"), "utf-16", newline=""),
    "big-endian.csv": lambda path: path.write_bytes(
        b"\xfe\xff" + delimited(ROWS).encode("utf-16-be")
    ),
    "excel.csv": lambda path: path.write_text(
        "sep=;\r\n" + delimited(ROWS, ";"), "utf-8", newline=""
    ),
    "m.tsv": lambda path: path.write_text(delimited(ROWS, "\t"), "utf-8", newline=""),
    "unix.csv": lambda path: path.write_text(
        delimited(ROWS, lineterminator="\n", quoting=csv.QUOTE_ALL), "utf-8", newline=""
    ),
    "spreadsheet.csv": lambda path: path.write_text(
        written([[*row, "", "", ""] for row in [COLUMNS, *ROWS]] + [[""] * 8] * 50),
        "utf-8",
        newline="",
    ),
    "m.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, objects())), "utf-8"),
    "m.json": lambda path: path.write_text(json.dumps(objects(), indent=1), "utf-8"),
    "m.parquet": lambda path: frame().to_parquet(path),
    "numbers.parquet": lambda path: numbered().to_parquet(path),
    "m.xlsx": lambda path: numbered().to_excel(path, index=False),
    "no-suffix": lambda path: path.write_text(json.dumps(objects()), "utf-8"),
}


def keys(manifest: Manifest) -> list[tuple[str, str]]:
    return [(row.spec.key, row.extra["note"]) for row in manifest.rows]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    path = tmp_path_factory.mktemp("expected") / "m.csv"
    WRITERS["m.csv"](path)
    return keys(read(path, Reading()))


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_rows_are_the_same_jobs_in_every_format(
    tmp_path: Path, name: str, expected: list[tuple[str, str]]
) -> None:
    WRITERS[name](tmp_path / name)
    assert keys(read(tmp_path / name, Reading())) == expected


def test_a_dataframe_is_read_like_a_file_at_its_path(
    tmp_path: Path, expected: list[tuple[str, str]]
) -> None:
    found = from_dataframe(numbered(), tmp_path / "frame", Reading())
    assert keys(found) == expected
    assert found.path == tmp_path / "frame"
    again = from_dataframe(numbered(), tmp_path / "frame", Reading())
    assert again.sha256 == found.sha256


def test_a_dataframe_with_problems_names_them_all(tmp_path: Path) -> None:
    wrong = numbered().assign(duration=[7, float("nan"), 5, 5])
    with pytest.raises(ManifestError) as raised:
        from_dataframe(wrong, tmp_path / "frame", Reading())
    assert [(each.row, each.column) for each in raised.value.problems] == [(2, "duration")]


many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
prompts = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="{}'@"), min_size=1
).filter(lambda text: text.strip() == text and text not in LEFTOVERS)


@many
@given(
    rows=st.lists(prompts, min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_prompt_survives_separators_quotes_and_encodings(  # noqa: PLR0917
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[str],
    separator: str,
    line_end: str,
    quoting: int,
    encoding: str,
) -> None:
    path = tmp_path_factory.mktemp("any") / "m.csv"
    cells = [[prompt, A, B, "5", ""] for prompt in rows]
    text = delimited(cells, separator, lineterminator=line_end, quoting=quoting)
    path.write_text(text, encoding, newline="")
    assert [row.spec.prompt for row in read(path, Reading()).rows] == rows


def problems(path: Path, content: bytes | str) -> list[Problem]:
    if isinstance(content, str):
        path.write_text(content, "utf-8", newline="")
    else:
        path.write_bytes(content)
    with pytest.raises(ManifestError) as raised:
        read(path, Reading())
    return list(raised.value.problems)


HEAD = ",".join(COLUMNS) + "\n"
GOOD = f"x,{A},{B},5,n\n"

BAD_FILES: dict[str, tuple[bytes | str, list[str]]] = {
    "empty.csv": ("", ["the file is empty"]),
    "blank.csv": (" \n\n", ["the file is empty"]),
    "latin.csv": (
        HEAD.encode() + GOOD.encode() + b"\xe4," + GOOD[2:].encode(),
        [f"byte {len(HEAD) + len(GOOD) + 1} of the file, on line 3, is not UTF-8; save the file"],
    ),
    "half.csv": (
        "\ufeff".encode("utf-16-le") + HEAD.encode("utf-16-le") + b"\x00\xd8,\x00",
        ["on line 2, is not UTF-16; save the file as 'CSV UTF-8'"],
    ),
    "nul.csv": (HEAD + GOOD + "x\0" + GOOD[1:], ["NUL byte on line 3; this isn't a text file"]),
    "unmarked.csv": (
        (HEAD + GOOD).encode("utf-16-be"),
        ["on line 1; this may be UTF-16 or UTF-32 without a byte order mark; save the file"],
    ),
    "wide.csv": (
        (HEAD + GOOD).encode("utf-32"),
        ["this may be UTF-16 or UTF-32 without a byte order mark"],
    ),
    "open.csv": (
        HEAD + GOOD + f'"x,{A},{B},5,n\n' + GOOD * 3,
        [
            'row 3: a quote (") opens here and is not closed',
            "the rest of the file could not be read",
        ],
    ),
    "swallowed.csv": (
        HEAD + f'"x,{A},{B},5,n\n' + GOOD * 3 + f'"y",{A},{B},5,n\n',
        ['row 2: a quote (") opens here and is not closed'],
    ),
    "closed later.csv": (
        HEAD + f'"x,{A},{B},5,n\n' + GOOD + f'z",{A},{B},5,n\n' + f"x,{A},{B},7,n\n",
        [
            'row 2: a quote (") opens here and closes several rows later, so that one cell',
            "row 3 (line 5), column 'duration': is '7'",
        ],
    ),
    "old mac.csv": (
        (HEAD + GOOD).replace("\n", "\r").encode() + b"\xe4,",
        ["on line 3, is not UTF-8"],
    ),
    "cut off.csv": (
        HEAD.encode() + b"\xc3",
        [f"byte {len(HEAD) + 1}, the last of the file, on line 2,"],
    ),
    "giant.csv": (HEAD + "x" * 200_000 + GOOD, ["row 2: a cell has more than 131,072 characters"]),
    "ragged.csv": (
        HEAD + f"x,y,{A},{B},5,n\n" + GOOD + "x\n" + f"x,{A},{B},7,n\n",
        [
            "row 2: has 6 cells where the header has 5; put quotes around texts",
            "row 4: has 1 cell where the header has 5; add the missing cells",
            "row 5, column 'duration': is '7'",
        ],
    ),
    "drifted.csv": (
        HEAD + f'"two\nlines",{A},{B},5,n\n\n' + f"x,{A},{B},7,n\n",
        ["row 4 (line 5), column 'duration': is '7'"],
    ),
    "twice.csv": ("prompt,Prompt ,start_image,end_image\n", ["column 'prompt': appears twice"]),
    "nameless.csv": (
        f"prompt,,start_image,end_image,\nx,stray,{A},{B},\n",
        ["row 2: has 'stray' in column 2, which has no name in the header"],
    ),
    "leftovers.csv": (
        HEAD + f"nan,{A},{B},5,n\nx,NaN,{B},5,n\nx,nowhere.png,#REF!,7,n\nNone,{A},{B},5,\n",
        [
            "row 2, column 'prompt': is 'nan', which programs write for an empty cell",
            "row 3, column 'start_image': is 'NaN'",
            "row 4, column 'end_image': is '#REF!'",
            "row 4, column 'duration': is '7'",
            "row 4, column 'start_image': 'nowhere.png' does not exist",
            "row 5, column 'prompt': is 'None'",
        ],
    ),
    "broken.jsonl": (
        "\n".join(
            (
                f'{{"prompt": "x", "start_image": "{A}", "end_image": "{B}"}}',
                *('{"prompt": ', "[1]", ""),
                f'{{"prompt": {{"de": "x"}}, "start_image": "{A}", "end_image": "{B}"}}',
                '{"prompt": "a", "prompt": "b"}',
            )
        ),
        [
            "row 2: isn't valid JSON (Expecting value, character 11); write one object a line",
            "row 3: is [1]; expected an object",
            "row 5, column 'prompt': is an object; expected text",
            "row 6: has 'prompt' twice",
        ],
    ),
    "odd.jsonl": (
        "\n".join(
            f'{{"prompt": {prompt}, "start_image": {start}, "end_image": "{B}"}}'
            for prompt, start in [
                ('"x"', '"a\\u0000.png"'),
                ('"\\ud800"', f'"{A}"'),
                ("NaN", f'"{A}"'),
                ("1" * 5000, f'"{A}"'),
            ]
        ),
        [
            "row 1, column 'start_image': has a NUL character",
            "row 2, column 'prompt': has an incomplete character",
            "row 3, column 'prompt': is 'NaN', which programs write for an empty cell",
            "row 4: is nested too deeply, or has too long a number",
        ],
    ),
    "half.jsonl": (
        f'{{"prompt": "x", "start_image": "{A}", "end_image": "{B}", "note": "\\ud800"}}',
        ["row 1, column 'note': has an incomplete character"],
    ),
    "all broken.jsonl": (
        "{,\n[]\n",
        ["row 1: isn't valid JSON", "row 2: is []; expected an object"],
    ),
    "none.json": ("[]", ["there are no rows"]),
    "object.json": ('{"prompt": "x"}', ["is an object; expected an array of objects"]),
    "cut.json": (
        '[{"prompt": "x"}\n  7',
        ["isn't valid JSON: Expecting ',' delimiter, line 2, char"],
    ),
    "lines.json": (
        '{"prompt": "x"}\n{"prompt": "y"}\n',
        ["Extra data, line 2, character 1; if the file has one object a line"],
    ),
    "mixed.json": ('[{"prompt": "x"}, 3]', ["row 2: isn't an object"]),
    "broken.parquet": (b"PAR1 nothing", ["can't be read as Parquet"]),
    "broken.xlsx": (b"PK\x03\x04 nothing", ["can't be read as XLSX"]),
    "old.xls": (b"\xd0\xcf\x11\xe0", ["an old Excel workbook can't be read; save it as XLSX"]),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, name: str) -> None:
    content, expected = BAD_FILES[name]
    found = problems(tmp_path / name, content)
    said = "\n".join(map(str, found))
    for words in expected:
        assert words in said
    starts = [words for words in expected if words.startswith("row ")]
    assert not starts or len(found) == len(starts)


def test_rows_of_empty_cells_are_passed_over_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    one, other = (f"{n},https://e.com/{n}.png,https://e.com/b.png" for n in ("one", "other"))
    path.write_text(f'prompt,start_image,end_image\n,,\n{one}\n,,\n ,"",\n{other}')
    found = read(path, Reading())
    assert [row.number for row in found.rows] == [3, 6]


def test_a_workbook_tells_the_rows_of_its_first_sheet_with_our_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"read me": ["first"]}).to_excel(book, sheet_name="about", index=False)
        numbered().to_excel(book, sheet_name="shots", index=False, startrow=2)
    found = read(path, Reading())
    assert [row.number for row in found.rows] == [4, 5, 6, 7]


def test_a_sheet_that_is_not_read_is_warned_of_and_one_without_our_columns_hinted_at(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame().to_excel(book, sheet_name="empty", index=False)
        pd.DataFrame({"read me": ["first"]}).to_excel(book, sheet_name="about", index=False)
        numbered().to_excel(book, sheet_name="shots", index=False)
    (hint,) = read(path, Reading(strict=True)).warnings
    assert (
        hint.message
        == "only sheet 'shots' is read, not 'about'; save other sheets as separate files"
    )
    with pd.ExcelWriter(path, mode="a") as book:
        numbered().to_excel(book, sheet_name="more", index=False)
    (warning,) = read(path, Reading()).warnings
    assert "only sheet 'shots' is read, not 'about', 'more'" in warning.message
    with pytest.raises(ManifestError, match="not 'about', 'more'"):
        read(path, Reading(strict=True))


def test_what_is_hidden_in_a_workbook_is_not_bought(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    with pd.ExcelWriter(path) as book:
        numbered().assign(prompt="hidden").to_excel(book, sheet_name="old", index=False)
        numbered().to_excel(book, sheet_name="shots", index=False)
        book.sheets["old"].sheet_state = "hidden"
    found = read(path, Reading())
    assert "hidden" not in {row.prompt for row in found.rows}
    assert found.warnings == ()


def test_a_date_where_text_belongs_is_a_problem_and_elsewhere_its_text(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    day = date(2026, 3, 5)
    numbered().assign(note=[day] * 4).to_excel(path, index=False)
    assert {row.extra["note"][:10] for row in read(path, Reading()).rows} == {"2026-03-05"}
    numbered().assign(prompt=["x", day, "y", "z"]).to_excel(path, index=False)
    with pytest.raises(ManifestError) as raised:
        read(path, Reading())
    (found,) = raised.value.problems
    assert (found.row, found.column) == (3, "prompt")
    assert "is the date 2026-03-05" in found.message


@pytest.mark.parametrize(
    ("cell", "words"),
    [("#REF!", "is '#REF!'"), ("=1/0", "is a formula without a result")],
)
def test_a_cell_of_a_workbook_without_a_result_is_never_taken_for_an_empty_one(
    tmp_path: Path, cell: str, words: str
) -> None:
    path = tmp_path / "m.xlsx"
    numbered().assign(end_image=[A, cell, A, A]).to_excel(path, index=False)
    with pytest.raises(ManifestError) as raised:
        read(path, Reading(allow_open_ended=True))
    (found,) = raised.value.problems
    assert (found.row, found.column) == (3, "end_image")
    assert words in found.message


def test_parquet_keeps_large_numbers_and_lists_and_refuses_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    large = pd.array([9007199254740993, None, 1, 2], dtype="Int64")
    tags = [["a", "b"], [], ["c"], []]
    frame().assign(note=large, tags=pd.Series(tags)).to_parquet(path)
    rows = list(read(path, Reading()).rows)
    assert [row.extra["note"] for row in rows] == ["9007199254740993", "", "1", "2"]
    assert [row.tags for row in rows] == [("a", "b"), (), ("c",), ()]
    frame().assign(prompt=[b"x"] * 4).to_parquet(path)
    with pytest.raises(ManifestError, match="has a value of the type bytes"):
        read(path, Reading())


def test_json_lists_are_tags_and_names_of_all_objects_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(
        f'{{"prompt": "x", "start_image": "{A}", "end_image": "{B}", "tags": ["a", "b"]}}\n'
        f'{{"start_image": "{A}", "prompt": "y", "end_image": "{B}", "seen": true}}\n'
    )
    first, second = read(path, Reading()).rows
    assert first.tags == ("a", "b")
    assert (first.extra, second.extra) == ({"seen": ""}, {"seen": "true"})
    assert [first.number, second.number] == [1, 2]


def test_patterns_are_read_in_natural_order_and_each_file_once(tmp_path: Path) -> None:
    for name in ("m10.csv", "m2.csv", "m2.csv.problems.csv"):
        (tmp_path / name).write_text(TEXT if "problems" not in name else "no manifest")
    found = read_all([tmp_path / "m2.csv", tmp_path / "m*.csv"], Reading())
    assert [each.path.name for each in found] == ["m2.csv", "m10.csv"]


def test_a_pattern_without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no file matches this pattern"):
        read_all([tmp_path / "*.csv"], Reading())


def test_the_problems_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEAD + f"x,{A},{B},7,n\n")
    with pytest.raises(ManifestError) as raised:
        read_all([tmp_path / "a.csv", tmp_path / "b.csv"], Reading())
    said = str(raised.value)
    assert "a.csv: 1 problem; nothing was imported" in said
    assert "b.csv: 1 problem; nothing was imported" in said


def test_twenty_of_a_kind_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(HEAD + f"x,{A},{B},7,n\n" * 1500 + f",{A},{B},5,n\n")
    with pytest.raises(ManifestError) as raised:
        read(path, Reading())
    lines = str(raised.value).splitlines()
    assert lines[0].endswith("1501 problems; nothing was imported")
    assert sum("is '7'" in line for line in lines) == 20
    assert "  … and 1,480 more like these" in lines
    assert sum("column 'prompt'" in line for line in lines) == 1


def test_without_a_standard_input_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(ManifestError, match="there is no standard input"):
        read(Path("-"), Reading())


def test_a_csv_is_read_without_the_weight_of_pandas(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(TEXT)
    program = (
        "import sys; from pathlib import Path; from tweenbatch.manifest import Reading, read;"
        "read(Path('m.csv'), Reading()); print('pandas' in sys.modules, 'pyarrow' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "False False\n", ran.stderr
