"""The paths of the job table, videos, rehearsals, models, marks and frames."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from tweenbatch.errors import TableUnusable, UsageError

REHEARSAL = "rehearsal"
"""The folder for a rehearsal's table and videos, next to the real ones."""

DEFAULT_DB = "sqlite:///tweenbatch.db"
DEFAULT_OUTPUT = Path("videos")
RESULTS = "results.csv"
"""Written into the output folder at the end of each run."""

_SQLITE_FILE = "sqlite:///"
_POSTGRES = re.compile(r"postgresql(\+\w+)?://")
_SQLITE = re.compile(r"sqlite(\+\w+)?://(?:/|$)")
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
"""A single letter before the colon is a drive."""

PROBLEMS = ".problems.csv"
"""Added to a manifest's name: the file that lists its problems."""

FITTED = "fitted"
"""The subfolder of the videos' folder for adjusted copies of frames."""


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
    """Return a path of a rehearsal; raise ``UsageError`` if a link leads out of its folder.

    Otherwise a rehearsal could treat paid clips as its own.
    """
    for each in (path.parent, path):
        if each.is_symlink():
            raise UsageError(
                f"{each} is a symbolic link; remove it: a rehearsal follows no links, to keep its "
                "files apart from paid ones"
            )
    return path


def sqlite_path(db: str) -> Path | None:
    """Return the file of an SQLite table; None for any other database."""
    return Path(db.removeprefix(_SQLITE_FILE)) if db.startswith(_SQLITE_FILE) else None


def local(text: str) -> str:
    """Return a path on this machine; raise ``UsageError`` for an address.

    As a path, ``s3://bucket`` would be a folder named ``s3:``.
    """
    if address := _ADDRESS.match(text):
        raise UsageError(
            f"{address[1]}://… is an address; expected a path on this machine. Nothing was created"
        )
    return text


def known_table(db: str) -> str:
    """Return the URL of an SQLite or PostgreSQL table; raise ``TableUnusable`` for others."""
    if file := _SQLITE.match(db):
        local(db[file.end() :])
    elif not _POSTGRES.match(db):
        # Even an invalid URL may contain a password, so the message does not repeat it.
        raise TableUnusable(
            "--db (TWEENBATCH_DB) isn't the URL of a job table: expected sqlite:///FILE or "
            "postgresql://HOST/DATABASE. Nothing was created"
        )
    return db


def sqlite_db(path: Path) -> str:
    """Return the URL of the SQLite table in a file."""
    return f"{_SQLITE_FILE}{path}"


def short(path: Path) -> Path:
    """Return a path inside the current folder relative to it, and other paths unchanged."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def models_folder() -> Path:
    """Return the folder that stores models read from fal."""
    named = os.environ.get("TWEENBATCH_MODELS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG standard says that a relative path is ignored.
    base = Path(data) if Path(data).is_absolute() else (_home() or Path()) / ".local" / "share"
    return base / "tweenbatch" / "models"


def state_folder() -> Path | None:
    """Return the folder for this machine's own state, or None without a home folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():
        return Path(state) / "tweenbatch"
    home = _home()
    return None if home is None else home / ".local" / "state" / "tweenbatch"


def marks_folder() -> Path | None:
    """Return the folder for the high-water marks of job tables, or None without a home folder."""
    state = state_folder()
    return None if state is None else state / "marks"


def frame_roots(manifest: Path, named: Collection[Path]) -> frozenset[Path]:
    """Return the real folders that may contain a manifest's local frames.

    These are the manifest's folder, its parent, the current folder and those in ``named``. Frames
    are uploaded to public addresses, and another person may have written the manifest.
    """
    own, current = manifest.parent.resolve(), Path.cwd().resolve()
    roots = {own, *(folder.resolve() for folder in named)}
    if own.parent != _home() and not _holds_everything(own.parent):
        roots.add(own.parent)
    # A service starts in the root folder, which is not a choice of its user.
    if not _holds_everything(current):
        roots.add(current)
    return frozenset(roots)


def _holds_everything(folder: Path) -> bool:
    """Return whether a folder is the root or a parent of the home folder."""
    home = _home()
    return folder == Path(folder.anchor) or (home is not None and folder in home.parents)


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # an account without a home folder
        return None
