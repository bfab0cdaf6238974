"""Write files atomically, and never through a link: the only module that writes files.

Another program may have put anything at a path that we write to. We write only if the path is free
or a regular file. A link, pipe, device, socket or folder raises ``NotRegular``, and nothing that
could block is opened.

A file gets its name after its content is on the disk, and its name is on the disk when a function
returns. This module does not know the contents of files.
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
"""Errors of file systems that can't sync folders: CIFS, vboxsf, some FUSE. EIO is a real error."""

# Errors of file systems without hard links.
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
"""Characters of the target's name in the unfinished file's name, whose length is limited."""


class NotRegular(OSError):
    """A path is not a regular file; ``strerror`` says what it is, and what to do."""


def require_regular(path: Path, *, folder: int | None = None) -> os.stat_result | None:
    """Return the status of a regular file; None: the path is free. Raises ``NotRegular``.

    The path is relative to the descriptor ``folder``.
    """
    try:
        status = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        raise _not_regular(path, status.st_mode)
    return status


def _not_regular(path: Path, mode: int) -> NotRegular:
    if stat.S_ISLNK(mode):
        text = (
            f"{path.name} is a symbolic link, and links are not followed here: remove it, or name "
            "its target"
        )
    else:
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "a special file")
        text = f"{path.name} is {kind}, not a regular file: remove it, or use another name"
    return NotRegular(errno.ELOOP if stat.S_ISLNK(mode) else errno.EINVAL, text, str(path))


def open_regular(path: Path, flags: int, *, create: bool = False) -> int:
    """Return a descriptor of a regular file that is changed in place, such as a lock or a log.

    A file opened for writing must not have a second hard link, whose content would change too.
    ``create`` creates a missing file, readable only by its owner. Raises ``NotRegular``.
    """
    # Checked before opening, because opening alone may trigger a device.
    require_regular(path)
    file = os.open(path, flags | (os.O_CREAT if create else 0) | _SAFELY, 0o600)
    status = os.fstat(file)
    is_regular, is_written = stat.S_ISREG(status.st_mode), flags & (os.O_WRONLY | os.O_RDWR)
    if is_regular and not (is_written and status.st_nlink > 1):
        return file
    os.close(file)
    if not is_regular:
        raise _not_regular(path, status.st_mode)
    text = (
        f"{path.name} has a second name (a hard link), whose content would change too: replace it "
        "with a copy"
    )
    raise NotRegular(errno.EMLINK, text, str(path))


def opened(path: Path) -> BufferedReader:
    """Open a regular file for reading; raises ``NotRegular``."""
    return os.fdopen(open_regular(path, os.O_RDONLY), "rb")


def created(path: Path) -> BinaryIO:
    """Open a new, unbuffered file; raises ``FileExistsError`` if the path exists."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _SAFELY, 0o666)
    return os.fdopen(file, "r+b", buffering=0)


def discard(path: Path) -> None:
    """Remove a working file of ours, or a link in its place; raise ``NotRegular`` for a folder."""
    if path.is_dir() and not path.is_symlink():
        raise _not_regular(path, stat.S_IFDIR)
    path.unlink(missing_ok=True)


@contextmanager
def unfinished(
    path: Path, *, mode: int | None = None, over: bool = True, synced: bool = True
) -> Iterator[tuple[Path, int]]:
    """Yield path and descriptor of a new file, which is renamed to ``path`` when the block ends.

    If the block raises, the new file is removed and ``path`` is unchanged. Without ``mode`` the
    file gets the mode of the replaced file, or the default one. Without ``over`` different content
    is not replaced, but raises ``FileExistsError``. Without ``synced`` a power failure may lose the
    file.
    """
    folder = os.open(path.parent, _FOLDER)
    try:
        target = Path(path.name)
        replaced = require_regular(target, folder=folder) if over else None
        part, file = _new_part(target, folder, 0o666 if mode is None else mode)
        try:
            if mode is None and replaced is not None:
                with suppress(PermissionError):  # a file system without modes
                    os.fchmod(file, stat.S_IMODE(replaced.st_mode))
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


def _new_part(target: Path, folder: int, mode: int) -> tuple[str, int]:
    """Return name and descriptor of a new file, locked so that ``clear_leftovers`` skips it."""
    while True:
        part = f"{_stem(target)}{secrets.token_hex(8)}.part"
        file = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | _SAFELY, mode, dir_fd=folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # another process is clearing it as a leftover
        except OSError:
            return part, file  # a file system without locks, where nothing is cleared either
        else:
            if os.fstat(file).st_nlink:
                return part, file
        os.close(file)


def _stem(target: Path) -> str:
    return f".{target.name[:_LONGEST_STEM]}."


def clear_leftovers(path: Path) -> None:
    """Remove the unfinished versions of this file that killed processes left."""
    _remove_unlocked(path.parent, re.compile(re.escape(_stem(path)) + r"[0-9a-f]{16}\.part"))


_TRIED = re.compile(r"\.write-test-[0-9a-f]{16}(\.part)?")


def _remove_unlocked(folder: Path, name: re.Pattern[str]) -> None:
    """Remove the files of this name that no living process has locked."""
    with suppress(OSError):
        for file in folder.iterdir():
            if name.fullmatch(file.name):
                with suppress(OSError), opened(file) as leftover:
                    fcntl.flock(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file.unlink()


@contextmanager
def writing(
    path: Path, *, mode: int | None = None, over: bool = True, synced: bool = True
) -> Iterator[BinaryIO]:
    """Open a file that is written atomically; see ``unfinished``."""
    with (
        unfinished(path, mode=mode, over=over, synced=synced) as (_, descriptor),
        open(descriptor, "wb", closefd=False) as file,
    ):
        yield file


@contextmanager
def writing_text(
    path: Path, *, encoding: str = "utf-8", errors: str = "strict", over: bool = True
) -> Iterator[TextIO]:
    """Open a text file like ``writing``; line ends are not converted."""
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
    """Rename a finished file to the target; a power failure may undo it."""
    require_regular(target)
    part.replace(target)


def move(path: Path, target: Path) -> None:
    """Rename a user's file; raises ``FileExistsError`` if the target exists, even as a link.

    Only other programs of the same user could create the target in between.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    path.rename(target)


def make_private_folder(folder: Path) -> None:
    """Make a folder and its missing parents, accessible only to their owner."""
    for each in (*reversed(folder.parents), folder):
        each.mkdir(mode=0o700, exist_ok=True)


def make_folder_of(root: Path, name: str) -> Path:
    """Return the folder of the file ``name`` below the root; make it if it is missing.

    Raises ``OSError``, also if the root is missing or a link leads out of it: nothing is made
    outside.
    """
    folder = root
    for part in PurePosixPath(name).parent.parts:
        folder /= part
        if not folder.is_dir():
            try:
                folder.mkdir(exist_ok=True)
            except FileExistsError as error:
                text = f"{folder} exists, but isn't a folder; remove it"
                raise NotADirectoryError(errno.ENOTDIR, text) from error
            sync_folder(folder.parent)
        if not folder.resolve().is_relative_to(root.resolve()):
            raise PermissionError(errno.EPERM, f"{folder} leads out of {root}")
    return folder


def publish(part: Path, target: Path) -> Path:
    """Move the finished file ``part`` to ``target``, sync it to the disk and return ``target``.

    Both must be in the same file system. If the target already has the same bytes, it stays and
    the part is removed. After a crash both names may be the same file: remove a leftover part,
    never write into it.

    Raises:
        FileExistsError: the target exists with different content; both stay unchanged.
    """
    if part.resolve() == target.resolve():
        raise ValueError("a file can't be published onto itself")
    # Sync the content before the new name, and the new name before removing the part: a power
    # failure at any moment leaves the complete file under one of the two names.
    _sync_file(part)
    try:
        _link_or_rename(part, target)
    except FileExistsError:
        if not _same_content(part, target):
            raise
        _sync_file(target)
    sync_folder(target.parent)
    part.unlink(missing_ok=True)
    return target


def _link_or_rename(part: Path, target: Path) -> None:
    """Give the part the name of the target; raise ``FileExistsError`` if the target exists."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_to_free_name(part, target)


def _rename_to_free_name(part: Path, target: Path) -> None:
    """Rename, which overwrites, onto an empty file that only we can have created.

    A crash between the two leaves the empty file; the next attempt uses another name.
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
    """Publish a small file to test that the folder supports it; raises ``OSError``."""
    _remove_unlocked(folder, _TRIED)
    target = folder / f".write-test-{secrets.token_hex(8)}"
    part = target.with_name(f"{target.name}.part")
    try:
        with closing(created(part)) as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(b"tweenbatch")
            publish(part, target)
            target.unlink()
    finally:
        for each in (part, target):
            with suppress(OSError):
                each.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk, if the file system supports that."""
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
