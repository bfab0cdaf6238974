"""Small manifests that would take all the time or memory there is, were they believed."""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from support import workbooks
from support.workbooks import SHEET, STRINGS, STYLES, WORKBOOK, altered, before

A = "https://example.com/a.png"
HEAD = "prompt,start_image,end_image"
GOOD = f"x,{A},{A}"
OBJECT = {"prompt": "x", "start_image": A, "end_image": A}
MEGA = 1_000_000

Bomb = Callable[[], bytes | str]


def _named(count: int, length: int = 0) -> str:
    return ",".join(f"{'n' * length}{number}" for number in range(count))


TEXTS: dict[str, Bomb] = {
    "columns.csv": lambda: _named(MEGA),
    "separators.csv": lambda: HEAD + "," * 8 * MEGA,
    "separators.tsv": lambda: HEAD.replace(",", "\t") + "\t" * 8 * MEGA,
    "one wide row.csv": lambda: f"{HEAD}\n{',' * 8 * MEGA}\n",
    "a thousand columns.csv": lambda: _named(1_000) + f"\n{',' * 999}" * 4_000,
    "one long name.csv": lambda: f"{HEAD},{'n' * 130_000}" + f"\n{GOOD}," * 100_000,
    "long names.csv": lambda: f"{HEAD},{_named(997, 190)}" + f"\n{GOOD}{',' * 997}" * 4_000,
    "short rows.csv": lambda: f"{HEAD}\n" + "x\n" * 4 * MEGA,
    "blank rows.csv": lambda: f"{HEAD}\n" + "\n" * MEGA,
    "an open quote.csv": lambda: f'{HEAD}\n"' + "x\n" * 4 * MEGA,
    "quotes.csv": lambda: f"{HEAD}\n" + '"a\n",b,c\n' * 400_000,
    "NULs.csv": lambda: b"\0" * 8 * MEGA,
    "half a character.csv": lambda: HEAD.encode() + b"x" * 8 * MEGA + b"\xff",
    "a template.csv": lambda: f'{HEAD},n\n"{"{n}" * 43_000}",{A},{A},{"y" * 131_000}\n',
    "templates.csv": lambda: f"{HEAD},n\n" + f'"{"{zz}" * 32_000}",{A},{A},y\n' * 50,
    "wide numbers.csv": lambda: (
        f"{HEAD},n\n" + f'"{"{n:01}" * 20_000}",{A},{A},{"y" * 131_000}\n' * 20
    ),
    "images.csv": lambda: (
        f"{HEAD}\n" + f"{' '.join(f'@image{n}' for n in range(11_000))},{A},{A}\n" * 50
    ),
    "paths.csv": lambda: f"{HEAD}\n" + f"x,{'a/' * 60_000},{'b' * 120_000}\n" * 30,
    "names.json": lambda: json.dumps([{f"n{number}": "" for number in range(60_000)}]),
    "a name twice.json": lambda: (
        json.dumps([{f"n{n}": 1 for n in range(60_000)}])[:-2] + ',"n9":2}]'
    ),
    "depth.json": lambda: "[" * MEGA,
    "closed depth.json": lambda: "[" * MEGA + "]" * MEGA,
    "lists.json": lambda: f"[{','.join(['[]'] * 2 * MEGA)}]",
    "numbers.json": lambda: f"[{','.join('1' * 3 * MEGA)}]",
    "empty objects.json": lambda: f"[{','.join(['{}'] * MEGA)}]",
    "a list in a cell.json": lambda: f'[{{"prompt":[{",".join(["[]"] * 2 * MEGA)}]}}]',
    "a long text.json": lambda: json.dumps([OBJECT | {"note": "y" * 8 * MEGA}]),
    "keys.jsonl": lambda: "\n".join(json.dumps({f"key{n}": "x"}) for n in range(20_000)),
    "few rows are full.jsonl": lambda: (
        json.dumps(OBJECT | {f"k{n}": 1 for n in range(900)}) + "\n{}" * MEGA
    ),
    "numbers.jsonl": lambda: "1\n" * 3 * MEGA,
    "depth.jsonl": lambda: '{"a":' * MEGA,
}


def _table(columns: dict[str, Any], **how: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd", **how)
    return file.getvalue()


def _same(text: str, count: int, *, nulls: int = 0) -> Any:
    places = pa.array([None] * nulls + [0] * (count - nulls), pa.int32())
    return pa.DictionaryArray.from_arrays(places, pa.array([text]))


def _with(count: int = MEGA, **columns: Any) -> dict[str, Any]:
    return {name: _same(text, count) for name, text in OBJECT.items()} | columns


def _list(text: str, count: int) -> Any:
    return pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), _same(text, count))


def _random(count: int) -> list[str]:
    chance = random.Random(count)
    return [chance.randbytes(600).hex() for _ in range(count)]


def _delta(length: int, count: int) -> bytes:
    return _table(
        {name: [text] * count for name, text in (OBJECT | {"prompt": "y" * length}).items()},
        use_dictionary=False,
        column_encoding={"prompt": "DELTA_BYTE_ARRAY"},
    )


TABLES: dict[str, Bomb] = {
    "one word.parquet": lambda: _table(_with(note=_same("y" * 4_000, MEGA))),
    "one long word.parquet": lambda: _table(_with(note=_same("y" * 131_000, MEGA))),
    "one too long word.parquet": lambda: _table(_with(note=_same("y" * MEGA, MEGA))),
    "one prompt.parquet": lambda: _table(_with(prompt=_same("y" * 131_000, MEGA))),
    "nothing first.parquet": lambda: _table(_with(note=_same("y" * 130_000, MEGA, nulls=1))),
    "long rows.parquet": lambda: _table(
        _with(4_900, note=_same("y" * 40_000, 4_900), shot=_random(4_900))
    ),
    "rows.parquet": lambda: _table({"prompt": _same("x", 10 * MEGA)}),
    "nothing.parquet": lambda: _table(
        _with(**{f"n{number}": pa.nulls(MEGA, pa.int32()) for number in range(90)})
    ),
    "page.parquet": lambda: _table(_with(1, prompt=["y" * 110 * MEGA]), use_dictionary=False),
    "pages.parquet": lambda: _table(_with(300, prompt=["y" * MEGA] * 300), use_dictionary=False),
    "list.parquet": lambda: _table(_with(1, tags=_list("t", 7 * MEGA))),
    "list of long words.parquet": lambda: _table(_with(1, tags=_list("t" * 100_000, 50_000))),
    "objects.parquet": lambda: _table(_with(2, note=[{"a": 1}, None])),
    "prefixes.parquet": lambda: _delta(100_000, 4_000),
    "long prefixes.parquet": lambda: _delta(MEGA, 300),
    "columns.parquet": lambda: _table({f"c{number}": [1] for number in range(20_000)}),
    "groups.parquet": lambda: _table({"prompt": ["x"] * 11_000}, row_group_size=1),
}

_BOOK = workbooks.book([HEAD.split(","), GOOD.split(",")], shared=True)
_ROWS = b"</sheetData>"


def _row(number: int, cell: str) -> bytes:
    return f'<row r="{number}">{cell}</row>'.encode()


def _rows(cell: str, count: int) -> Callable[[bytes], bytes]:
    return before(_ROWS, b"".join(_row(number, cell) for number in range(3, count)))


def _sheet(change: Callable[[bytes], bytes]) -> bytes:
    return altered(_BOOK, SHEET, change)


def _strings(more: bytes) -> bytes:
    return altered(_BOOK, STRINGS, before(b"</sst>", more))


def _entities(text: bytes) -> bytes:
    laughs = b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10))
    start = b'<!DOCTYPE w [<!ENTITY a "ha">' + laughs + b"]>"
    return start + text.replace(b"<v>0</v>", b"<v>&k;</v>")


def _outside(text: bytes) -> bytes:
    start = b'<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    return start + text.replace(b"<v>0</v>", b"<v>&a;</v>")


def _utf16(text: bytes) -> bytes:
    return ('<?xml version="1.0" encoding="utf-16"?>' + text.decode()).encode("utf-16")


def _sheets(count: int) -> bytes:
    more = "".join(
        f'<sheet name="s{number}" sheetId="{number}" r:id="rId1"/>' for number in range(2, count)
    )
    return altered(_BOOK, WORKBOOK, before(b"</sheets>", more.encode()))


def _repeated(text: str) -> bytes:
    """Return a workbook with one long text in many cells."""
    book = altered(_BOOK, STRINGS, before(b"</sst>", f"<si><t>{text}</t></si>".encode()))
    cell = '<c t="s"><v>5</v></c><c t="s"><v>4</v></c><c t="s"><v>4</v></c>'
    return altered(book, SHEET, _rows(cell, 60_000))


def _lying() -> bytes:
    """Return a workbook in which a part claims to be small."""
    data = bytearray(_strings(b"<si><t>" + b"y" * 50 * MEGA + b"</t></si>"))
    entry = data.rindex(STRINGS.encode()) - 46
    struct.pack_into("<I", data, entry + 24, 1_000)
    return bytes(data)


def _bzip2() -> bytes:
    parts = workbooks.parts(_BOOK)
    return workbooks.packed(parts | {SHEET: b" " * MEGA + parts[SHEET]}, zipfile.ZIP_BZIP2)


BOOKS: dict[str, Bomb] = {
    "empty strings.xlsx": lambda: _strings(b"<si/>" * 2 * MEGA),
    "a string.xlsx": lambda: _strings(b"<si><t>" + b"y" * 145 * MEGA + b"</t></si>"),
    "a string of pieces.xlsx": lambda: _strings(b"<si>" + b"<r><t>y</t></r>" * 2 * MEGA + b"</si>"),
    "strings.xlsx": lambda: _strings(
        b"".join(b"<si><t>%d%s</t></si>" % (n, b"y" * 30_000) for n in range(6_000))
    ),
    "a long text.xlsx": lambda: _repeated("y" * 32_000),
    "a too long text.xlsx": lambda: _repeated("y" * 200_000),
    "unpacked.xlsx": lambda: _sheet(before(_ROWS, b" " * 160 * MEGA)),
    "depth.xlsx": lambda: _sheet(before(_ROWS, b"<a>" * 3 * MEGA)),
    "cells.xlsx": lambda: _sheet(before(_ROWS, _row(3, '<c r="A3"/>' * 3 * MEGA))),
    "rows.xlsx": lambda: _sheet(before(_ROWS, b"<row/>" * 2 * MEGA)),
    "attributes.xlsx": lambda: _sheet(
        before(_ROWS, b"<row " + b" ".join(b'a%d=""' % n for n in range(300_000)) + b"/>")
    ),
    "far.xlsx": lambda: _sheet(
        before(_ROWS, _row(1_048_576, '<c r="XFD1048576" t="str"><v>x</v></c>'))
    ),
    "farther.xlsx": lambda: _sheet(before(_ROWS, _row(2_000_000_000, '<c t="str"><v>x</v></c>'))),
    "dimension.xlsx": lambda: _sheet(
        lambda text: text.replace(b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>')
    ),
    "wide rows.xlsx": lambda: _sheet(_rows('<c r="ALK3"><v>1</v></c>', 100_000)),
    "wide empty rows.xlsx": lambda: _sheet(_rows('<c r="XFD3"/>', 60_000)),
    "formulas.xlsx": lambda: _sheet(
        before(
            _ROWS,
            _row(3, f'<c r="A3"><f t="shared" si="0">{"A1+" * 3_000}1</f><v>1</v></c>')
            + b"".join(
                _row(n, f'<c r="A{n}"><f t="shared" si="0"/><v>1</v></c>') for n in range(4, 50_000)
            ),
        )
    ),
    "styles.xlsx": lambda: altered(_BOOK, STYLES, before(b"</cellXfs>", b"<xf/>" * MEGA)),
    "a long style.xlsx": lambda: altered(
        _BOOK, STYLES, before(b"</cellXfs>", b"<xf a='" + b"y" * 40 * MEGA + b"'/>")
    ),
    "sheets.xlsx": lambda: _sheets(40_000),
    "the same sheet.xlsx": lambda: altered(
        _sheets(900), SHEET, lambda text: text.replace(b"<row", b"<a/>" * 90_000 + b"<row", 1)
    ),
    "laughs.xlsx": lambda: _sheet(_entities),
    "laughs in UTF-16.xlsx": lambda: _sheet(lambda text: _utf16(_entities(text))),
    "laughs in a style.xlsx": lambda: altered(_BOOK, STYLES, _entities),
    "outside.xlsx": lambda: _sheet(_outside),
    "a lie.xlsx": _lying,
    "bzip2.xlsx": _bzip2,
}

BOMBS = TEXTS | TABLES | BOOKS
HARMLESS = {"dimension.xlsx": 1, "wide empty rows.xlsx": 1, "long rows.parquet": 4_900}
"""They are read, so many rows: what they claim counts for nothing, or they are just long."""

STOPPED = {"prefixes.parquet": "it takes too much memory"}
"""Nothing in the file tells what it unfolds to: the want of memory is what refuses it."""
