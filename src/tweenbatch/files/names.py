"""Names for files, and how a finished file takes its name.

A name made here is safe on every common file system, and ``publish`` never writes over
another content, whoever else is writing and whenever the power fails. It refuses to know
what the files hold and which name is tried next.
"""

import errno
import hashlib
import os
import re
import stat
import unicodedata
from pathlib import Path, PurePosixPath

MAX_STEM_BYTES = 120

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DIGITS = re.compile(r"(\d+)")
_DASHES = re.compile(r"-{2,}")
# Windows opens the device whatever follows the first dot.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)
_SAFE = re.compile(rf"(?!{_DEVICE.pattern})[a-z0-9_]+(?:[.-][a-z0-9_]+)*", re.IGNORECASE | re.ASCII)
"""A name that needs no change: most are so, and there may be a million."""

# How file systems say that they have no hard links.
_NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
)


def slug(text: str) -> str:
    """Return the text as a file name of at most 120 ASCII letters, digits, dots, _ and -.

    It neither begins nor ends with a dot or a dash and names no Windows device. It is ""
    if the text has nothing to keep.
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


def with_suffix(stem: str, n: int) -> str:
    """Return ``stem-n``, the n-th name to try, with the stem shortened to stay within bounds."""
    suffix = f"-{n}" if stem else str(n)
    return stem[: MAX_STEM_BYTES - len(suffix)].rstrip(".-") + suffix


def make_folder_of(root: Path, name: str) -> Path:
    """Return the folder of a file called ``name`` below the root, made where it is not there.

    Raises ``OSError``, also where the root is not there and where a link leads out of it: nothing
    is made behind such a link.
    """
    folder = root
    for part in PurePosixPath(name).parent.parts:
        folder /= part
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)
        if not folder.resolve().is_relative_to(root.resolve()):
            raise PermissionError(errno.EPERM, f"{folder} leads out of {root}")
    return folder


def publish(part: Path, target: Path) -> Path:
    """Move the finished file ``part`` to ``target`` and return that, once it is on the disk.

    Both are in one file system. If the target holds the same bytes already, it stays and
    the part is removed. After a crash both names may lead to one file: remove a part that
    was left over, never write into it.

    Raises:
        FileExistsError: the target is there with another content; both are untouched.
    """
    if part.resolve() == target.resolve():
        raise ValueError("a file can't be published onto itself")
    # The content before the name, and the name before the part goes: a power failure at any
    # moment leaves the whole file under one of the two names.
    _sync_file(part)
    try:
        _place(part, target)
    except FileExistsError:
        if not _same_content(part, target):
            raise
        _sync_file(target)
    _sync_folder(target.parent)
    part.unlink(missing_ok=True)
    return target


def _place(part: Path, target: Path) -> None:
    """Give the part the name of the target unless that is taken."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_to_free_name(part, target)


def _rename_to_free_name(part: Path, target: Path) -> None:
    """Rename, which overwrites, onto an empty file that only we can have made.

    A crash between the two leaves that empty file, and the next try takes another name.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        part.rename(target)
    except OSError:
        target.unlink()
        raise


def _same_content(part: Path, target: Path) -> bool:
    return stat.S_ISREG(target.lstat().st_mode) and _sha256(part) == _sha256(target)


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _sync_file(path: Path) -> None:
    _sync(path, os.O_RDONLY | os.O_NOFOLLOW)


def _sync_folder(path: Path) -> None:
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def natural(path: Path) -> tuple[object, ...]:
    """Return what sorts frame2 before frame10."""
    parts = [_DIGITS.split(part.casefold()) for part in path.parts]
    # Texts and digits take turns, so that only like is compared with like.
    keys = [tuple(int(t) if n % 2 else t for n, t in enumerate(part)) for part in parts]
    return (keys, str(path))
