"""A local disk and a network file system are told apart for SQLite."""

from pathlib import Path

import pytest

from tweenbatch.store.engine import FIRST_WAL_SAFE, journal_mode
from tweenbatch.store.filesystem import network_type

MOUNTS = """\
/dev/vda / ext4 rw,relatime 0 0
server:/home /srv/home nfs4 rw,vers=4.2 0 0
/dev/vdb /srv/home/local xfs rw 0 0
//nas/clips /srv/two\\040words cifs rw 0 0
me@host: /srv/ssh fuse.sshfs rw 0 0
overlay /srv/over ext4 rw 0 0
server:/over /srv/over nfs rw 0 0
disk /srv/fuse fuse.ntfs rw 0 0

damaged
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tweenbatch.db", None),
        ("/srv/home/tweenbatch.db", "nfs4"),
        ("/srv/homework/tweenbatch.db", None),
        ("/srv/home/local/tweenbatch.db", None),
        ("/srv/two words/tweenbatch.db", "cifs"),
        ("/srv/ssh/a/b/tweenbatch.db", "fuse.sshfs"),
        ("/srv/over/tweenbatch.db", "nfs"),
        ("/srv/fuse/tweenbatch.db", None),
    ],
)
def test_the_innermost_mount_says_what_a_path_lies_on(
    tmp_path: Path, path: str, kind: str | None
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert network_type(Path(path), mounts=mounts) == kind


def test_what_the_kernel_does_not_tell_is_taken_for_local(tmp_path: Path) -> None:
    assert network_type(tmp_path, mounts=tmp_path / "nowhere") is None
    assert network_type(None) is None


@pytest.mark.parametrize(
    ("version", "network", "mode"),
    [
        (FIRST_WAL_SAFE, None, "WAL"),
        ((3, 51, 2), None, "TRUNCATE"),
        (FIRST_WAL_SAFE, "nfs4", "TRUNCATE"),
        ((3, 40, 1), "cifs", "TRUNCATE"),
    ],
)
def test_a_wal_is_kept_only_where_it_is_safe(
    version: tuple[int, int, int], network: str | None, mode: str
) -> None:
    assert journal_mode(version, network) == mode
