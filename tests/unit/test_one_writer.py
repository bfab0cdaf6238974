"""Only one room writes files: a new hand-written way would forget a link, a pipe or a power cut."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tweenbatch"
ROOM = SOURCE / "files" / "atomic.py"
FFMPEG = {SOURCE / "emulator" / "model" / name for name in ("clip.py", "preview.py")}
"""FFmpeg opens its file by itself: in a folder of its own, or under a random name."""

WRITES = frozenset(
    {
        *("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"),
        *("mkstemp", "NamedTemporaryFile"),
    }
)


def is_write(call: ast.Call) -> bool:
    """Whether a call creates, overwrites or renames a file."""
    of, _, name = ast.unparse(call.func).rpartition(".")
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if name == "open":
        texts = [each.value for each in given if isinstance(each, ast.Constant)]
        modes = [set(text) for text in texts if isinstance(text, str)]
        return any(mode <= set("rwaxbt+") and mode & set("wax+") for mode in modes)
    if name == "replace":
        # A text's takes two arguments, a date's has names.
        return of == "os" or (len(call.args) == 1 and not call.keywords)
    if name == "rename":
        return bool(given)
    if of == "shutil":
        return name != "copyfileobj"
    return name in WRITES or (of == "os" and name in {"link", "renames"})


def writes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        creates = isinstance(node, ast.Attribute) and node.attr in {"O_CREAT", "O_TRUNC"}
        if creates or (isinstance(node, ast.Call) and is_write(node)):
            yield ast.unparse(node)


def test_only_one_room_writes_files() -> None:
    found = {
        f"{path.relative_to(SOURCE)}: {each}"
        for path in SOURCE.rglob("*.py")
        for each in (writes(path) if path != ROOM else ())
        if not (path in FFMPEG and "av.open(" in each)
    }
    assert found == set(), "use files/atomic.py"


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "path.open('ab')",
        "path.open(mode='x')",
        "path.write_text(text)",
        "path.write_bytes(data)",
        "os.replace(a, b)",
        "part.replace(path)",
        "path.rename(place)",
        "os.rename(a, b)",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "os.open(path, os.O_WRONLY | os.O_TRUNC)",
        "tempfile.mkstemp()",
        "tempfile.NamedTemporaryFile()",
        "shutil.copyfile(a, b)",
        "path.touch()",
    ],
)
def test_a_writer_of_any_other_kind_would_be_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "new.py").write_text(f"{line}\n")
    assert list(writes(tmp_path / "new.py"))
