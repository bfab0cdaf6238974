"""The file that a clip arrives in, until it is whole and takes its own name.

It knows what has come and what the server said of the file, so that the next transfer can go
on from there; it refuses to know where the bytes come from and what makes a clip whole.
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
    """Turn what the disk refuses into ``DiskTrouble``, which says where and what to do."""
    try:
        yield
    except OSError as error:
        raise DiskTrouble(
            f"a clip can't be written to {folder} ({error.strerror or error}); it is paid for and "
            "stays at fal: mend the disk, make room or choose another folder with --output, and "
            "run again"
        ) from error


class PartFile:
    """A ``.part`` of one fetch: it goes with the block that it is opened for.

    Its methods raise ``DiskTrouble``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.total: int | None = None
        """The size of the whole file, as the server said."""
        self.resumed = False
        """Whether it came in more than one transfer."""
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
        # It stays where nothing can be removed; the next fetch begins with another.
        with suppress(DiskTrouble):
            self.forget()

    @property
    def etag(self) -> str | None:
        """What the rest can be asked for with; a weak one does not speak of bytes."""
        return None if self._etag is None or self._etag.startswith(_WEAK) else self._etag

    @property
    def offset(self) -> int:
        """Where the next transfer may begin: 0 unless it can be proven to be of the same file."""
        proof = self._file is not None and (self.etag is not None or self.total is not None)
        return self.size if proof else 0

    def begin(self, download: Download) -> None:
        """Take a transfer up; what has come stays only if this one goes on from there."""
        if self._file is None or not download.offset:
            self.forget()
            with writing_to(self.path.parent):
                # Never an old part: a crash may have left it as a second name of a clip.
                self._file = atomic.created(self.path)
            self._etag, self.total = download.etag, download.total
        self.resumed = download.offset > 0
        if download.offset != self.size:
            raise DownloadFailed(f"{self.size:,} bytes had come and the rest begins elsewhere")

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        assert self._file is not None
        left = memoryview(chunk)
        with writing_to(self.path.parent):
            while left:
                written = self._file.write(left)
                self.size += written
                left = left[written:]

    def close(self) -> None:
        """Add no more; some file systems tell only now that they are full."""
        file, self._file = self._file, None
        if file is not None:
            with writing_to(self.path.parent):
                file.close()

    def forget(self) -> None:
        """Remove the file and begin anew."""
        self.size, self.total, self.resumed, self._etag = 0, None, False, None
        try:
            self.close()
        finally:
            with writing_to(self.path.parent):
                atomic.discard(self.path)
