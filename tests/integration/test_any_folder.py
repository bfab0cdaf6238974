"""Whatever a folder is called, each schedule leads into it."""

import json
import plistlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import time
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from support import systemd
from tweenbatch.nights.schedule import Schedule, Scheduler, units

SEEN = "import json, os, sys; print(json.dumps([os.getcwd(), os.environ['KEY'], *sys.argv[1:]]))"
names = st.one_of(
    st.text(st.sampled_from(" \"'$%\\{}[]*?;#&|<>()`~!:=,@^-a0é夜"), min_size=1, max_size=12),
    st.text(min_size=1, max_size=12),
)


def schedule_in(folder: Path, *program: str) -> Schedule:
    return Schedule(
        jobfile=folder / "jobs" / "night.toml",
        folder=folder,
        program=program,
        env_file=folder / "env",
        at=time(4, 15),
        zone="Europe/Berlin",
    )


def text_for(kind: Scheduler, schedule: Schedule) -> str:
    """Return the first file, or give the example up where a schedule refuses the name."""
    try:
        return next(iter(units(kind, schedule).files.values()))
    except ValueError:
        assume(False)
        raise


def crontab_line(text: str) -> str:
    line = next(line for line in text.splitlines() if line.startswith("15 4 "))
    return line.split(" ", 5)[5].replace(r"\%", "%")


def agent_line(text: str) -> str:
    arguments: list[str] = plistlib.loads(text.encode())["ProgramArguments"]
    assert arguments[:2] == ["/bin/sh", "-c"]
    return arguments[2]


@pytest.mark.parametrize(
    ("kind", "line"),
    [(Scheduler.CRON, crontab_line), (Scheduler.LAUNCHD, agent_line)],
    ids=["cron", "launchd"],
)
@given(name=names)
@settings(max_examples=30, deadline=None)
def test_a_shell_finds_the_folder_the_key_and_the_job_file(
    kind: Scheduler, line: Callable[[str], str], name: str
) -> None:
    assume("/" not in name and "\0" not in name and name not in {".", ".."})
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, name)
        schedule = schedule_in(folder, sys.executable, "-c", SEEN)
        script = line(text_for(kind, schedule))
        folder.mkdir()
        (folder / "env").write_text("KEY=it\n")
        told = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    assert json.loads(told.stdout) == [str(folder), "it", "run", str(schedule.jobfile)]


@given(name=names)
@example(name="jobs [old]")
@example(name="50%h of $HOME and ${HOME}")
@example(name="ends with a backslash\\")
@example(name="ends with a blank ")
@settings(max_examples=20, deadline=None)
def test_systemd_finds_the_folder_the_key_and_the_job_file(name: str) -> None:
    assume("/" not in name and "\0" not in name and name not in {".", ".."})
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, name)
        schedule = schedule_in(folder, "/bin/echo")
        read = systemd.read(text_for(Scheduler.SYSTEMD, schedule))
        folder.mkdir()
        (folder / "env").touch()
        assert read.words == ("/bin/echo", "run", str(schedule.jobfile))
        assert read.folder == folder
        assert read.key_files() == [folder / "env"]


@pytest.mark.parametrize("program", ["/a'b/t", '/a"b/t', "/a$b/t", "/a\\b/t"])
def test_systemd_is_given_no_program_that_it_would_not_start(program: str) -> None:
    with pytest.raises(ValueError, match="systemd can't start "):
        units(Scheduler.SYSTEMD, schedule_in(Path("/p"), program))
