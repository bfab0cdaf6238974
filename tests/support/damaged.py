"""Manifests of every format, damaged as a seed says.

A damage knows its format: a workbook is damaged inside of its parts, and a text where it is quoted.
"""

import csv
import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from support import workbooks

A, B = "https://example.com/a.png", "https://example.com/b.png"
COLUMNS = ("prompt", "start_image", "end_image", "duration", "note", "tags")
ROWS = (
    ("melts, slowly", A, B, "10", "one; two", "a b"),
    ('she says "go"\nand goes', B, A, "5", "", ""),
    ("Frühling — 春 {note}", A, B, "5", "NA", "c"),
    ("x", A, B, "5", "007", ""),
)


def _delimited(separator: str, encoding: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([COLUMNS, *ROWS])
    return text.getvalue().encode(encoding)


def _objects() -> list[dict[str, object]]:
    found: list[dict[str, object]] = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    found[0] |= {"duration": 10, "tags": ["a", "b"]}
    return found


def _parquet(**how: object) -> bytes:
    columns: dict[str, object] = dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True))
    columns |= {"duration": pa.array([5, 5, 10, None]), "tags": [["a", "b"], [], None, ["c"]]}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, **how)
    return file.getvalue()


WHOLE: dict[str, Sequence[bytes]] = {
    "csv": [_delimited(",", "utf-8"), _delimited(";", "utf-8-sig"), _delimited(",", "utf-16")],
    "tsv": [_delimited("\t", "utf-8")],
    "json": [json.dumps(_objects()).encode(), json.dumps(_objects(), indent=1).encode("utf-16")],
    "jsonl": ["\n".join(map(json.dumps, _objects())).encode()],
    "xlsx": [
        workbooks.book([COLUMNS, *ROWS]),
        workbooks.book([COLUMNS, *ROWS], shared=True),
        workbooks.of_openpyxl([COLUMNS, *ROWS]),
    ],
    "parquet": [
        _parquet(),
        _parquet(compression="zstd", row_group_size=2),
        _parquet(use_dictionary=False, data_page_version="2.0", compression="gzip"),
    ],
}
"""Files with nothing wrong, by how their names end."""

_TOKENS: Sequence[bytes] = (
    *(
        b"",
        b"\0",
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"\r",
        b"\n",
        b"\r\n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ),
    *(b"{", b"}", b"[", b"]", b":", b"\\", b"null", b"NaN", b"1e999", b"-0", b"9" * 5_000),
    *(b"\\ud800", b"\\u0000", b"\xed\xa0\x80", b"{}", b"[[[]]]", b"{prompt}", b"{row:0999}"),
    *(b"<", b">", b"&", b"&#0;", b"&x;", b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b"]]>", b"</row>"),
    *(b"-1", b"0", b"4294967295", b"18446744073709551616", b"1.5", b"true", b"A1", b"XFD1048576"),
    *(b"../../etc/passwd", b"=1+1", b"@image3", b"https://", b"\xf0\x9f\x98\x80" * 50),
)


def damaged(suffix: str, seed: int) -> bytes:
    """Return a damaged file; the same one for the same seed."""
    chance = random.Random(f"{suffix} {seed}")
    data = chance.choice(WHOLE[suffix])
    if suffix == "xlsx" and chance.random() < 0.85:
        return _with_damaged_part(data, chance)
    return _hurt(data, chance)


def _hurt(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        data = chance.choice(_DAMAGES)(data, chance)
    return data


def _with_damaged_part(data: bytes, chance: random.Random) -> bytes:
    parts = workbooks.parts(data)
    name = chance.choice(list(parts))
    match chance.randrange(8):
        case 0:
            del parts[name]
        case 1:
            parts[name] = parts[chance.choice(list(parts))]
        case 2:
            parts[name] = parts[name].decode().encode("utf-16")
        case _:
            parts[name] = _hurt(parts[name], chance)
    return workbooks.packed(parts, chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def _slice(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((1, 4, 16, 64, 256)))


def _flipped(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 5, 20)) if data else 0):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def _cut_off(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _cut_out(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:start] + data[end:]


def _repeated(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:end] + data[start:end] * chance.choice((1, 2, 100)) + data[end:]


def _with_token(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    kept = end if chance.random() < 0.5 else start
    return data[:start] + chance.choice(_TOKENS) + data[kept:]


def _with_other_number(data: bytes, chance: random.Random) -> bytes:
    """Put something else where a digit stands: a reference, a count, an index."""
    places = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    if not places:
        return data
    place = chance.choice(places)
    return data[:place] + chance.choice(_TOKENS) + data[place + 1 :]


_DAMAGES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    *(_flipped, _flipped, _cut_off, _cut_out, _repeated, _with_token, _with_token),
    _with_other_number,
)
