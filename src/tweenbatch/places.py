"""Where things lie: the table, the videos, and the rehearsal's own beside them."""

from pathlib import Path

REHEARSAL = "rehearsal"
"""The folder, beside the real table and videos, in which a rehearsal keeps its own."""

DEFAULT_DB = "sqlite:///tweenbatch.db"
DEFAULT_OUTPUT = Path("videos")
RESULTS = "results.csv"
"""Written into the output folder at the end of each run."""

_SQLITE_FILE = "sqlite:///"


def rehearsal_db(db: str) -> str:
    """Return the URL of the rehearsal's own table: ``rehearsal/`` beside the real one."""
    path = sqlite_path(db)
    if path is None:
        return f"{_SQLITE_FILE}{REHEARSAL}/tweenbatch.db"
    if path.parent.name == REHEARSAL:
        return db
    return f"{_SQLITE_FILE}{path.parent / REHEARSAL / path.name}"


def rehearsal_output(output: Path) -> Path:
    """Return the rehearsal's own folder for videos."""
    return output if output.parent.name == REHEARSAL else output.parent / REHEARSAL / output.name


def sqlite_path(db: str) -> Path | None:
    """Return the file of an SQLite table; None for any other database."""
    return Path(db.removeprefix(_SQLITE_FILE)) if db.startswith(_SQLITE_FILE) else None
