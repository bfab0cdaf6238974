"""The storage of the emulated CDN: file names, contents by digest, expired URLs."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tweenbatch.emulator.state.journal import Journal
from tweenbatch.files import atomic

_UNFINISHED = re.compile(r"\.[0-9a-f]{32,40}\.(?:mp4\.)?[0-9a-f]{16,32}\.part|[0-9a-f]{32}\.mp4")
"""Files left behind by a killed write or a killed drawing."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A path on the CDN and the digest of its content. ``request_id`` is set on results."""

    path: str
    sha256: str
    size: int
    content_type: str
    request_id: str | None = None

    @property
    def etag(self) -> str:
        """Return the strong ETag of downloads."""
        return f'"{self.sha256[:32]}"'


class Storage:
    """Files by their path on the CDN. Equal contents are stored once, under their sha256."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder
        self._journal = journal
        self._files: dict[str, StoredFile] = {}
        self._expired: dict[str, int] = {}

    def prepare(self) -> None:
        """Make the folder for contents; remove unfinished files of an earlier process.

        Raises ``OSError``, also if a symbolic link leads out of the state folder.
        """
        atomic.make_folder_of(self.folder.parent, f"{self.folder.name}/blob")
        for path in self.folder.iterdir():
            if _UNFINISHED.fullmatch(path.name):
                path.unlink()

    def blob(self, sha256: str) -> Path:
        """Return the file with the content of a digest."""
        return self.folder / sha256

    def keep(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        target = self.blob(digest)
        if atomic.require_regular(target) is None:
            # Not synced: it must survive the process, but not a power failure.
            atomic.write(target, data, synced=False)
        return digest

    def name(self, file: StoredFile) -> StoredFile:
        """Record a file's path on the CDN, permanently."""
        self._files[file.path] = file
        self._journal.write(
            "file",
            path=file.path,
            sha256=file.sha256,
            size=file.size,
            content_type=file.content_type,
            request_id=file.request_id,
        )
        return file

    def restore(self, file: StoredFile) -> None:
        """Take over a file of an earlier process."""
        self._files[file.path] = file

    def find(self, path: str | None) -> StoredFile | None:
        """Return the file of this path."""
        return None if path is None else self._files.get(path)

    def uploads(self) -> list[StoredFile]:
        """Return the files that clients uploaded, in order."""
        return [file for file in self._files.values() if file.request_id is None]

    def expire(self, path: str, status: int) -> None:
        """From now on answer downloads of this path with an error."""
        self._expired[path] = status

    def expired(self, path: str) -> int | None:
        """Return the HTTP status of an expired path, or None."""
        return self._expired.get(path)


def safe_name(name: str, default: str) -> str:
    """Return a file name that is safe in a URL."""
    return _UNSAFE.sub("_", name.rsplit("/", 1)[-1])[-80:].lstrip(".") or default
