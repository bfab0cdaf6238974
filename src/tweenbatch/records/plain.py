"""A content without what makes no other clip: signatures of addresses, kinds of line ends.

The key of a content is of all that is sent, and is kept. Contents whose *plain* keys are equal
ask for one and the same clip; the plain key of a content that is plain is its key.
"""

from collections.abc import Sequence
from typing import Any

from tweenbatch.records.content import Frame, common_part, content_key, identity
from tweenbatch.records.manifest import Columns, rows_of
from tweenbatch.records.signatures import unsigned


def plain_prompt(prompt: str) -> str:
    """Return a prompt whose lines end with LF."""
    return prompt.replace("\r\n", "\n").replace("\r", "\n") if "\r" in prompt else prompt


def plain_frame(frame: Frame) -> str:
    """Return the identity of a frame, an address without what signs it."""
    return _plain_identity(frame.source, frame.sha256)


def _plain_identity(source: str, sha256: str | None) -> str:
    return identity(source, sha256) if sha256 is not None else unsigned(source)


def plain_key(common: str, content: Any) -> str:
    """Return what contents share that ask for one clip; ``common`` is their ``common_part``.

    A content is a ``Row``, or a row of a table with columns of these names.
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
    """Tell at a glance whether the plain key of any of these rows may be another than its key."""
    starts, ends = columns["start_source"], columns["end_source"]
    return (
        "?" in "".join(starts)
        or "?" in "".join(filter(None, ends))
        or "\r" in "".join(columns["prompt"])
    )


def plain_keys(columns: Columns) -> Sequence[str]:
    """Return the plain keys of rows."""
    if not may_differ(columns):
        keys: Sequence[str] = columns["key"]
        return keys
    # Rows by the thousand share the object.
    kinds = {id(kind): kind for kind in columns["kind"]}
    commons = {each: common_part(kind.endpoint, kind.parameters) for each, kind in kinds.items()}
    return [plain_key(commons[id(row.kind)], row) for row in rows_of(columns)]
