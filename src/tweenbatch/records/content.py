"""The content of a clip (frames, prompt, parameters) and the key that identifies it."""

import hashlib
import json
import json.encoder
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Return a JSON text that is identical for equal values."""
    return _encoder.encode(value)


quoted = json.encoder.encode_basestring
"""Return the canonical JSON of a text: the same as ``canonical_json``, several times faster."""


def identity(source: str, sha256: str | None) -> str:
    """Return the identity of a frame: the digest of its bytes, or its URL."""
    return source if sha256 is None else f"sha256:{sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A start or end image: a local file with the digest of its bytes, or an https URL.

    ``source`` is an absolute path or the URL; ``sha256`` is None exactly for a URL.
    """

    source: str
    sha256: str | None = None

    @property
    def identity(self) -> str:
        """The digest of its bytes, or its URL."""
        return identity(self.source, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """Facts that show whether a file was changed or replaced, without reading it."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFrame:
    """The cached inspection of an image file.

    ``facts`` are plain values. They are valid for the file in this state and for the
    ``inspector_version`` that found them.
    """

    path: str
    file: FileState
    sha256: str
    facts: Mapping[str, Any]
    inspector_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One transition, paid for once; its ``key`` identifies its content."""

    endpoint: str
    prompt: str
    start: Frame
    end: Frame | None
    parameters: Mapping[str, str]
    take: int = 1

    @property
    def key(self) -> str:
        """SHA-256 of endpoint, prompt, frame identities, parameters and take."""
        end = self.end.identity if self.end else None
        common = common_part(self.endpoint, self.parameters)
        return content_key(common, self.prompt, self.start.identity, end, self.take)


# A key is the digest of a content's canonical JSON. A manifest may have a million rows, so the JSON
# is assembled by hand and the part that many rows share is built once.


def common_part(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return the part of the JSON that all jobs with this endpoint and parameters share."""
    return f',"endpoint":{quoted(endpoint)},"parameters":{canonical_json(dict(parameters))},'


def content_key(common: str, prompt: str, start: str, end: str | None, take: int) -> str:
    """Return the key of a content; ``start`` and ``end`` are frame identities."""
    content = (
        f'{{"end":{"null" if end is None else quoted(end)}{common}"prompt":{quoted(prompt)},'
        f'"start":{quoted(start)},"take":{take}}}'
    )
    return hashlib.sha256(content.encode()).hexdigest()
