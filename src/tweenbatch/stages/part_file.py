"""The ``.part`` file of a download, kept until the clip is whole and gets its own name.

It counts the received bytes and keeps the server's ETag and size, so that the next transfer can
resume. It does not know the source of the bytes or what makes a clip whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tweenbatch.errors import DiskTrouble, DownloadFailed
from tweenbatch.fal import Download
from tweenbatch.files import atomic

_WEAK = "W/"


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Translate an ``OSError`` into ``DiskTrouble``, which names the folder and the next step."""
    try:
        yield
    except OSError as error:
        raise DiskTrouble(
            f"can't write a clip to {folder} ({error.strerror or error}); it is paid for and "
            "stays at fal: repair the disk, free some space or choose another folder with "
            "--output, then run again at no cost"
        ) from error


class PartFile:
    """The ``.part`` file of one fetch, deleted at the end of its ``with`` block.

    Its methods raise ``DiskTrouble``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.total: int | None = None
        """The size of the whole file, according to the server."""
        self.resumed = False
        """Whether it was received in more than one transfer."""
        self._etag: str | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # If it can't be removed it stays; the next fetch starts with a new file.
        with suppress(DiskTrouble):
            self.reset()

    @property
    def etag(self) -> str | None:
        """The ETag for resuming; None if it is weak: a weak one does not promise equal bytes."""
        return None if self._etag is None or self._etag.startswith(_WEAK) else self._etag

    @property
    def offset(self) -> int:
        """The start of the next transfer: 0 unless the server can prove it is the same file."""
        proof = self._file is not None and (self.etag is not None or self.total is not None)
        return self.size if proof else 0

    def begin(self, download: Download) -> None:
        """Start a transfer; keep the received bytes only if it resumes after them."""
        if self._file is None or not download.offset:
            self.reset()
            with writing_to(self.path.parent):
                # Never reuse an old part: after a crash it may be a second name of a clip.
                self._file = atomic.created(self.path)
            self._etag, self.total = download.etag, download.total
        self.resumed = download.offset > 0
        if download.offset != self.size:
            raise DownloadFailed(
                f"{self.size:,} bytes had arrived, but the rest begins at byte {download.offset:,}"
            )

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        assert self._file is not None
        left = memoryview(chunk)
        with writing_to(self.path.parent):
            while left:
                written = self._file.write(left)
                self.size += written
                left = left[written:]

    def close(self) -> None:
        """Close the file; some file systems report only now that they are full."""
        file, self._file = self._file, None
        if file is not None:
            with writing_to(self.path.parent):
                file.close()

    def reset(self) -> None:
        """Remove the file, so that the next transfer starts from zero."""
        self.size, self.total, self.resumed, self._etag = 0, None, False, None
        try:
            self.close()
        finally:
            with writing_to(self.path.parent):
                atomic.discard(self.path)
