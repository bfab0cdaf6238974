"""An address where a path on this machine is meant is refused, and nothing is made of it."""

import dataclasses
from collections.abc import Sequence

import pytest

from support import manifests
from support.fal import Server
from support.forked import Forked

MANIFEST = "manifest.csv"
FOLDERS = ["s3://bucket/videos", "gs://bucket", "file:///tmp/videos", "S3://bucket", "az:/videos"]
TABLES = [
    "mysql://user:canary-pw@host/db",
    "postgres://user:canary-pw@host/db",
    "s3://bucket/x.db",
    "file:///tmp/x.db",
    "sqlite://x.db",
    "sqlite:///s3://bucket/x.db",
    "x.db",
]
COMMANDS = [("run", MANIFEST, "--yes"), ("run", MANIFEST, "--rehearse"), ("plan", MANIFEST)]


@pytest.fixture
def project(tweenbatch: Forked) -> Forked:
    manifests.project(tweenbatch.folder, 1)
    return tweenbatch


def refusal(command: Forked, fal: Server, *arguments: str) -> str:
    """Run, see that it was refused and that nothing was made; return what it said."""
    before = set(command.folder.rglob("*"))
    ran = command(*arguments)
    assert ran.returncode == 2, ran.stderr
    assert set(command.folder.rglob("*")) == before
    assert fal.totals()["posts"] == 0
    assert "canary-pw" not in ran.stdout + ran.stderr
    return ran.stderr


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_folder_is_made_of_an_address(
    project: Forked, fal: Server, arguments: Sequence[str]
) -> None:
    for folder in FOLDERS:
        said = refusal(project, fal, *arguments, "--output", folder)
        assert "'--output'" in said
        assert "is an address; expected a path on this machine" in said


@pytest.mark.parametrize("arguments", [*COMMANDS, ("status",)], ids=" ".join)
def test_no_table_is_made_of_an_address(
    project: Forked, fal: Server, arguments: Sequence[str]
) -> None:
    for table in TABLES:
        assert "Nothing was created" in refusal(project, fal, *arguments, "--db", table)


@pytest.mark.parametrize("option", ["--digests", "--log-file", "--inbox"])
def test_other_places_of_a_run_are_on_this_machine_too(
    project: Forked, fal: Server, option: str
) -> None:
    assert "is an address" in refusal(project, fal, *COMMANDS[0], option, "s3://bucket/x")


@pytest.mark.parametrize(
    "line",
    [
        *(f'{key} = "s3://bucket/x"' for key in ("output", "digests", "log_file", "inbox", "db")),
        'db = "sqlite:///gs://bucket/x.db"',
        'db = "mysql://user:canary-pw@host/db"',
    ],
)
def test_a_job_file_is_held_to_the_same(project: Forked, fal: Server, line: str) -> None:
    job = project.folder / "night.toml"
    job.write_text(f'manifests = ["{MANIFEST}"]\nyes = true\n{line}\n')
    said = refusal(project, fal, "run", str(job))
    assert line.partition(" ")[0] in said
    assert "Nothing was created" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [("TWEENBATCH_OUTPUT", "s3://bucket/x"), ("TWEENBATCH_DB", "sqlite:///s3://bucket/x.db")],
)
def test_the_environment_is_held_to_the_same(
    project: Forked, fal: Server, name: str, value: str
) -> None:
    told = dataclasses.replace(project, environment={name: value})
    assert "Nothing was created" in refusal(told, fal, *COMMANDS[0])
