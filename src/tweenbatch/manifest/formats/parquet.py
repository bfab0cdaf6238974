"""Rows of a Parquet file, a part at a time, each of which is known to fit into memory before.

In a few kilobytes such a file holds billions of values, or one long text a million times: Arrow
unfolds whatever it is told to.
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
"""Rows that are read at once, and fewer where they are long or wide."""
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
    """Return what the file holds; raises whatever a damaged one makes Arrow raise."""
    file = parquet.ParquetFile(source)
    # pandas writes the labels of rows as one more column.
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
    """Raise ``OutOfBounds`` for a column that is neither plain nor a list of what is."""
    inner = kind.value_type if _is_list(kind) else kind
    inner = getattr(inner, "storage_type", inner)
    if pa.types.is_nested(inner) or pa.types.is_fixed_size_binary(inner):
        raise OutOfBounds(f"column '{name}' is of the kind {kind}; a column of texts is needed")


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_text(kind: Any) -> bool:
    return not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


def _longest(source: io.BufferedIOBase, file: Any, allowance: Allowance) -> int:
    """Return how many bytes a value may have that stands once in a file and often in its rows."""
    longest = values = 0
    for group, chunks in enumerate(groups(source)):
        words: dict[str, list[Page]] = {}
        most = most_listed = in_lists = 0
        for place, chunk in enumerate(chunks):
            found = list(pages(source, chunk))
            if any(page.size > MAX_PAGE for page in found):
                raise OutOfBounds("one of its pages is too large; write it anew with smaller ones")
            allowance.take_unpacked(sum(page.size for page in found))
            count = sum(page.values for page in found if not page.is_dictionary)
            values += count
            column = file.schema.column(place)
            is_list = column.max_repetition_level > 0
            if chunk.is_text and is_list:
                in_lists += count
            if any(page.repeats for page in found):
                size = max(page.size for page in found)
                most, most_listed = max(most, size), max(most_listed, size * is_list)
            elif chunk.is_text and (of_words := [page for page in found if page.is_dictionary]):
                words[column.path] = of_words
        if values > allowance.cells:
            allowance.take_cells(values)
        size = max((page.size for chunk in words.values() for page in chunk), default=0)
        sizes = size, size if in_lists else 0
        if size * max(PART * len(words), in_lists) > PART_BYTES:
            # Most words are far shorter than the page on which they stand: have a look at them.
            sizes = _longest_words(source, words, group) or sizes
        if max(most_listed, sizes[1]) * in_lists > MAX_BYTES_OF_LISTS:
            raise OutOfBounds("its lists repeat long texts too often; write texts instead of lists")
        longest = max(longest, most, *sizes)
    return longest


def _longest_words(
    source: io.BufferedIOBase, words: Mapping[str, Sequence[Page]], group: int
) -> tuple[int, int] | None:
    """Return the bytes of a group's longest word in a dictionary: of any, and of those of lists.

    ``words`` are their pages by the column; None: Arrow does not show all of them. Raises
    ``OutOfBounds`` where no cell may be that long.
    """
    count = sum(page.values for chunk in words.values() for page in chunk)
    file = parquet.ParquetFile(source, read_dictionary=list(words))
    for part in file.iter_batches(batch_size=PART, row_groups=[group], columns=list(words)):
        known = most = most_listed = 0
        for column in part.columns:
            is_list = _is_list(column.type)
            found = column.flatten() if is_list else column
            if isinstance(found, pa.DictionaryArray):
                chars, size = _most(_chars(found.dictionary)), _most(_bytes(found.dictionary))
                if chars > MAX_CELL_CHARS:
                    raise OutOfBounds(
                        f"a cell has {chars:,} characters; at most {MAX_CELL_CHARS:,} are read: "
                        "shorten it"
                    )
                known += len(found.dictionary)
                most, most_listed = max(most, size), max(most_listed, size * is_list)
        if known >= count:  # a column that begins with empty cells has none before its first
            return most, most_listed
    return None


def _bytes(words: Any) -> Any:
    return compute.binary_length(words)


def _chars(words: Any) -> Any:
    is_text = pa.types.is_string(words.type) or pa.types.is_large_string(words.type)
    return compute.utf8_length(words) if is_text else compute.binary_length(words)


def _most(lengths: Any) -> int:
    return compute.max(lengths).as_py() or 0
