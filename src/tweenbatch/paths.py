"""Where things lie: the table, the videos, the rehearsal's own beside them, and frames."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from tweenbatch.errors import TableUnusable, UsageError

REHEARSAL = "rehearsal"
"""The folder, beside the real table and videos, in which a rehearsal keeps its own."""

DEFAULT_DB = "sqlite:///tweenbatch.db"
DEFAULT_OUTPUT = Path("videos")
RESULTS = "results.csv"
"""Written into the output folder at the end of each run."""

_SQLITE_FILE = "sqlite:///"
_POSTGRES = re.compile(r"postgresql(\+\w+)?://")
_SQLITE = re.compile(r"sqlite(\+\w+)?://(?:/|$)")
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
"""One letter before the colon is a drive."""

PROBLEMS = ".problems.csv"
"""Put behind a manifest's name for the file that lists what is wrong with it."""

FITTED = "fitted"
"""The folder, below that of the videos, for prepared copies of frames."""


def rehearsal_db(db: str) -> str:
    """Return the URL of the rehearsal's own table: ``rehearsal/`` beside the real one."""
    path = sqlite_path(db)
    if path is None:
        return f"{_SQLITE_FILE}{REHEARSAL}/tweenbatch.db"
    if path.parent.name == REHEARSAL:
        return db
    return sqlite_db(path.parent / REHEARSAL / path.name)


def rehearsal_output(output: Path) -> Path:
    """Return the rehearsal's own folder for videos."""
    return output if output.parent.name == REHEARSAL else output.parent / REHEARSAL / output.name


def rehearsal_only(path: Path) -> Path:
    """Return a file or folder of a rehearsal; raise ``UsageError`` if a link leads out of it.

    A rehearsal would take what it finds there for its own, and a person may have paid for it.
    """
    for each in (path.parent, path):
        if each.is_symlink():
            raise UsageError(
                f"{each} is a symbolic link; a rehearsal keeps its files apart from those that "
                "were paid for, and follows none: remove it"
            )
    return path


def sqlite_path(db: str) -> Path | None:
    """Return the file of an SQLite table; None for any other database."""
    return Path(db.removeprefix(_SQLITE_FILE)) if db.startswith(_SQLITE_FILE) else None


def local(text: str) -> str:
    """Return what names a place on this machine; raise ``UsageError`` for an address.

    As a path, ``s3://bucket`` would be a folder called ``s3:``.
    """
    if address := _ADDRESS.match(text):
        raise UsageError(
            f"{address[1]}://… is an address; expected a path on this machine. Nothing was made"
        )
    return text


def known_table(db: str) -> str:
    """Return the URL of a table of a kind that we know; raise ``TableUnusable`` for another."""
    if file := _SQLITE.match(db):
        local(db[file.end() :])
    elif not _POSTGRES.match(db):
        # A text that is no such URL may still hold a password: it is not repeated.
        raise TableUnusable(
            "--db (TWEENBATCH_DB) is no table that is known: expected sqlite:///FILE or "
            "postgresql://HOST/DATABASE. Nothing was made"
        )
    return db


def sqlite_db(path: Path) -> str:
    """Return the URL of an SQLite table in that file."""
    return f"{_SQLITE_FILE}{path}"


def short(path: Path) -> Path:
    """Return a path as seen from the current folder where it lies below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def models_folder() -> Path:
    """Return the folder in which what was read from fal of its models is kept."""
    named = os.environ.get("TWEENBATCH_MODELS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME", "")
    # The standard has a relative one ignored.
    base = Path(data) if Path(data).is_absolute() else (_home() or Path()) / ".local" / "share"
    return base / "tweenbatch" / "models"


def state_folder() -> Path | None:
    """Return the folder in which a machine's own memory of what was done lies, if it has one."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():
        return Path(state) / "tweenbatch"
    home = _home()
    return None if home is None else home / ".local" / "state" / "tweenbatch"


def marks_folder() -> Path | None:
    """Return the folder for marks of how far tables had come, if there can be one."""
    state = state_folder()
    return None if state is None else state / "marks"


def frame_roots(manifest: Path, named: Collection[Path]) -> frozenset[Path]:
    """Return the real folders in which the local frames of a manifest may lie.

    Frames are uploaded to public addresses, and somebody else may have written the manifest:
    so its own folder, the one above it, the current one and those that a person ``named``.
    """
    own, current = manifest.parent.resolve(), Path.cwd().resolve()
    roots = {own, *(folder.resolve() for folder in named)}
    if own.parent != _home() and not _holds_everything(own.parent):
        roots.add(own.parent)
    # Services are started in the root, which nobody chose.
    if not _holds_everything(current):
        roots.add(current)
    return frozenset(roots)


def _holds_everything(folder: Path) -> bool:
    """Whether it is the root or a folder above the home folder."""
    home = _home()
    return folder == Path(folder.anchor) or (home is not None and folder in home.parents)


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # an account without a home folder
        return None
