"""The READMEs are true: every command in them is run here, in a clean copy of the project."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import executable
from support.fal import Server
from support.pages import PAGES

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    """Return what a page shows in that language."""
    text = page.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


INSTALL, TESTS, *OTHERS = blocks(ROOT / "README.md", "sh")
ON_OTHER_PAGES = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}, {number}")
    for page in PAGES
    if page != ROOT / "README.md"
    for number, block in enumerate(blocks(page, "sh"), start=1)
]
IN_PYTHON = [
    pytest.param(f"python - <<'END'\n{block}END\n", id=f"{page.relative_to(ROOT)}, Python")
    for page in PAGES
    for block in blocks(page, "python")
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as a clone has it."""
    copy = tmp_path / "tweenbatch"
    kept = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "rehearsal", "videos")
    shutil.copytree(ROOT, copy, ignore=kept)
    return copy


def shell(script: str, folder: Path, **environment: str) -> tuple[int, str]:
    """Run a block as one script; return its exit code and all that it printed."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FAL_", "TWEENBATCH_", "VIRTUAL_ENV", "PYTEST", "PYTHON", "XDG_"))
    }
    said = folder / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={**clean, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=300)
        finally:
            # A block that failed may have left something running.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return code, said.read_text()


def test_the_first_command_does_everything_on_a_clean_clone(clone: Path) -> None:
    code, said = shell(
        INSTALL,
        clone,
        # The Python that runs the tests, whichever else the machine has.
        PATH=f"{sys.base_prefix}/bin{os.pathsep}{os.environ['PATH']}",
        # To compile all that is installed takes longer than to compile what is used.
        PIP_NO_COMPILE="1",
    )
    assert code == 0, said
    assert "4 of 4 clips done" in said
    assert len(list((clone / "rehearsal" / "videos").glob("*.mp4"))) == 4


def test_the_second_command_is_how_the_tests_are_run() -> None:
    assert TESTS.strip() == '.venv/bin/pip install -e ".[dev]" && .venv/bin/python -m pytest'
    assert '"$venv/bin/python" -m pytest' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", [*OTHERS, *ON_OTHER_PAGES, *IN_PYTHON])
def test_the_other_commands_work_one_after_the_other(clone: Path, fal: Server, script: str) -> None:
    bin_folder = Path(executable()).parent
    code, said = shell(
        script,
        clone,
        FAL_KEY="your-key",
        # Compiled tests would hold the key that no test may leave behind.
        PYTHONDONTWRITEBYTECODE="1",
        # What is remembered of the models is not to be a person's own.
        HOME=str(clone),
        PATH=f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        TWEENBATCH_CONNECT_TO=fal.url,
    )
    assert code == 0, said


def test_the_job_file_that_is_shown_is_the_one_that_is_there() -> None:
    shown = blocks(ROOT / "jobs" / "README.md", "toml")
    assert shown == [(ROOT / "jobs" / "nightly.toml").read_text("utf-8")]
