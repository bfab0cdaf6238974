"""What a stranger may have put under the name of a file that we write."""

import os
import stat
from pathlib import Path

KINDS = (
    *("link", "link to nothing", "link to a folder", "hard link"),
    *("pipe", "socket", "device", "folder"),
)


class Outside:
    """Files of the user's beside the folder that is worked in: they stay as they are."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "folder").mkdir(parents=True)
        self.file.write_text("mine\n")
        (place / "folder" / "deep").write_text("mine as well\n")
        self._before = self._seen()

    @property
    def file(self) -> Path:
        return self.place / "file"

    def _seen(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.place)): b"" if path.is_dir() else path.read_bytes()
            for path in self.place.rglob("*")
        }

    @property
    def is_untouched(self) -> bool:
        return self._seen() == self._before

    def plant(self, path: Path, kind: str) -> None:
        """Put something of this kind at the path, in the place of a file that is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        match kind:
            case "link":
                path.symlink_to(self.file)
            case "link to nothing":
                path.symlink_to(self.place / "nothing")
            case "link to a folder":
                path.symlink_to(self.place / "folder")
            case "hard link":
                path.hardlink_to(self.file)
            case "pipe":
                os.mkfifo(path)
            case "socket":
                os.mknod(path, stat.S_IFSOCK | 0o600)
            case "device":
                os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # /dev/null
            case "folder":
                path.mkdir()
