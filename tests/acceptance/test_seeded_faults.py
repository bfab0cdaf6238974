"""A manifest with everything wrong that can be: all of it is found, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from support import manifests
from support.command import Command
from support.fal import Server

SIZE = (640, 360)
BLUE = (40, 90, 160)


def scene(path: Path, *, mode: str = "RGB", size: tuple[int, int] = SIZE, seed: int = 0) -> None:
    """A picture with forms in it, each seed another one of the same kind."""
    image = Image.new("RGB", size, BLUE)
    draw = ImageDraw.Draw(image)
    for place in range(6):
        left = 60 + 80 * place
        draw.rectangle((left, 60 + seed, left + 50, 300), fill=(250 - 30 * place, 60, seed))
    image.convert(mode).save(path)


def turned(path: Path) -> None:
    scene(path)
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)


def with_hole(path: Path) -> None:
    Image.new("RGBA", SIZE, (9, 9, 9, 0)).save(path)


def deep(path: Path) -> None:
    Image.new("I;16", SIZE, 30_000).save(path)


def animated(path: Path) -> None:
    pictures = [Image.new("RGB", SIZE, (shade, 0, 0)) for shade in (10, 200)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])


def cut(path: Path) -> None:
    scene(path)
    path.write_bytes(path.read_bytes()[:-400])


def heavy(path: Path) -> None:
    scene(path)
    path.write_bytes(path.read_bytes() + bytes(10_000_000))


def no_picture(path: Path) -> None:
    path.write_text("no picture")


FRAMES: dict[str, Callable[[Path], None]] = {
    "a.png": scene,
    "b.png": lambda path: scene(path, seed=9),
    "turned.jpg": turned,
    "hole.png": with_hole,
    "cmyk.jpg": lambda path: scene(path, mode="CMYK"),
    "deep.png": deep,
    "animated.webp": animated,
    "square.png": lambda path: scene(path, size=(640, 640)),
    "cut.png": cut,
    "heavy.png": heavy,
    "tiny.png": lambda path: scene(path, size=(299, 299)),
    "wide.png": lambda path: scene(path, size=(1600, 400)),
    "tall.png": lambda path: scene(path, size=SIZE[::-1]),
    "text.png": no_picture,
}

Fault = tuple[dict[str, str], str, str]
"""What of a good row is another, and the column and the words of what is found."""

FAULTS: list[Fault] = [
    ({"prompt": ""}, "prompt", "is empty"),
    ({"prompt": "nan"}, "prompt", "is 'nan'"),
    ({"prompt": "x" * 2501}, "prompt", "2501 characters; at most 2500"),
    ({"prompt": "a\x07b"}, "prompt", "control character U+0007"),
    ({"prompt": "@Image3 melts"}, "prompt", "uses @Image3"),
    ({"prompt": "{season} comes"}, "prompt", "{season}, but there is no such column"),
    ({"prompt": "@Image2", "end_image": ""}, "prompt", "the row has no end frame"),
    ({"start_image": ""}, "start_image", "is empty"),
    ({"start_image": "#REF!"}, "start_image", "is '#REF!'"),
    ({"start_image": "none.png"}, "start_image", "does not exist"),
    ({"start_image": "http://example.com/a.png"}, "start_image", "isn't an https URL"),
    ({"start_image": "/etc/hostname"}, "start_image", "outside the folders of this batch"),
    ({"start_image": "text.png"}, "start_image", "'text.png'"),
    ({"start_image": "cut.png"}, "start_image", "'cut.png'"),
    ({"start_image": "heavy.png"}, "start_image", "10"),
    ({"start_image": "tiny.png"}, "start_image", "300 px"),
    ({"start_image": "wide.png"}, "start_image", "2.5"),
    ({"duration": "7"}, "duration", "allows 5 or 10"),
    ({"takes": "0"}, "takes", "expected 1 to 100"),
    ({"priority": "high"}, "priority", "expected a whole number"),
    ({"order": "-1"}, "order", "expected 0 to"),
    ({"model": "o1-standart"}, "model", "no model 'o1-standart'"),
    ({"start_image": "turned.jpg", "end_image": "tall.png"}, "start_image", "turned"),
    ({"start_image": "hole.png"}, "start_image", "transparent"),
    ({"start_image": "cmyk.jpg"}, "start_image", "CMYK"),
    ({"start_image": "deep.png"}, "start_image", "16"),
    ({"start_image": "animated.webp"}, "start_image", "first"),
    ({"end_image": "square.png"}, "end_image", "640×640"),
    ({"end_image": "a.png"}, "end_image", "same"),
    ({"prompt": "One thing!"}, "prompt", "differs from row"),
]


def test_every_fault_is_found_once_with_its_row_and_column(
    tweenbatch: Command, fal: Server
) -> None:
    for name, draw in FRAMES.items():
        draw(tweenbatch.folder / name)
    good = dict.fromkeys(("duration", "takes", "priority", "order", "model"), "")
    good |= {"start_image": "a.png", "end_image": "b.png"}
    rows = [{**good, "prompt": "one thing"}]
    rows += [
        {**good, "prompt": f"the {place}. way", **other} for place, (other, *_) in enumerate(FAULTS)
    ]
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    ran = tweenbatch("plan", "manifest.csv", "--strict", "--allow-open-ended", "--json")
    assert ran.returncode == 2
    problems = json.loads(ran.stdout)["problems"]
    found = {(each["row"], each["column"]): each["message"] for each in problems}
    expected = {(row, column) for row, (_, column, _) in enumerate(FAULTS, 3)}
    assert set(found) == expected
    for row, (_, column, words) in enumerate(FAULTS, 3):
        assert words in found[row, column]
    assert len(problems) == len(FAULTS)
    assert sum(fal.ledger()["requests"].values()) == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()
