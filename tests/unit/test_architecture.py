"""Dependencies point one way, and each foreign library has one owner."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "tweenbatch"

OWNERS = {
    "sqlalchemy": ("store",),
    "psycopg": ("store",),
    "alembic": ("store",),
    "fal_client": ("fal",),
    "sniffio": ("fal",),
    "httpx": ("fal", "frames.urls", "nights.notify"),
    "tenacity": ("fal.retrying", "nights.notify"),
    "apprise": ("nights.notify",),
    "tqdm": ("cli",),
    "click": ("cli",),
    "pandas": ("manifest",),
    "openpyxl": ("manifest",),
    "pyarrow": ("manifest",),
    "numpy": ("emulator", "frames", "manifest", "records"),
    "av": ("clips", "emulator.model"),
    "PIL": ("frames", "emulator"),
    "cv2": ("emulator.model",),
    "aiohttp": ("emulator",),
    "cryptography": ("emulator.api",),
    "pydantic": ("settings", "nights.jobfile", "cli", "emulator"),
}
"""Who may import a library: rooms by their name below the package."""

MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "states": set(),
    "clock": set(),
    "paths": {"errors"},
    "loopback": set(),
    "files": set(),
    "logs": {"errors", "files"},
    "records": {"errors", "states"},
    "settings": {"clock", "paths", "records"},
    "models": {"errors", "fal", "files", "paths"},
    "frames": {"errors", "files", "models", "records", "tweenbatch"},
    "clips": {"errors"},
    "manifest": {"errors", "files", "frames", "models", "paths", "records", "tweenbatch"},
    "plan": {
        *("clips", "errors", "fal", "files", "models", "paths", "records", "settings", "states"),
        "store",
    },
    "store": {"clock", "errors", "files", "records", "states"},
    "fal": {"clock", "errors", "loopback", "records"},
    "stages": {"clips", "clock", "errors", "fal", "files", "frames", "models", "records", "states"},
    "recovery": {
        *("clock", "errors", "fal", "files", "frames", "models", "records", "stages", "states"),
        *("store", "tweenbatch"),
    },
    "run": {
        *("clips", "clock", "errors", "fal", "files", "logs", "models", "plan", "records"),
        *("recovery", "settings", "stages", "states", "store", "tweenbatch"),
    },
    "report": {
        *("errors", "files", "models", "paths", "plan", "records", "run", "settings", "states"),
    },
    "nights": {
        *("errors", "files", "frames", "logs", "loopback", "manifest", "models", "paths"),
        *("records", "report", "settings", "store", "tweenbatch"),
    },
    "emulator": {"clock", "errors", "files", "loopback"},
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
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for name in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        assert owners is None or any(f"{module}.".startswith(f"{owner}.") for owner in owners), (
            f"{module} imports {name}"
        )


def test_the_readme_names_the_rooms_that_use_each_library() -> None:
    readme = (SOURCE.parent / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([\w-]+)`[^|]*\| [\d.]+ \|.*\| ([\w, ]+) \|$", readme, re.MULTILINE)
    packages = packages_distributions()
    assert table
    assert {name: set(rooms.split(", ")) for name, rooms in table} == {
        packages[library][0].lower().replace("_", "-"): {
            owner.partition(".")[0] for owner in owners
        }
        for library, owners in OWNERS.items()
    }


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
