"""Small manifests and frames for tests."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

COLUMNS = ("name", "prompt", "start_image", "end_image", "duration")


def frame(
    path: Path,
    colour: tuple[int, int, int] = (120, 160, 200),
    *,
    size: tuple[int, int] = (640, 360),
) -> Path:
    """Write an image of one colour; by default of a size that every endpoint accepts."""
    Image.new("RGB", size, colour).save(path)
    return path


def write(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Write a CSV with whatever columns the rows have."""
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row)) or list(COLUMNS)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows(count: int, **changes: str) -> list[dict[str, str]]:
    """Return rows that share two local frames and differ in their prompts."""
    return [
        {
            "name": f"clip-{n}",
            "prompt": f"prompt number {n}: @Image1 becomes @Image2",
            "start_image": "a.png",
            "end_image": "b.png",
            "duration": "5",
            **changes,
        }
        for n in range(1, count + 1)
    ]


def project(folder: Path, count: int, **changes: str) -> Path:
    """Make a folder with two frames and a manifest of so many rows; return the manifest."""
    frame(folder / "a.png", (200, 220, 255))
    frame(folder / "b.png", (40, 120, 60))
    return write(folder / "manifest.csv", rows(count, **changes))
