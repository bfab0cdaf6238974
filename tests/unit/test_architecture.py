"""Dependencies point one way, and each foreign library has one owner."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

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
    "pandas": ("manifest", "api"),
    "openpyxl": ("manifest",),
    "pyarrow": ("manifest",),
    "numpy": ("emulator", "frames", "manifest", "records"),
    "av": ("clips", "emulator.model"),
    "PIL": ("frames", "emulator"),
    "cv2": ("emulator.model",),
    "aiohttp": ("emulator",),
    "cryptography": ("emulator.api",),
    "pydantic": ("settings", "nights.jobfile", "api", "cli", "emulator"),
}
"""Who may import a library: rooms by their name below the package."""

FLOORS = (
    (
        "printable",
        "states",
        "exit_codes",
        "clock",
        "loopback",
        "backoff",
        "http_statuses",
        "suggestions",
        "version",
    ),
    ("errors",),
    ("paths", "files", "records", "clips"),
    ("logs", "settings", "fal", "store", "emulator"),
    ("models",),
    ("frames",),
    ("manifest", "planning", "stages"),
    ("recovery", "report"),
    ("runner", "nights"),
    ("api",),
    ("cli",),
)
"""The wings from the ground up. A wing imports only wings on floors below its own."""

NEVER = {
    "stages": ("never import the store: the runner writes down what a stage returns", {"store"}),
    "store": ("never imports the wire", {"fal", "loopback"}),
    "fal": ("never imports files: what it returns is a value", {"files", "paths"}),
    "manifest": ("never imports the wire", {"fal"}),
    "planning": ("never imports frames: they were looked at before", {"frames"}),
    "report": ("never imports the store or the wire: it is given values", {"store", "fal"}),
    "records": ("never import anything that acts", {"clock", "loopback"}),
    "settings": ("never import files", {"files"}),
    "emulator": (
        "never imports the product's own knowledge of fal",
        {"fal", "models", "records", "store", "settings", "paths"},
    ),
}
"""Rules that the floors alone do not hold: a wing, the rule, and what it forbids."""

ONLY = {
    "emulator": {"api", "cli"},
    "api": {"cli", "__init__"},
    "cli": {"__main__"},
}
"""Wings that few may import, and who these are: nothing else starts a run."""


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


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room(path) != "__init__")


def used_rooms(path: Path) -> set[str]:
    """Return the other wings that a file imports."""
    parts = (name.split(".") for name in imports(path))
    used = {part[1] for part in parts if part[0] == "tweenbatch" and len(part) > 1}
    of_package = {name for name in used if (PACKAGE / name).is_dir()}
    return (of_package | {name for name in used if (PACKAGE / f"{name}.py").exists()}) - {
        room(path)
    }


def test_every_room_has_a_floor() -> None:
    floors = [each for floor in FLOORS for each in floor]
    assert sorted(floors) == sorted({room(path) for path in FILES} - {"__main__"})


def test_a_room_imports_only_rooms_below_it() -> None:
    floor_of = {each: number for number, floor in enumerate(FLOORS) for each in floor}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {used}"
        for path in FILES
        if room(path) in floor_of
        for used in used_rooms(path)
        if floor_of[used] >= floor_of[room(path)]
    ]
    assert not wrong


def test_the_rules_between_rooms_hold() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {used}: {room(path)} {rule}"
        for path in FILES
        for rule, forbidden in [NEVER.get(room(path), ("", set()))]
        for used in used_rooms(path) & forbidden
    ]
    assert not wrong


def test_few_rooms_start_a_run() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {used}"
        for path in FILES
        for used in used_rooms(path) & ONLY.keys()
        if room(path) not in ONLY[used]
    ]
    assert not wrong


def test_every_folder_says_what_it_owns() -> None:
    folders = [path.parent for path in PACKAGE.rglob("*.py") if path.name == "__init__.py"]
    assert folders
    for folder in folders:
        door = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(door), f"{folder} has no sentence of its own"
        of_code = [
            node.name
            for node in door.body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name != "__getattr__"  # a door that opens when it is used
        ]
        if folder != PACKAGE:
            assert not of_code, f"{folder} is a cupboard: its __init__ should only be a door"


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert homes
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_a_library_is_imported_by_its_owner_only() -> None:
    wrong = []
    for path in FILES:
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for name in imports(path):
            owners = OWNERS.get(name.split(".")[0], (module,))
            if not any(f"{module}.".startswith(f"{owner}.") for owner in owners):
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_the_readme_names_the_rooms_that_use_each_library() -> None:
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
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
        "from tweenbatch.cli.main import tweenbatch\n"
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
