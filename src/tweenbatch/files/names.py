"""Make file names that are safe on every common file system, and sort them naturally."""

import re
import unicodedata
from pathlib import Path

MAX_STEM_BYTES = 120

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DIGITS = re.compile(r"(\d+)")
_DASHES = re.compile(r"-{2,}")
# Windows opens the device regardless of the text after the first dot.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)
_SAFE = re.compile(rf"(?!{_DEVICE.pattern})[a-z0-9_]+(?:[.-][a-z0-9_]+)*", re.IGNORECASE | re.ASCII)
"""A name that needs no change, as most of a million names do."""


def slug(text: str) -> str:
    """Return the text as a file name of at most 120 ASCII letters, digits, dots, _ and -.

    It neither begins nor ends with a dot or a dash and names no Windows device. It is "" if the
    text has no such characters.
    """
    if _SAFE.fullmatch(text) and len(text) <= MAX_STEM_BYTES:
        return text
    ascii_text = text
    if not text.isascii():
        ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = _DASHES.sub("-", _UNSAFE.sub("-", ascii_text)).lstrip(".-")
    name = name[:MAX_STEM_BYTES].rstrip(".-")
    if _DEVICE.match(name):
        name = f"_{name}"[:MAX_STEM_BYTES].rstrip(".-")
    return name


def natural(path: Path) -> tuple[object, ...]:
    """Return a sort key that puts frame2 before frame10."""
    parts = [_DIGITS.split(part.casefold()) for part in path.parts]
    # Texts and numbers alternate, so only texts are compared with texts and numbers with numbers.
    keys = [tuple(int(t) if n % 2 else t for n, t in enumerate(part)) for part in parts]
    return (keys, str(path))
