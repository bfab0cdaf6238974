"""On what kind of file system a path lies: SQLite's locks and its WAL need a local one."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")

NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|gfs2?|glusterfs|lustre|ncpfs|ocfs2|beegfs|davfs"
    r"|fuse\.(sshfs|rclone|s3fs|gcsfuse|davfs\d?|glusterfs|ceph|google-drive-ocamlfuse)"
)

_OCTAL = re.compile(r"\\([0-7]{3})")


def network_type(path: Path | None, *, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that a path lies on; None: not on one.

    Where the kernel does not tell, it is taken for local.
    """
    if path is None:
        return None
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = path.resolve()
    except OSError:
        return None
    found = ("", "")
    for line in lines:
        point, kind = _mount(line)
        # Of two mounts at one point the later one is seen.
        if place.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1] if NETWORK.fullmatch(found[1]) else None


def _mount(line: str) -> tuple[str, str]:
    """Return where a file system is mounted and its type; blanks in a name are octal there."""
    _, point, kind, *_ = [*line.split(" "), "", "", ""]
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), point), kind
