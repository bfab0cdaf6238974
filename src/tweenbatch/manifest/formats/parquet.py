"""Read the rows of a Parquet file in parts, each of which is known to fit into memory.

A few kilobytes of Parquet can hold billions of values, or one long text a million times, and Arrow
would unpack all of them.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import compute, parquet

from tweenbatch.manifest.formats.bounds import (
    MAX_CELL_CHARS,
    MEGABYTE,
    Allowance,
    OutOfBounds,
    refuse_header,
)
from tweenbatch.manifest.formats.pages import Page, groups, pages

PART = 5_000
"""Rows that are read at once; fewer if they are long or wide."""
PART_CELLS = 500_000
PART_BYTES = 50 * MEGABYTE
MAX_PAGE = 64 * MEGABYTE
MAX_BYTES_OF_LISTS = 150 * MEGABYTE

_LABELS = re.compile(r"__index_level_\d+__")


class ParquetRows(NamedTuple):
    """The names of the columns, and their values row by row."""

    names: Sequence[str]
    rows: Iterator[Sequence[Any]]


def rows(source: io.BufferedIOBase, allowance: Allowance) -> ParquetRows:
    """Return the file's columns and rows; a damaged file raises any exception of Arrow's."""
    file = parquet.ParquetFile(source)
    # pandas writes row labels as an extra column.
    names = [name for name in file.schema_arrow.names if not _LABELS.fullmatch(name)]
    refuse_header(names)
    for name in names:
        _refuse_type(name, file.schema_arrow.field(name).type)
    longest = _longest(source, file, allowance)
    texts = max(1, sum(map(_is_text, file.schema_arrow.types)))
    at_once = min(
        *(PART, PART_CELLS // max(1, len(names)), PART_BYTES // max(1, longest * texts)),
    )
    return ParquetRows(names, _values(file, names, max(1, at_once)))


def _values(file: Any, names: Sequence[str], at_once: int) -> Iterator[Sequence[Any]]:
    for part in file.iter_batches(batch_size=at_once, columns=names):
        yield from zip(*(column.to_pylist() for column in part.columns), strict=True)


def _refuse_type(name: str, kind: Any) -> None:
    """Raise ``OutOfBounds`` for a column that holds neither plain values nor lists of them."""
    inner = kind.value_type if _is_list(kind) else kind
    inner = getattr(inner, "storage_type", inner)
    if pa.types.is_nested(inner) or pa.types.is_fixed_size_binary(inner):
        raise OutOfBounds(f"column '{name}' has the type {kind}; expected a column of text")


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_text(kind: Any) -> bool:
    return not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


def _longest(source: io.BufferedIOBase, file: Any, allowance: Allowance) -> int:
    """Return the most bytes of a value that the file stores once and rows may repeat."""
    longest = values = 0
    for group, chunks in enumerate(groups(source)):
        words: dict[str, list[Page]] = {}
        most = most_listed = in_lists = 0
        for index, chunk in enumerate(chunks):
            column_pages = list(pages(source, chunk))
            if any(page.size > MAX_PAGE for page in column_pages):
                raise OutOfBounds(
                    "one of its pages is too large; write the file again with smaller pages"
                )
            allowance.take_unpacked(sum(page.size for page in column_pages))
            count = sum(page.values for page in column_pages if not page.is_dictionary)
            values += count
            column = file.schema.column(index)
            is_list = column.max_repetition_level > 0
            if chunk.is_text and is_list:
                in_lists += count
            if any(page.repeats for page in column_pages):
                size = max(page.size for page in column_pages)
                most, most_listed = max(most, size), max(most_listed, size * is_list)
            elif chunk.is_text and (
                dictionaries := [page for page in column_pages if page.is_dictionary]
            ):
                words[column.path] = dictionaries
        if values > allowance.cells:
            allowance.take_cells(values)
        size = max((page.size for chunk in words.values() for page in chunk), default=0)
        sizes = size, size if in_lists else 0
        if size * max(PART * len(words), in_lists) > PART_BYTES:
            # Most words are far shorter than their page: measure them.
            sizes = _longest_words(source, words, group) or sizes
        if max(most_listed, sizes[1]) * in_lists > MAX_BYTES_OF_LISTS:
            raise OutOfBounds("its lists repeat long texts too often; write texts instead of lists")
        longest = max(longest, most, *sizes)
    return longest


def _longest_words(
    source: io.BufferedIOBase, words: Mapping[str, Sequence[Page]], group: int
) -> tuple[int, int] | None:
    """Return the length in bytes of a group's longest dictionary word, in any column and in lists.

    ``words`` are the dictionary pages by column. Returns None if Arrow does not show all words;
    raises ``OutOfBounds`` if a word is too long for a cell.
    """
    count = sum(page.values for chunk in words.values() for page in chunk)
    file = parquet.ParquetFile(source, read_dictionary=list(words))
    for part in file.iter_batches(batch_size=PART, row_groups=[group], columns=list(words)):
        seen = most = most_listed = 0
        for column in part.columns:
            is_list = _is_list(column.type)
            array = column.flatten() if is_list else column
            if isinstance(array, pa.DictionaryArray):
                chars, size = _most(_chars(array.dictionary)), _most(_bytes(array.dictionary))
                if chars > MAX_CELL_CHARS:
                    raise OutOfBounds(
                        f"a cell has {chars:,} characters; at most {MAX_CELL_CHARS:,} are read: "
                        "shorten it"
                    )
                seen += len(array.dictionary)
                most, most_listed = max(most, size), max(most_listed, size * is_list)
        if seen >= count:  # fewer if a column begins with empty cells
            return most, most_listed
    return None


def _bytes(words: Any) -> Any:
    return compute.binary_length(words)


def _chars(words: Any) -> Any:
    is_text = pa.types.is_string(words.type) or pa.types.is_large_string(words.type)
    return compute.utf8_length(words) if is_text else compute.binary_length(words)


def _most(lengths: Any) -> int:
    return compute.max(lengths).as_py() or 0
