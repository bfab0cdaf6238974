"""Workbooks out of their XML, also such as no program writes."""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from xml.sax.saxutils import escape

import openpyxl

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
STYLES = "xl/styles.xml"
WORKBOOK = "xl/workbook.xml"
TYPES = "[Content_Types].xml"


def of_openpyxl(rows: Iterable[Sequence[str]]) -> bytes:
    """Return a workbook as openpyxl writes it."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def book(rows: Sequence[Sequence[str]], *, shared: bool = False) -> bytes:
    """Return a workbook of texts; their cells share them, as Excel has it, or hold them."""
    strings = list(dict.fromkeys(text for row in rows for text in row)) if shared else []

    def cell(text: str) -> str:
        if shared:
            return f'<c t="s"><v>{strings.index(text)}</v></c>'
        return f'<c t="inlineStr"><is><t>{escape(text)}</t></is></c>'

    lines = (
        f'<row r="{number}">{"".join(map(cell, row))}</row>' for number, row in enumerate(rows, 1)
    )
    items = "".join(f"<si><t>{escape(text)}</t></si>" for text in strings)
    overrides = {
        WORKBOOK: f"{TYPE}.sheet.main+xml",
        SHEET: f"{TYPE}.worksheet+xml",
        STRINGS: f"{TYPE}.sharedStrings+xml",
        STYLES: f"{TYPE}.styles+xml",
    }
    types = "".join(
        f'<Override PartName="/{part}" ContentType="{kind}"/>' for part, kind in overrides.items()
    )
    texts = {
        TYPES: f'<Types xmlns="{PACKAGE}/content-types">{types}</Types>',
        WORKBOOK: f'<workbook xmlns="{MAIN}" xmlns:r="{DOCUMENT}"><sheets>'
        '<sheet name="shots" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        SHEET: f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>',
        STRINGS: f'<sst xmlns="{MAIN}">{items}</sst>',
        STYLES: f'<styleSheet xmlns="{MAIN}"><cellXfs count="1"><xf/></cellXfs></styleSheet>',
    }
    return packed({name: text.encode() for name, text in texts.items()})


def parts(data: bytes) -> dict[str, bytes]:
    """Return the parts of a workbook by their names."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}


def packed(parts: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a workbook of such parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as package:
        for name, data in parts.items():
            package.writestr(name, data)
    return file.getvalue()


def altered(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return a workbook one part of which is another."""
    found = parts(data)
    found[name] = change(found[name])
    return packed(found)


def before(mark: bytes, more: bytes) -> Callable[[bytes], bytes]:
    """Return what puts something in front of a mark that is there once."""

    def change(data: bytes) -> bytes:
        assert data.count(mark) == 1
        return data.replace(mark, more + mark)

    return change
