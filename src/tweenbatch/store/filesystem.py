"""Detect network file systems: SQLite's locks and its WAL need a local one."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")

NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|gfs2?|glusterfs|lustre|ncpfs|ocfs2|beegfs|davfs"
    r"|fuse\.(sshfs|rclone|s3fs|gcsfuse|davfs\d?|glusterfs|ceph|google-drive-ocamlfuse)"
)

_OCTAL = re.compile(r"\\([0-7]{3})")


def network_type(path: Path | None, *, mounts: Path = MOUNTS) -> str | None:
    """Return the type of a path's network file system, or None.

    If the kernel does not say, it counts as local.
    """
    if path is None:
        return None
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        resolved = path.resolve()
    except OSError:
        return None
    found = ("", "")
    for line in lines:
        point, kind = _mount(line)
        # The later of two mounts at one mount point is visible.
        if resolved.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1] if NETWORK.fullmatch(found[1]) else None


def _mount(line: str) -> tuple[str, str]:
    """Return the mount point and type of a line; blanks in names are octal codes."""
    _, point, kind, *_ = [*line.split(" "), "", "", ""]
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), point), kind
