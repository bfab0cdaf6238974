"""What a clip is made from: frames, prompt and parameters, and the key of that content."""

import hashlib
import json
import json.encoder
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """Return the one JSON text that equal values share."""
    return _encoder.encode(value)


quoted = json.encoder.encode_basestring
"""Return the canonical JSON of a text: what ``canonical_json`` comes to, several times faster."""


def identity(source: str, sha256: str | None) -> str:
    """Return what makes two frames the same: their bytes, or their address."""
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
        """What makes two frames the same: their bytes, or their address."""
        return identity(self.source, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What tells a file from another that lies at the same path later, without reading either."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFrame:
    """What an image file was found to be.

    ``facts`` are plain values; they hold for the file in this state and for those who know the
    ``inspector_version``, the way of looking that found them.
    """

    path: str
    file: FileState
    sha256: str
    facts: Mapping[str, Any]
    inspector_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One transition to be paid for once; its ``key`` is its content."""

    endpoint: str
    prompt: str
    start: Frame
    end: Frame | None
    parameters: Mapping[str, str]
    take: int = 1

    @property
    def key(self) -> str:
        """sha256 of endpoint, prompt, the frames' identities, parameters and take."""
        end = self.end.identity if self.end else None
        common = common_part(self.endpoint, self.parameters)
        return content_key(common, self.prompt, self.start.identity, end, self.take)


# A key digests the canonical JSON of a content. That is put together by hand, for a manifest may
# have a million rows, and what many of them have in common in the middle is made once.


def common_part(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return what the keys of all jobs with this endpoint and these parameters have in common."""
    return f',"endpoint":{quoted(endpoint)},"parameters":{canonical_json(dict(parameters))},'


def content_key(common: str, prompt: str, start: str, end: str | None, take: int) -> str:
    """Return the key of a content; the frames are given by their identities."""
    content = (
        f'{{"end":{"null" if end is None else quoted(end)}{common}"prompt":{quoted(prompt)},'
        f'"start":{quoted(start)},"take":{take}}}'
    )
    return hashlib.sha256(content.encode()).hexdigest()
