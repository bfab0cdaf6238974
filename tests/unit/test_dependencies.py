"""What is installed: the lock has it for every Python, and the README says what it is for."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / ".ci" / "locked.txt").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    extra: [Requirement(line) for line in lines]
    for extra, lines in PROJECT["optional-dependencies"].items()
}
NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def locked(python: str) -> dict[str, str]:
    """Return the version of each library that the lock gives to a Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    found: dict[str, str] = {}
    for line in re.findall(r"^\w.*(?= \\$)", LOCK, re.MULTILINE):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            assert pin.name not in found, f"{pin.name} is there twice"
            found[pin.name] = str(pin.specifier).removeprefix("==")
    return found


def others() -> Iterator[Requirement]:
    """What the extras add, without the extras that they take over."""
    for lines in EXTRAS.values():
        yield from (line for line in lines if line.name != PROJECT["name"])


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_fits_all_that_the_project_asks_for(python: str) -> None:
    found = locked(python)
    for asked in (*NEEDED, *others()):
        assert asked.specifier.contains(found[canonicalize_name(asked.name)]), asked


def test_the_lock_is_versions_and_hashes_and_names_no_address() -> None:
    name = r"[a-z0-9-]+==[\w.]+(?: ; [\w.' <>=!]+)? \\\n"
    hashes = r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
    assert re.fullmatch(f"(?:{name}{hashes})+", LOCK)


def test_dev_takes_over_every_other_extra() -> None:
    taken = next(line for line in EXTRAS["dev"] if line.name == PROJECT["name"])
    assert taken.extras == EXTRAS.keys() - {"dev"}


def test_the_readme_lists_every_library_of_an_install_and_of_the_extras() -> None:
    readme = (ROOT / "src" / "tweenbatch" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `([\w-]+)`(?: \(`\[(\w+)\]`\)|.*?) \| +[\d.]+ \|", readme, re.MULTILINE
    )
    asked = [("", line) for line in NEEDED]
    asked += [(extra, line) for extra, lines in EXTRAS.items() if extra != "dev" for line in lines]
    assert sorted(listed) == sorted((line.name, extra) for extra, line in asked)
