"""Links between the pages of documentation lead somewhere."""

import re
from pathlib import Path

import pytest

from support.pages import PAGES, ROOT

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
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 200
