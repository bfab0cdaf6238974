"""The pages of documentation in this checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / ".github").glob("*.md"),
        *(
            page
            for folder in ("jobs", "migrations", "src", "tests")
            for page in (ROOT / folder).rglob("*.md")
        ),
    ]
)
