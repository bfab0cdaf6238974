"""systemd's own reading of a service, on a machine that need not have booted with it."""

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MANAGER = Path("/lib/systemd/systemd")
NOBODY = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What systemd would start, and where."""

    words: tuple[str, ...]
    folder: Path
    key_pattern: str
    """The pattern, as glob(7) has it, that the file with the key is looked for by."""

    def key_files(self) -> list[Path]:
        """Return what glob(3), which systemd asks, finds by the pattern."""
        found = _Glob()
        if ctypes.CDLL(None).glob(os.fsencode(self.key_pattern), 0, None, ctypes.byref(found)):
            return []
        return [Path(os.fsdecode(found.paths[n] or b"")) for n in range(found.count)]


class _Glob(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_size_t),
        ("paths", ctypes.POINTER(ctypes.c_char_p)),
        ("rest", ctypes.c_char * 256),
    )


def read(service: str) -> Service:
    """Let systemd load the text of a service and tell what it understood."""
    if not MANAGER.exists():
        pytest.skip("systemd is not installed (Debian: apt install systemd)")
    with _folders() as (units, runtime, somebody):
        (units / "read.service").write_text(service, encoding="utf-8")
        (units / "default.target").write_text("[Unit]\nWants=read.service\n")
        told = subprocess.run(
            [MANAGER, "--user", "--test", "--no-pager", "--log-target=console"],
            env={"HOME": str(runtime), "XDG_RUNTIME_DIR": str(runtime), "LC_ALL": "C.UTF-8"}
            | {"SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user"},
            capture_output=True,
            text=True,
            check=False,
            **somebody,
        )
    ours = re.search(r"-> Unit read\.service:\n(.*?)(?=\n\t-> Unit |\Z)", told.stdout, re.DOTALL)
    assert ours, told.stdout + told.stderr
    said = dict(re.findall(r"^\t+([\w ]+): (.*)$", ours.group(1), re.MULTILINE))
    return Service(
        words=tuple(map(_as_started, _by_sh(said["Command Line"]))),
        folder=Path(said["WorkingDirectory"]),
        key_pattern=said["EnvironmentFile"].removeprefix("-"),
    )


def _as_started(word: str) -> str:
    """Return a word with its variables put in, as systemd does last: here none is set."""
    return re.sub(r"\$(\$|\w+|\{\w+\})", lambda found: "$" if found[1] == "$" else "", word)


def _by_sh(line: str) -> list[str]:
    """Return the words of a line that systemd quoted for a shell."""
    told = subprocess.run(
        ["/bin/sh", "-c", rf"printf '%s\0' {line}"], capture_output=True, text=True, check=True
    )
    return told.stdout.split("\0")[:-1]


@contextmanager
def _folders() -> Iterator[tuple[Path, Path, dict[str, Any]]]:
    """Return folders for units and for systemd itself, and who it is to be: never root."""
    root = os.geteuid() == 0
    somebody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}
    base = Path(tempfile.mkdtemp())
    try:
        base.chmod(0o755)
        units, runtime = base / "units", base / "runtime"
        units.mkdir(0o755)
        runtime.mkdir(0o755)
        if root:
            os.chown(runtime, NOBODY, NOBODY)
        yield units, runtime, somebody
        subprocess.run(["find", runtime, "-mindepth", "1", "-delete"], check=True, **somebody)
    finally:
        shutil.rmtree(base)
