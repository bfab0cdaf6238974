"""What the pages of documentation name is there: links, commands, options, keys, exit codes."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from support.pages import PAGES, ROOT
from tweenbatch.cli.main import COMMANDS, tweenbatch
from tweenbatch.exit_codes import ExitCode
from tweenbatch.nights.jobfile import JobFile

README = (ROOT / "README.md").read_text("utf-8")
REFERENCE = (ROOT / "jobs" / "README.md").read_text("utf-8")

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return a page's anchors, as GitHub makes them of its headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Return a page's links to other pages, files and its own sections."""
    # A link's text may be code, and code may look like a link.
    text = CODE.sub("code", page.read_text("utf-8"))
    return [link for link in LINK.findall(text) if not link.startswith("https://")]


def test_there_is_a_page_for_each_kind_of_reader() -> None:
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} >= {
        *("README.md", "jobs/README.md", "src/tweenbatch/README.md", "migrations/README.md"),
        *("tests/README.md", "tests/benchmarks/README.md", "src/tweenbatch/emulator/README.md"),
        *(".github/CONTRIBUTING.md", ".github/CHANGELOG.md"),
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            names = (link.partition("#")[0] for link in links(page))
            left += [(page.parent / name).resolve() for name in names if name.endswith(".md")]
    assert reached == set(PAGES)


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.splitlines()) <= 200


def table(page: str, head: str) -> list[str]:
    """Return the first column of the table that begins with that head."""
    rows = page.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    return [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows]


def test_the_readme_lists_every_command() -> None:
    listed = [re.findall(r"`(\w+)", row) for row in table(README, "| command | what it does |")]
    assert {name for names in listed for name in names} == COMMANDS.keys()


def test_the_architecture_page_lists_every_room() -> None:
    package = ROOT / "src" / "tweenbatch"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("[a-z]*.py")}
    listed = [re.findall(r"`(\w+)`", row) for row in table(page_of(package), "| room | owns |")]
    assert {name for names in listed for name in names} == rooms


def page_of(folder: Path) -> str:
    return (folder / "README.md").read_text("utf-8")


def test_the_readme_lists_every_exit_code() -> None:
    assert table(README, "| exit code | |") == [str(int(code)) for code in ExitCode]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Return the keys of a job file, those of its sections included."""
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from keys(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_the_reference_lists_every_key_of_a_job_file() -> None:
    listed = [re.findall(r"`([\w.]+)`", row) for row in table(REFERENCE, "| keys | |")]
    assert sorted(key for row in listed for key in row) == sorted(keys(JobFile))


def options(group: click.Group) -> Iterator[str]:
    """Return the options of all commands of a group, and of the groups in it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        for parameter in command.get_params(context):
            yield from (*parameter.opts, *parameter.secondary_opts)
        if isinstance(command, click.Group):
            yield from options(command)


@pytest.mark.parametrize("page", [README, REFERENCE], ids=["README.md", "jobs/README.md"])
def test_every_option_that_is_named_exists(page: str) -> None:
    named = set(re.findall(r"--[a-z][a-z-]*", page))
    assert named
    assert named <= set(options(tweenbatch))
