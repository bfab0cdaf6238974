"""The one room that writes files: whole or not at all, and never through a link.

Somebody else may have put something under any name that we write to. A name is taken if it is free
or a regular file. A link, pipe, device, socket or folder raises ``NotRegular``, which says what
stands there; nothing is opened that could block.

A file gets its name after its content is on the disk, and the name is on the disk when a function
returns. This room does not know what the files hold.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import BufferedReader, TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TextIO

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How a file system says that folders can't be synced: CIFS, vboxsf, some FUSE. EIO is trouble."""

# How file systems say that they have no hard links.
_NO_LINKS = frozenset(
    {
        *(errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK),
        *(errno.EINVAL, errno.EXDEV, errno.EIO),
    }
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_LONGEST_STEM = 40
"""Characters of the name in that of the unfinished file, whose whole length is limited."""


class NotRegular(OSError):
    """Something else than a regular file has a name; ``strerror`` says which, and what to do."""


def require_regular(path: Path, *, folder: int | None = None) -> os.stat_result | None:
    """Return the facts of a regular file; None: the name is free. Raises ``NotRegular``.

    ``folder`` is a descriptor from which the path is seen.
    """
    try:
        facts = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        raise _not_regular(path, facts.st_mode)
    return facts


def _not_regular(path: Path, mode: int) -> NotRegular:
    if stat.S_ISLNK(mode):
        text = (
            f"{path.name} is a symbolic link, and links are not followed here: remove it, or name "
            "the file that it leads to"
        )
    else:
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no file")
        text = (
            f"{path.name} is {kind}, and only a regular file is taken: remove it, or use another "
            "name"
        )
    return NotRegular(errno.ELOOP if stat.S_ISLNK(mode) else errno.EINVAL, text, str(path))


def open_regular(path: Path, flags: int, *, create: bool = False) -> int:
    """Return a descriptor of a regular file that is used in its place, such as a lock or a log.

    A file to be written to has no second name, under which its content would change as well. With
    ``create`` it is made, for its owner alone, where there is none. Raises ``NotRegular``.
    """
    # Before it is opened: a device may act on that alone.
    require_regular(path)
    file = os.open(path, flags | (os.O_CREAT if create else 0) | _SAFELY, 0o600)
    facts = os.fstat(file)
    is_regular, is_written = stat.S_ISREG(facts.st_mode), flags & (os.O_WRONLY | os.O_RDWR)
    if is_regular and not (is_written and facts.st_nlink > 1):
        return file
    os.close(file)
    if not is_regular:
        raise _not_regular(path, facts.st_mode)
    text = (
        f"{path.name} has a second name, a hard link, and would change there too: put a copy in "
        "its place"
    )
    raise NotRegular(errno.EMLINK, text, str(path))


def opened(path: Path) -> BufferedReader:
    """Open a regular file for reading; raises ``NotRegular``."""
    return os.fdopen(open_regular(path, os.O_RDONLY), "rb")


def created(path: Path) -> BinaryIO:
    """Open a new, unbuffered file; raises ``FileExistsError`` where the name is taken."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _SAFELY, 0o666)
    return os.fdopen(file, "r+b", buffering=0)


def discard(path: Path) -> None:
    """Remove what has a working name of ours: of a link the link alone. A folder stays."""
    if path.is_dir() and not path.is_symlink():
        raise _not_regular(path, stat.S_IFDIR)
    path.unlink(missing_ok=True)


@contextmanager
def unfinished(
    path: Path, *, mode: int | None = None, over: bool = True, synced: bool = True
) -> Iterator[tuple[Path, int]]:
    """Give a new file, as path and descriptor, that takes the name ``path`` when the block ends.

    If the block raises, the file goes and ``path`` stays as it was. Without ``mode`` the file has
    that of the one it replaces, or of any new file. Without ``over`` another content is not
    replaced: ``FileExistsError``. Without ``synced`` a power cut may take it.
    """
    folder = os.open(path.parent, _FOLDER)
    try:
        target = Path(path.name)
        there = require_regular(target, folder=folder) if over else None
        part, file = _begun(target, folder, 0o666 if mode is None else mode)
        try:
            if mode is None and there is not None:
                with suppress(PermissionError):  # a file system without modes
                    os.fchmod(file, stat.S_IMODE(there.st_mode))
            yield path.with_name(part), file
            if synced:
                os.fsync(file)
            if over:
                os.replace(part, target, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                publish(path.with_name(part), path)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            raise
        finally:
            os.close(file)
        if synced:
            _sync_opened_folder(folder)
    finally:
        os.close(folder)


def _begun(target: Path, folder: int, mode: int) -> tuple[str, int]:
    """Return name and descriptor of a new file, locked: ``clear_leftovers`` passes it over."""
    while True:
        part = f"{_stem(target)}{secrets.token_hex(8)}.part"
        file = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | _SAFELY, mode, dir_fd=folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # just now taken for a leftover
        except OSError:
            return part, file  # no locks here, so nothing is cleared either
        else:
            if os.fstat(file).st_nlink:
                return part, file
        os.close(file)


def _stem(target: Path) -> str:
    return f".{target.name[:_LONGEST_STEM]}."


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left unfinished of this file."""
    leftover = re.compile(re.escape(_stem(path)) + r"[0-9a-f]{16}\.part")
    with suppress(OSError):
        for found in path.parent.iterdir():
            if leftover.fullmatch(found.name):
                with suppress(OSError), opened(found) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.unlink()


@contextmanager
def writing(
    path: Path, *, mode: int | None = None, over: bool = True, synced: bool = True
) -> Iterator[BinaryIO]:
    """Open a file that appears whole, or not at all; see ``unfinished``."""
    with (
        unfinished(path, mode=mode, over=over, synced=synced) as (_, descriptor),
        open(descriptor, "wb", closefd=False) as file,
    ):
        yield file


@contextmanager
def writing_text(
    path: Path, *, encoding: str = "utf-8", errors: str = "strict", over: bool = True
) -> Iterator[TextIO]:
    """Open a text file like ``writing``; line ends are written as they are."""
    with (
        writing(path, over=over) as file,
        TextIOWrapper(file, encoding=encoding, errors=errors, newline="") as text,
    ):
        yield text


def write(path: Path, data: bytes, *, mode: int | None = None, synced: bool = True) -> None:
    """Write a whole file; see ``unfinished``."""
    with writing(path, mode=mode, synced=synced) as file:
        file.write(data)


def replace(part: Path, target: Path) -> None:
    """Give a finished file the name of the target; a power cut may undo it."""
    require_regular(target)
    part.replace(target)


def move(path: Path, place: Path) -> None:
    """Rename a file of a person; raises ``FileExistsError`` where the name is taken, by a link too.

    Only other programs of the same person could take it in between.
    """
    if os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    path.rename(place)


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and each that it lies in; those that are there stay."""
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)


def make_folder_of(root: Path, name: str) -> Path:
    """Return the folder of a file called ``name`` below the root, made where it is not there.

    Raises ``OSError``, also where the root is not there and where a link leads out of it: nothing
    is made behind such a link.
    """
    folder = root
    for part in PurePosixPath(name).parent.parts:
        folder /= part
        if not folder.is_dir():
            try:
                folder.mkdir(exist_ok=True)
            except FileExistsError as error:
                text = f"{folder} stands where a folder is needed; remove it"
                raise NotADirectoryError(errno.ENOTDIR, text) from error
            sync_folder(folder.parent)
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
    sync_folder(target.parent)
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
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _SAFELY, 0o600))
    try:
        part.rename(target)
    except OSError:
        target.unlink()
        raise


def _same_content(part: Path, target: Path) -> bool:
    return stat.S_ISREG(target.lstat().st_mode) and _sha256(part) == _sha256(target)


def _sha256(path: Path) -> bytes:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def try_out(folder: Path) -> None:
    """Do once with a small file all that is done with a finished one; raises ``OSError``."""
    part = folder / f".{secrets.token_hex(8)}.part"
    target = part.with_suffix("")
    try:
        with closing(created(part)) as file:
            file.write(b"tweenbatch")
        publish(part, target)
    finally:
        for each in (part, target):
            with suppress(OSError):
                each.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """See the names in a folder on the disk, where its file system can do that."""
    folder = os.open(path, _FOLDER)
    try:
        _sync_opened_folder(folder)
    finally:
        os.close(folder)


def _sync_opened_folder(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _sync_file(path: Path) -> None:
    with opened(path) as file:
        os.fsync(file.fileno())
