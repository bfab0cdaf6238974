"""Recognise contents that differ only in URL signatures or line endings: their clip is the same.

The key of a content covers everything that is sent. Its *plain* key ignores URL signatures and
the kind of line endings. Contents with equal plain keys share one clip. A content without
signatures or CR has equal keys.
"""

from collections.abc import Sequence
from typing import Any

from tweenbatch.records.content import Frame, common_part, content_key, identity
from tweenbatch.records.manifest import Columns, rows_of
from tweenbatch.records.signatures import unsigned


def plain_prompt(prompt: str) -> str:
    """Return the prompt with LF line endings."""
    return prompt.replace("\r\n", "\n").replace("\r", "\n") if "\r" in prompt else prompt


def plain_frame(frame: Frame) -> str:
    """Return the identity of a frame; a URL loses its signature."""
    return _plain_identity(frame.source, frame.sha256)


def _plain_identity(source: str, sha256: str | None) -> str:
    return identity(source, sha256) if sha256 is not None else unsigned(source)


def plain_key(common: str, content: Any) -> str:
    """Return the plain key of a content; ``common`` is its ``common_part``.

    ``content`` is a ``Row``, or a database row with the same columns.
    """
    end = content.end_source
    return content_key(
        common,
        plain_prompt(content.prompt),
        _plain_identity(content.start_source, content.start_sha256),
        None if end is None else _plain_identity(end, content.end_sha256),
        content.take,
    )


def may_differ(columns: Columns) -> bool:
    """Return quickly whether any row may have a plain key that differs from its key."""
    starts, ends = columns["start_source"], columns["end_source"]
    return (
        "?" in "".join(starts)
        or "?" in "".join(filter(None, ends))
        or "\r" in "".join(columns["prompt"])
    )


def plain_keys(columns: Columns) -> Sequence[str]:
    """Return the plain keys of the rows."""
    if not may_differ(columns):
        keys: Sequence[str] = columns["key"]
        return keys
    # Thousands of rows share one kind.
    kinds = {id(kind): kind for kind in columns["kind"]}
    commons = {each: common_part(kind.endpoint, kind.parameters) for each, kind in kinds.items()}
    return [plain_key(commons[id(row.kind)], row) for row in rows_of(columns)]
