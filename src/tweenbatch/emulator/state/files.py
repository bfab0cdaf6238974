"""The storage behind the CDN: names, blobs by content, URLs that have expired."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from tweenbatch.emulator.state.journal import Journal
from tweenbatch.files import atomic

_UNFINISHED = re.compile(r"\.[0-9a-f]{32,40}\.(?:mp4\.)?[0-9a-f]{16,32}\.part|[0-9a-f]{32}\.mp4")
"""What writing a blob and drawing a clip leave behind when they are killed."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A name on the CDN and the blob it stands for. ``request_id`` is set on results."""

    path: str
    sha256: str
    size: int
    content_type: str
    request_id: str | None = None

    @property
    def etag(self) -> str:
        """Return the strong validator that downloads carry."""
        return f'"{self.sha256[:32]}"'


class Storage:
    """Files by their path on the CDN. Blobs are kept once, under their sha256."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder
        self._journal = journal
        self._files: dict[str, StoredFile] = {}
        self._expired: dict[str, int] = {}

    def prepare(self) -> None:
        """Make the folder for blobs; remove what an earlier process left unfinished.

        Raises ``OSError``, also where the folder is not below that of the state.
        """
        atomic.make_folder_of(self.folder.parent, f"{self.folder.name}/blob")
        for found in self.folder.iterdir():
            if _UNFINISHED.fullmatch(found.name):
                found.unlink()

    def blob(self, sha256: str) -> Path:
        """Return where the bytes of a digest are."""
        return self.folder / sha256

    def keep(self, data: bytes) -> str:
        """Store bytes and return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        target = self.blob(digest)
        if atomic.require_regular(target) is None:
            # It outlives the process; nobody asks that it outlive a power cut.
            atomic.write(target, data, synced=False)
        return digest

    def name(self, file: StoredFile) -> StoredFile:
        """Give a blob a path on the CDN, for good."""
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
        """Return what clients have sent, in order."""
        return [file for file in self._files.values() if file.request_id is None]

    def expire(self, path: str, status: int) -> None:
        """From now on answer downloads of this path with an error."""
        self._expired[path] = status

    def expired(self, path: str) -> int | None:
        """Return the HTTP status that an expired path answers."""
        return self._expired.get(path)


def safe_name(name: str, default: str) -> str:
    """Return a file name that can stand in a URL."""
    return _UNSAFE.sub("_", name.rsplit("/", 1)[-1])[-80:].lstrip(".") or default
