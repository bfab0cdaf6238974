"""Dependencies point one way, and each foreign library has one owner."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "tweenbatch"

OWNERS = {
    "sqlalchemy": ("store",),
    "alembic": ("store",),
    "fal_client": ("fal",),
    "httpx": ("fal", "notify", "probe"),
    "tenacity": ("notify", "retrying"),
    "apprise": ("notify",),
    "tqdm": ("cli",),
    "click": ("cli",),
    "pandas": ("manifest",),
    "av": ("video", "emulator"),
    "PIL": ("frames", "preflight", "fitting", "emulator"),
    "cv2": ("emulator",),
    "aiohttp": ("emulator",),
    "pydantic": ("settings", "jobfile", "cli", "emulator"),
}
"""Who may import a library: rooms by the first name below the package."""

MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "states": set(),
    "clock": set(),
    "records": {"errors", "states"},
    "rows": {"errors", "records"},
    "models": {"errors", "places"},
    "places": set(),
    "filenames": set(),
    "repeated": set(),
    "settings": {"clock", "places", "records"},
    "jobfile": {"errors", "fitting", "logs", "manifest", "models", "places", "records", "settings"},
    "policy": {"records", "states"},
    "lane": {"policy"},
    "window": {"records"},
    "slots": {"lane", "window"},
    "rhythm": set(),
    "streak": {"policy", "records", "states"},
    "mp4": {"errors"},
    "video": {"errors"},
    "frames": {"errors", "models"},
    "formulas": set(),
    "prompts": set(),
    "preflight": {"errors", "frames", "probe", "records", "repeated", "rows"},
    "fitting": {"errors", "frames", "models", "preflight", "records"},
    "probe": {"tweenbatch", "errors"},
    "memory": {"errors", "frames", "preflight", "records"},
    "manifest": {
        *("errors", "filenames", "fitting", "formulas", "frames", "memory", "models", "places"),
        *("preflight", "prompts", "records", "rows", "tweenbatch"),
    },
    "pairs": {
        *("tweenbatch", "errors", "filenames", "formulas", "frames", "models", "places"),
        "prompts",
    },
    "store": {
        *("clock", "errors", "filenames", "records", "repeated", "rows", "states", "tweenbatch"),
    },
    "table": set(),
    "disk": set(),
    "witness": {"errors", "records", "states", "store"},
    "fal": {"errors", "records"},
    "retrying": {"clock", "errors", "fal"},
    "changes": {"places", "records", "rows"},
    "pace": {"records"},
    "plan": {
        *("changes", "errors", "models", "pace", "records", "rows", "states", "store"),
        "tweenbatch",
    },
    "quote": {"errors", "fal", "models"},
    "learning": {"errors", "fal", "models"},
    "batch": {
        *("errors", "models", "pace", "plan", "records", "rows", "settings", "states", "store"),
    },
    "stages": {
        *("clock", "errors", "fal", "filenames", "frames", "models", "mp4", "policy", "records"),
        *("retrying", "rhythm", "states", "video"),
    },
    "intents": {"clock", "fal", "models", "records", "stages", "store", "table"},
    "worker": {
        *("clock", "errors", "fal", "intents", "lane", "logs", "records", "slots", "stages"),
        *("states", "store", "streak", "table", "witness"),
    },
    "reconciler": {
        *("clock", "errors", "fal", "records", "retrying", "stages", "states", "store", "table"),
    },
    "restored": {"errors", "records", "store"},
    "lost": {
        *("tweenbatch", "clock", "errors", "fal", "frames", "models", "records", "restored"),
        *("retrying", "stages", "states", "store", "table"),
    },
    "runner": {"errors", "reconciler", "records", "states", "worker"},
    "session": {
        *("tweenbatch", "clock", "disk", "errors", "fal", "filenames", "intents", "lane", "lost"),
        *("logs", "models"),
        *("reconciler", "restored", "rhythm", "slots", "window"),
        *(
            "runner",
            "settings",
            "stages",
            "states",
            "store",
            "streak",
            "table",
            "witness",
            "worker",
        ),
    },
    "report": {
        *("batch", "disk", "errors", "formulas", "models", "pace", "places", "plan"),
        *("records", "rows", "runner", "session", "settings", "states"),
    },
    "logs": {"errors"},
    "schedule": set(),
    "inbox": {"filenames", "manifest", "places", "report"},
    "notify": {"errors"},
    "morning": {"notify", "records", "report", "store", "tweenbatch"},
    "emulator": {"clock", "errors"},
}
"""Which rooms a room may know; the command line may know all, and nobody knows it."""


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "tweenbatch":
                yield from (f"tweenbatch.{alias.name}" for alias in node.names)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room(path) not in ("__init__", "__main__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_knows_only_the_rooms_that_it_may(path: Path) -> None:
    here = room(path)
    if here == "cli":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "tweenbatch" or len(parts) == 1:
            continue
        used = parts[1]
        if not (PACKAGE / used).is_dir() and not (PACKAGE / f"{used}.py").exists():
            used = "tweenbatch"  # a name of the package itself, such as __version__
        assert used == here or used in MAY_USE[here], f"{here} imports {used}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_is_imported_by_its_owner_only(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        if library in OWNERS:
            assert room(path) in OWNERS[library], f"{room(path)} imports {library}"


def loaded_by(*arguments: str, folder: Path) -> set[str]:
    """Return the modules that a command had loaded when it ended."""
    script = (
        "import sys\n"
        "from tweenbatch.cli import tweenbatch\n"
        "try:\n"
        "    tweenbatch(sys.argv[1:], prog_name='tweenbatch')\n"
        "finally:\n"
        "    print('LOADED', *sorted(sys.modules), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(ended.stderr.rpartition("LOADED")[2].split())


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by("--help", folder=tmp_path)
    assert "tweenbatch.cli" in loaded
    heavy = {"pandas", "sqlalchemy", "alembic", "fal_client", "httpx", "pydantic", "av", "numpy"}
    assert not loaded & heavy


def test_status_loads_neither_pandas_nor_the_client_nor_migrations(tmp_path: Path) -> None:
    from tweenbatch.store import Store

    Store.open(f"sqlite:///{tmp_path / 'tweenbatch.db'}").close()
    loaded = loaded_by("status", folder=tmp_path)
    assert "sqlalchemy" in loaded
    heavy = {"pandas", "fal_client", "alembic", "sqlalchemy.orm", "httpx", "av", "numpy"}
    assert not loaded & heavy
