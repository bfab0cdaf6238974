"""Read the rows of an Excel workbook, one row in memory at a time.

openpyxl has no limits: it believes the size that a sheet claims, and reads any number of elements,
styles and strings. So this module counts them. The names used below ``reader`` and
``worksheet._reader`` are not documented by openpyxl.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Any, NamedTuple, cast
from xml.etree.ElementTree import Element

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from tweenbatch.manifest.formats.bounds import MAX_COLUMNS, MEGABYTE, Allowance, OutOfBounds
from tweenbatch.manifest.formats.values import Unworked

LAST_ROW = 1_048_576
"""The last row of a sheet in Excel."""
MAX_SHEETS = 1_000
MAX_ELEMENTS_OF_A_PART = 100_000
"""Elements of a part other than a sheet or the shared strings, such as the styles."""
MAX_ELEMENTS_OF_A_ROW = 200_000
MAX_DEPTH = 50
DEPTH_AROUND = 2
"""Depth of the element that contains rows or strings."""
MAX_TEXT = MEGABYTE
"""Bytes between two tags: the longest cell has 32,767 characters."""
ROWS = 1_000
"""Rows that are read at once."""

_ROW, _CELL, _STRING, _DATA, _TEXT, _INLINE, _FORMULA = (
    f"{{{SHEET_MAIN_NS}}}{name}" for name in ("row", "c", "si", "sheetData", "t", "is", "f")
)
_DAMAGED = "the workbook is damaged; open it in a spreadsheet program and save it again"

Row = tuple[int, Sequence[Any]]
"""Row number, and the values up to the last filled one."""


class WorkSheet(NamedTuple):
    """A visible sheet."""

    name: str
    rows: Iterator[Row]


def sheets(file: io.BufferedIOBase, allowance: Allowance) -> Iterator[WorkSheet]:
    """Yield the visible sheets; a damaged workbook raises any exception of openpyxl's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = _Book(cast("IO[bytes]", file), allowance)
        visible = list(book.visible())
    for name, part in visible:
        yield WorkSheet(name, _quietly(book.rows(part)))


def _quietly(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield rows without openpyxl's warnings about contents that it skips."""
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            some = list(islice(rows, ROWS))
        if not some:
            return
        yield from some


class _Package(zipfile.ZipFile):
    """The parts of a workbook; raises ``OutOfBounds`` before unpacking too much."""

    def __init__(self, file: IO[bytes], allowance: Allowance) -> None:
        super().__init__(file)
        self._allowance = allowance

    def read(self, name: "str | zipfile.ZipInfo", pwd: bytes | None = None) -> bytes:
        """Return a whole part; sheets and shared strings are read by ``part``."""
        del pwd
        with self.part(name) as part:
            data = part.read()
        if data.count(b"<") > 2 * MAX_ELEMENTS_OF_A_PART:
            raise OutOfBounds(
                f"its part {_name(name)} has more than {MAX_ELEMENTS_OF_A_PART:,} entries; copy "
                "the rows into a new workbook"
            )
        return data

    def part(self, name: "str | zipfile.ZipInfo") -> "_Part":
        """Open a part for reading in pieces."""
        info = self.getinfo(_name(name))
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise OutOfBounds(
                f"its part {info.filename} has an unsupported compression; {_DAMAGED}"
            )
        # zipfile unpacks no more than this size, even if the part contains more.
        self._allowance.take_unpacked(info.file_size)
        return _Part(self.open(info))


def _name(name: "str | zipfile.ZipInfo") -> str:
    return name.filename if isinstance(name, zipfile.ZipInfo) else name


class _Part(io.RawIOBase):
    """XML without declared entities and without texts longer than a cell."""

    def __init__(self, part: IO[bytes]) -> None:
        super().__init__()
        self._part = part
        self._before = b""
        self._since_tag = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return some bytes; raise ``OutOfBounds``."""
        data = self._part.read(-1 if size is None else size)
        # UTF-16 has a NUL beside each of these characters.
        if b"<!DOCTYPE" in (self._before + data).replace(b"\0", b""):
            raise OutOfBounds(f"it declares XML entities, unlike any spreadsheet; {_DAMAGED}")
        self._before = data[-32:]
        tag = data.rfind(b"<")
        self._since_tag = len(data) - tag if tag >= 0 else self._since_tag + len(data)
        if self._since_tag > MAX_TEXT:
            raise OutOfBounds("a cell has more text than a spreadsheet allows; shorten it")
        return data

    def close(self) -> None:
        """Close the part."""
        self._part.close()
        super().close()


class _Book(ExcelReader):
    """A workbook's sheets, shared strings and date formats."""

    def __init__(self, file: IO[bytes], allowance: Allowance) -> None:
        super().__init__(file, read_only=True, data_only=True, keep_links=False)
        self.archive = self._parts = _Package(file, allowance)
        self._allowance = allowance
        self.read_manifest()
        self.read_strings()
        self.read_workbook()
        apply_stylesheet(self.archive, self.wb)

    def read_strings(self) -> None:
        """Read the strings that cells share."""
        strings = cast("Any", self.package).find(SHARED_STRINGS)
        if strings is not None:
            with self._parts.part(strings.PartName[1:]) as part:
                self.shared_strings = [
                    _text(each).replace("x005F_", "")
                    for each in _each(part, _STRING, self._allowance)
                ]

    def visible(self) -> Iterator[tuple[str, str]]:
        """Yield name and part of each visible sheet that has cells."""
        if len(self.parser.sheets) > MAX_SHEETS:
            raise OutOfBounds(f"it has more than {MAX_SHEETS:,} sheets; a manifest is one sheet")
        for sheet, where in self.parser.find_sheets():
            has_cells = "chartsheet" not in where.Type and where.target in self.valid_files
            if has_cells and sheet.state == "visible":
                yield sheet.name, where.target

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of a sheet that aren't empty."""
        book, before = cast("Any", self.wb), 0
        with self._parts.part(name) as part:
            cells = _Cells(
                part,
                self.shared_strings,
                data_only=True,
                epoch=book.epoch,
                date_formats=book._date_formats,  # noqa: SLF001 - there is no public way
                timedelta_formats=book._timedelta_formats,  # noqa: SLF001 - same
            )
            for element in _each(part, _ROW, self._allowance, within=_DATA):
                number, row = cells.parse_row(cast("Any", element))
                cells.row_dimensions.clear()
                if not before < number <= LAST_ROW:
                    raise OutOfBounds(f"row {number} comes after row {before}; {_DAMAGED}")
                before = number
                filled = {
                    cell["column"]: cell["value"] for cell in row if cell["value"] is not None
                }
                if filled:
                    self._allowance.take_cells(max(filled))
                    yield number, _dense(number, filled)


def _dense(number: int, filled: dict[int, Any]) -> list[Any]:
    width = max(filled)
    if width > MAX_COLUMNS:
        raise OutOfBounds(
            f"row {number} has a value in column {width:,}; a manifest has at most "
            f"{MAX_COLUMNS:,} columns: clear the cells after the last one"
        )
    return [filled.get(column) for column in range(1, width + 1)]


class _Cells(WorkSheetParser):
    """Cells of a row; formulas aren't parsed, and one without a result becomes ``Unworked``."""

    def parse_cell(self, element: Element) -> dict[str, Any]:
        """Return position and value of a cell."""
        child = None
        if element.get("t") == "inlineStr":
            child = element.find(_INLINE)
            element.set("t", "str")
        cell = super().parse_cell(element)
        if child is not None:
            cell["value"] = _text(child)
        if cell["value"] is None and element.find(_FORMULA) is not None:
            cell["value"] = Unworked()
        return cell


def _text(element: Element) -> str:
    """Return the text of a string; most have only one piece."""
    if len(element) == 1 and element[0].tag == _TEXT:
        return element[0].text or ""
    return str(cast("Any", Text).from_tree(element).content)


def _each(
    part: _Part, tag: str, allowance: Allowance, *, within: str | None = None
) -> Iterator[Element]:
    """Yield the elements of a tag up to the end of ``within``; clear each afterwards."""
    depth = count = 0
    around: Element | None = None
    for event, element in iterparse(part, ("start", "end")):
        if event == "start":
            depth += 1
            count += 1
            if depth > MAX_DEPTH or count > MAX_ELEMENTS_OF_A_ROW:
                raise OutOfBounds(f"one of its rows or texts has too many parts; {_DAMAGED}")
            if element.tag != tag and depth <= DEPTH_AROUND:
                around = element
            continue
        depth -= 1
        if element.tag == tag:
            allowance.take_elements(count)
            count = 0
            yield element
            element.clear()
            if around is not None:
                around.clear()
        elif element.tag == within:
            return
