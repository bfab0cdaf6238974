# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy>=2", "pillow>=12"]
# ///
"""Draws the four key frames: one hill, one tree, one house, one pond, four seasons.

Run it to draw them again: the same pictures come out every time. All positions are pixels of the
finished 1280x720 picture; shapes are drawn larger and reduced, which smooths their edges.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1280, 720
FINER = 4  # shapes are drawn so many times larger
QUALITY = 92  # JPEG: no blocks in the gradients, and still under 400 kB
SUN = (318.0, 168.0)
LIGHT = (-0.62, -0.78)  # unit vector towards the light, as seen in the picture

Plane: TypeAlias = npt.NDArray[np.float32]
Points: TypeAlias = npt.NDArray[np.float64]  # one a row
Point: TypeAlias = tuple[float, float]
Shape: TypeAlias = Sequence[Point]
Random: TypeAlias = np.random.Generator

ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


def rgb(code: str) -> Plane:
    """Return a colour written as ``rrggbb``."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """What a season changes: colours from far to near, and what is in the air."""

    name: str
    sky: tuple[str, str, str]  # from the top down to the horizon
    sun: str
    glow: str
    glow_strength: float
    cloud: str
    mountains: tuple[str, str]
    snow_line: float  # share of the mountains that is white, from the top
    woods: tuple[str, str]  # far and near
    hills: tuple[str, str, str]  # far, middle, near: lit side
    shades: tuple[str, str, str]  # the same, turned away
    path: str
    water: tuple[str, str]  # far and near
    bank: str
    bark: str
    leaves: tuple[str, ...]  # from shadow to light; none in winter
    leaf_count: int
    air: tuple[str, ...]  # snow, petals, seeds, leaves in the air
    accents: tuple[str, ...]  # flowers or fallen leaves on the ground
    grass: tuple[str, str]  # foreground: dark and light
    wall: str
    roof: str
    window: str


WINTER = Season(
    name="winter",
    sky=("5f86b8", "a9c4de", "f6dfd6"),
    sun="fff6e6",
    glow="ffe3c4",
    glow_strength=0.55,
    cloud="eef3fa",
    mountains=("8fa8c9", "7893b8"),
    snow_line=0.6,
    woods=("8da6c0", "5e7f9c"),
    hills=("e3ecf6", "edf3fa", "fafcff"),
    shades=("b7cbe2", "bfd2e8", "c3d5ea"),
    path="d3dfee",
    water=("cfe3f1", "93b8d6"),
    bank="ffffff",
    bark="4a3b42",
    leaves=(),
    leaf_count=0,
    air=("ffffff", "f4f8ff"),
    accents=(),
    grass=("a9bdd6", "dfe9f5"),
    wall="c9b6a6",
    roof="7c4a4a",
    window="ffd277",
)

SPRING = Season(
    name="spring",
    sky=("6fb7e6", "b5dcf0", "fdeee6"),
    sun="fffbe8",
    glow="fff1c9",
    glow_strength=0.6,
    cloud="ffffff",
    mountains=("a9c3dc", "92b3cf"),
    snow_line=0.34,
    woods=("86b39c", "5c9a7c"),
    hills=("b9dc8e", "9fd176", "8ccb62"),
    shades=("86bd7c", "6fb368", "57a257"),
    path="ecd9b0",
    water=("c4e6f2", "5fb0d3"),
    bank="d9d29a",
    bark="5b4039",
    leaves=("b8527f", "d9719c", "ee94b6", "f8b7cf", "ffd9e6", "fff3f7"),
    leaf_count=5200,
    air=("ffc9dc", "ffe3ec", "ffffff"),
    accents=("ff6f91", "ffd23f", "ffffff", "b68cf0"),
    grass=("3f8d4c", "7cc45a"),
    wall="fbf1de",
    roof="c8604c",
    window="bfe3f2",
)

SUMMER = Season(
    name="summer",
    sky=("2f8fd8", "78c3ee", "e9f6f2"),
    sun="fffbd6",
    glow="fff0a8",
    glow_strength=0.65,
    cloud="ffffff",
    mountains=("86abd0", "6f98c0"),
    snow_line=0.1,
    woods=("5f9a84", "38795f"),
    hills=("c9d06a", "86bd4e", "63ab42"),
    shades=("8fb256", "4f9648", "35803f"),
    path="e8cf98",
    water=("9fdcf0", "2a8fc4"),
    bank="c9c07a",
    bark="55402f",
    leaves=("1e5a37", "2b7440", "3f8f45", "5faa49", "8cc552", "c3df74"),
    leaf_count=6200,
    air=("fffbe0", "fff3b8"),
    accents=("ffffff", "ffdf4d", "f2555a"),
    grass=("1f6a3c", "57a544"),
    wall="fdf3dc",
    roof="c4523f",
    window="a9dcf0",
)

AUTUMN = Season(
    name="autumn",
    sky=("5a7fa8", "e8b48a", "ffe0a6"),
    sun="fff2c4",
    glow="ffc46b",
    glow_strength=0.8,
    cloud="ffe3c4",
    mountains=("a99bb0", "93829c"),
    snow_line=0.2,
    woods=("a39c72", "6f7650"),
    hills=("e3c46a", "cfb052", "c69a45"),
    shades=("b99450", "a37f3f", "8f5f36"),
    path="e9cb94",
    water=("f6cf98", "6f8fae"),
    bank="b98f55",
    bark="4b332b",
    leaves=("7d2a22", "a93c22", "cf5a22", "e87d27", "f6a637", "ffd25e"),
    leaf_count=6400,
    air=("e87d27", "cf4a22", "f6b637"),
    accents=("d9541f", "f09a2e", "a8321f", "f7c948"),
    grass=("6f4a2c", "c08a3c"),
    wall="f6e3c4",
    roof="8f4038",
    window="ffcf70",
)

SEASONS = (WINTER, SPRING, SUMMER, AUTUMN)


# --- shapes -----------------------------------------------------------------------------------


def stencil(shapes: Iterable[Shape], blur: float = 0.0) -> Plane:
    """Return how far each pixel is covered by any of the polygons, 0..1."""
    image = Image.new("L", (WIDTH * FINER, HEIGHT * FINER))
    pen = ImageDraw.Draw(image)
    for shape in shapes:
        pen.polygon([(x * FINER, y * FINER) for x, y in shape], fill=255)
    small = image.reduce(FINER)
    if blur:
        small = small.filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def ellipse(x: float, y: float, across: float, down: float, *, tilt: float = 0.0) -> Shape:
    """Return an ellipse by its middle and its two radii."""
    turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    dx, dy = across * np.cos(turn), down * np.sin(turn)
    cos, sin = math.cos(tilt), math.sin(tilt)
    return list(zip(x + dx * cos - dy * sin, y + dx * sin + dy * cos, strict=True))


def leaf(x: float, y: float, length: float, width: float, tilt: float) -> Shape:
    """Return a pointed leaf by its middle."""
    along = np.linspace(-1, 1, 7)
    bulge = (1 - along**2) * width / 2
    dx = np.concatenate((along, along[-2:0:-1])) * length / 2
    dy = np.concatenate((bulge, -bulge[-2:0:-1]))
    cos, sin = math.cos(tilt), math.sin(tilt)
    return list(zip(x + dx * cos - dy * sin, y + dx * sin + dy * cos, strict=True))


def through(points: Sequence[Point], count: int = 200, *, closed: bool = False) -> list[Point]:
    """Return a smooth line through points (Catmull-Rom); a closed one ends where it began."""
    before, after = (points[-2], points[1]) if closed else (points[0], points[-1])
    knots = np.array([before, *points, after], dtype=np.float64)
    line: list[Point] = []
    for p0, p1, p2, p3 in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        for t in np.linspace(0, 1, count // len(points), endpoint=False):
            bend = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            x, y = (2 * p1 + (p2 - p0) * t + bend) / 2
            line.append((float(x), float(y)))
    return [*line, points[-1]]


def below(line: Sequence[Point]) -> Shape:
    """Return everything under a line that runs from the left border to the right."""
    return [*line, (WIDTH + 5.0, HEIGHT + 5.0), (-5.0, HEIGHT + 5.0)]


def height_at(line: Sequence[Point], x: float) -> float:
    """Return a line's height at a column."""
    return float(np.interp(x, [p[0] for p in line], [p[1] for p in line]))


def ridge(rng: Random, level: float, rise: float, *, steps: int) -> list[Point]:
    """Return a mountain ridge: a line broken at its middle again and again."""
    heights = np.array([0.3, 1.0, 0.35, 0.8, 0.25, 0.65, 0.4])
    rough = 0.22
    for _ in range(steps):
        middle = (heights[1:] + heights[:-1]) / 2
        middle += rng.normal(0, rough, middle.size)
        heights = np.insert(heights, np.arange(1, heights.size), middle)
        rough /= 2.1
    columns = np.linspace(-5, WIDTH + 5, heights.size)
    return list(zip(columns, level - rise * heights, strict=True))


FAR_HILL = through([(-5, 408), (180, 372), (420, 398), (700, 372), (980, 402), (1285, 366)])
MIDDLE_HILL = through(
    [(-5, 424), (150, 416), (330, 432), (560, 470), (820, 446), (1060, 424), (1285, 432)]
)
NEAR_HILL = through(
    [(-5, 560), (200, 588), (420, 612), (640, 580), (880, 540), (1090, 536), (1285, 566)]
)
POND_CORNERS = (
    *((318, 538), (424, 517), (552, 519), (640, 530), (694, 548)),
    *((648, 574), (540, 584), (452, 599), (344, 594), (300, 568), (318, 538)),
)
POND = through(POND_CORNERS, closed=True)
HOUSE_AND_GARDEN = (100, 470)  # columns that near trees leave free
PATH_AND_VERGE = (150, 470)  # columns that flowers leave free
CLOUDS = ((106, 120, 0.75), (548, 108, 0.95), (1182, 128, 1.0), (708, 232, 0.5), (470, 268, 0.45))
BUSHES = (
    (150, 452, 26),
    (182, 456, 19),
    (418, 452, 21),
    (446, 457, 15),
    (1188, 440, 30),
    (1228, 442, 22),
)
TREE_FOOT = (930.0, 566.0)
HOUSE = (196.0, 448.0)  # its lower left corner
HOUSE_SCALE = 1.35


# --- paint ------------------------------------------------------------------------------------


class Canvas:
    """The picture being painted, in floats, so that gradients stay smooth."""

    def __init__(self) -> None:
        self.pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)

    def paint(self, mask: Plane, colour: Plane, strength: float = 1.0) -> None:
        """Lay a colour, or a picture of colours, over the covered pixels."""
        cover = (mask * strength)[..., None]
        self.pixels += (colour - self.pixels) * cover

    def shape(self, shapes: Iterable[Shape], code: str, strength: float = 1.0) -> None:
        """Fill polygons with one colour."""
        self.paint(stencil(shapes), rgb(code), strength)

    def glow(self, mask: Plane, code: str, strength: float = 1.0) -> None:
        """Add light (screen): never darker, never burnt out."""
        light = rgb(code) * (mask * strength)[..., None]
        self.pixels = 255 - (255 - self.pixels) * (255 - light) / 255

    def shade(self, mask: Plane, code: str, strength: float = 1.0) -> None:
        """Take light away (multiply)."""
        self.pixels *= 1 - (1 - rgb(code) / 255) * (mask * strength)[..., None]

    def save(self, path: Path) -> None:
        """Write a JPEG with full colour resolution."""
        image = Image.fromarray(np.clip(np.rint(self.pixels), 0, 255).astype(np.uint8))
        image.save(path, quality=QUALITY, subsampling=0, optimize=True)


def fade(values: Plane, low: float, high: float) -> Plane:
    """Return an even passage from 0 at ``low`` to 1 at ``high``."""
    held = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(held * held * (3 - 2 * held), dtype=np.float32)


def between(first: str, last: str, share: Plane) -> Plane:
    """Return a picture that passes from one colour to another."""
    return rgb(first) + (rgb(last) - rgb(first)) * share[..., None]


def from_sun() -> Plane:
    """Return every pixel's distance from the sun."""
    return np.asarray(np.hypot(COLUMNS - SUN[0], ROWS - SUN[1]), dtype=np.float32)


# --- far away ---------------------------------------------------------------------------------


def draw_sky(canvas: Canvas, season: Season) -> None:
    """Paint the air, the sun and its light."""
    top, middle, low = season.sky
    upper = between(top, middle, fade(ROWS, -40, 260))
    canvas.paint(np.ones_like(ROWS), upper)
    canvas.paint(fade(ROWS, 120, 400), rgb(low))
    distance = from_sun()
    canvas.glow(np.exp(-distance / 260), season.glow, season.glow_strength)
    canvas.glow(np.exp(-((distance / 95) ** 2)), season.glow, season.glow_strength * 0.6)
    canvas.shape([ellipse(*SUN, 43, 43)], season.sun)


def draw_clouds(canvas: Canvas, season: Season, rng: Random) -> None:
    """Paint clouds: heaps of circles, lit from above, melting away towards their flat base."""
    for x, y, size in CLOUDS:
        for back in (True, False):
            puffs: list[Shape] = []
            for along in np.linspace(-1, 1, 11):
                heap = 1 - abs(along + rng.uniform(-0.15, 0.15)) ** 1.6
                radius = size * (34 * max(heap, 0) * rng.uniform(0.6, 1.15) + 9)
                left = x + (along * 128 + (34 if back else 0)) * size
                puffs.append(
                    ellipse(left, y - radius * (0.75 if back else 0.4), radius * 1.2, radius)
                )
            base = y + 8 * size
            melting = 1 - fade(ROWS, base - 26 * size, base)
            lit = between(season.cloud, season.sky[1], fade(ROWS, y - 60 * size, base) * 0.7)
            canvas.paint(stencil(puffs) * melting, lit, 0.5 if back else 0.85)


def draw_mountains(canvas: Canvas, season: Season, rng: Random) -> None:
    """Paint two ranges, hazier towards their feet, with snow down to the season's line."""
    for level, rise, colour, haze in ((404, 176, 0, 0.75), (420, 112, 1, 0.6)):
        line = ridge(rng, level, rise, steps=5)
        mask = stencil([below(line)])
        foot = fade(ROWS, level - rise, level + 14) * haze
        canvas.paint(mask, between(season.mountains[colour], season.sky[2], foot))
        slopes = ridge(rng, level + 6, rise * 1.02, steps=6)
        lit = mask * (1 - stencil([below([(x + 26, y + 16) for x, y in line])]))
        canvas.glow(lit, season.glow, 0.16)
        snow_level = level - rise + rise * season.snow_line
        jagged = [(x, snow_level + (y - level + rise * 0.6) * 0.35) for x, y in slopes]
        snow = mask * (1 - stencil([below(jagged)]))
        canvas.paint(snow, between("ffffff", season.mountains[colour], foot), 0.82)


def conifer(x: float, y: float, size: float) -> list[Shape]:
    """Return a fir tree of three tiers by its foot."""
    tiers: list[Shape] = []
    for tier, (low, high, half) in enumerate(
        ((0.06, 0.5, 0.27), (0.34, 0.76, 0.21), (0.62, 1.0, 0.14))
    ):
        sag = 0.03 * (3 - tier)
        tiers.append(
            [
                (x, y - high * size),
                (x + half * size, y - low * size),
                (x, y - (low + sag) * size),
                (x - half * size, y - low * size),
            ]
        )
    return [
        *tiers,
        [
            (x - 0.02 * size, y),
            (x - 0.02 * size, y - 0.2 * size),
            (x + 0.02 * size, y - 0.2 * size),
            (x + 0.02 * size, y),
        ],
    ]


def draw_woods(canvas: Canvas, season: Season, rng: Random, line: list[Point], near: int) -> None:
    """Paint fir trees along a hill, in groups; winter lays snow on their sunny side."""
    spots = np.sort(rng.uniform(0, WIDTH, 150 if near == 0 else 120))
    groups = np.sin(spots / 97 + near * 2) + 0.6 * np.sin(spots / 41)
    size = (30, 52)[near]
    trees: list[Shape] = []
    moved: list[Shape] = []
    last = -size
    for x, density in zip(spots, groups, strict=True):
        left, right = HOUSE_AND_GARDEN
        in_front_of_house = bool(near) and left < x < right
        if density < (0.05, 0.45)[near] or in_front_of_house or x - last < size * 0.36:
            continue
        last = x
        tall = size * rng.uniform(0.7, 1.25)
        foot = height_at(line, float(x)) + 4
        trees += conifer(float(x), foot, tall)
        moved += conifer(float(x) + 0.1 * tall, foot + 0.1 * tall, tall)
    mask = stencil(trees)
    ground = np.interp(COLUMNS[0], [p[0] for p in line], [p[1] for p in line])
    canvas.paint(
        mask, between(season.woods[near], season.hills[near], fade(ROWS - ground, -size, 12) * 0.35)
    )
    lit = mask * (1 - stencil(moved))
    canvas.paint(
        lit,
        rgb("ffffff" if season is WINTER else season.hills[near]),
        0.85 if season is WINTER else 0.3,
    )


def draw_hill(canvas: Canvas, season: Season, line: list[Point], which: int) -> None:
    """Paint a hill: lit along its crest and towards the sun, with soft folds in the ground."""
    mask = stencil([below(line)])
    depth = ROWS - np.interp(COLUMNS[0], [p[0] for p in line], [p[1] for p in line])
    away = np.clip(
        0.75 * fade(depth, 0, (90, 170, 190)[which]) + 0.3 * fade(COLUMNS, 300, 1280), 0, 1
    )
    canvas.paint(mask, between(season.hills[which], season.shades[which], away.astype(np.float32)))
    for number in range(4):
        wave = 16 * np.sin(COLUMNS / (150 + 40 * number) + number * 1.7 + which)
        fold = depth - (26 + 34 * number) - wave
        stripe = np.exp(-((fold / 9) ** 2)) * (fold > 0) + np.exp(-((fold / 2.5) ** 2)) * (
            fold <= 0
        )
        canvas.paint(mask * stripe.astype(np.float32), rgb(season.hills[which]), 0.32)
    crest = mask * np.exp(-np.maximum(depth, 0) / 5).astype(np.float32)
    canvas.glow(crest, season.glow, 0.3)


def draw_mist(canvas: Canvas, season: Season, level: float, strength: float) -> None:
    """Lay a thin band of haze between two distances."""
    wave = level + 7 * np.sin(COLUMNS / 190)
    canvas.paint(
        np.exp(-(((ROWS - wave) / 22) ** 2)).astype(np.float32), rgb(season.sky[2]), strength
    )


# --- the house and the pond -------------------------------------------------------------------


def at_house(points: Iterable[Point]) -> Shape:
    """Move points from the house's own measure into the picture."""
    return [(HOUSE[0] + x * HOUSE_SCALE, HOUSE[1] + y * HOUSE_SCALE) for x, y in points]


def box(left: float, top: float, right: float, bottom: float) -> Shape:
    """Return an upright box of the house."""
    return at_house([(left, top), (right, top), (right, bottom), (left, bottom)])


def draw_house(canvas: Canvas, season: Season) -> None:
    """Paint the house, its gable towards the sun."""
    gable = at_house([(0, 0), (0, -46), (33, -80), (66, -46), (66, 0)])
    canvas.shade(
        stencil([at_house([(20, 0), (150, 0), (196, 12), (60, 12)])], blur=4),
        season.shades[1],
        0.55,
    )
    canvas.shape([box(118, -104, 130, -70)], season.roof)
    canvas.shade(stencil([box(124, -104, 130, -70)]), "8a7f98", 0.5)
    canvas.shape([box(115, -108, 133, -103)], season.roof)
    canvas.shape([gable], season.wall)
    canvas.shape([box(66, -47, 146, 0)], season.wall)
    canvas.shade(stencil([box(66, -47, 146, 0)]), "a9a3b8", 0.55)
    roof = at_house([(31, -87), (120, -87), (154, -43), (69, -43)])
    canvas.shape([roof], season.roof)
    for row in range(1, 6):
        y = -87 + row * 7.3
        shift = row * 5.6
        canvas.shade(
            stencil(
                [
                    at_house(
                        [
                            (33 + shift, y),
                            (121 + shift, y),
                            (121.5 + shift, y + 1.2),
                            (33.5 + shift, y + 1.2),
                        ]
                    )
                ]
            ),
            "8a6a70",
            0.4,
        )
    canvas.shape([at_house([(33, -88), (38, -84), (-3, -40), (-8, -43)])], season.roof)
    canvas.glow(stencil([at_house([(33, -88), (36, -86), (-5, -42), (-8, -43)])]), "ffffff", 0.25)
    canvas.shade(
        stencil([at_house([(33, -80), (66, -46), (66, -40), (33, -74), (0, -40), (0, -46)])]),
        "9a8f9c",
        0.35,
    )
    for left in (80, 112):
        draw_window(canvas, season, left, -36)
    canvas.shape([at_house([*((x, y) for x, y in ellipse(33, -52, 7.5, 7.5))])], "6d5148")
    canvas.shape([at_house([*((x, y) for x, y in ellipse(33, -52, 5.5, 5.5))])], season.window)
    canvas.shape([box(22, -33, 44, 0)], "7c5b4c")
    canvas.shape([box(24.5, -30, 41.5, 0)], "95705a")
    canvas.shape([at_house(ellipse(38, -14, 1.4, 1.4))], "f2d78c")
    if season is WINTER:
        snow_on_house(canvas)
    if season in (WINTER, AUTUMN):
        draw_smoke(canvas)


def draw_window(canvas: Canvas, season: Season, left: float, top: float) -> None:
    """Paint a window with its cross, lit in the dark half of the year."""
    canvas.shape([box(left - 2, top - 2, left + 20, top + 22)], "6d5148")
    canvas.shape([box(left, top, left + 18, top + 20)], season.window)
    canvas.shape([box(left + 8.2, top, left + 9.8, top + 20)], "6d5148")
    canvas.shape([box(left, top + 9, left + 18, top + 10.4)], "6d5148")
    if season in (WINTER, AUTUMN):
        x, y = at_house([(left + 9, top + 10)])[0]
        near = np.hypot(COLUMNS - x, ROWS - y)
        canvas.glow(np.exp(-((near / 34) ** 2)).astype(np.float32), "ffb84d", 0.45)


def snow_on_house(canvas: Canvas) -> None:
    """Lay snow on the roof, the chimney and the sills."""
    eave = [(x, -44 + 5 * abs(math.sin(x / 7)) ** 0.7) for x in np.linspace(154, 69, 40)]
    roof = at_house([(30, -93), (121, -93), (155, -44), *eave, (36, -86)])
    canvas.shape([roof], "f7faff")
    canvas.shade(
        stencil([at_house([(60, -60), (141, -60), (155, -44), (69, -43)])], blur=5)
        * stencil([roof]),
        "b9cde6",
        0.8,
    )
    canvas.shape([at_house([(33, -94), (39, -86), (-3, -40), (-9, -44), (-9, -50)])], "ffffff")
    canvas.shape(
        [at_house([(113, -109), (116, -115), (132, -115), (135, -109), (128, -106), (121, -108)])],
        "ffffff",
    )
    for left in (78, 110):
        canvas.shape([box(left, -15, left + 22, -12)], "ffffff")


def draw_smoke(canvas: Canvas) -> None:
    """Let smoke rise from the chimney and drift."""
    x, y = at_house([(124, -112)])[0]
    puffs = []
    for step in range(26):
        rise = step / 25
        drift = 70 * rise**1.6 + 9 * math.sin(rise * 7)
        puffs.append(ellipse(x + drift, y - 118 * rise, 4 + 15 * rise, 3 + 11 * rise))
    thin = 1 - fade(y - ROWS, 0, 125)
    canvas.paint(stencil(puffs, blur=2.5) * thin, rgb("ffffff"), 0.5)


def draw_bushes(canvas: Canvas, season: Season, rng: Random) -> None:
    """Paint round bushes by the house and across the valley, in the colours of the tree."""
    for x, y, size in BUSHES:
        canvas.shade(
            stencil([ellipse(x + size * 0.5, y + 1, size * 1.6, size * 0.22)], blur=2),
            season.shades[1],
            0.6,
        )
        puffs = [
            ellipse(x + dx * size, y - (0.42 + dy) * size, size * r, size * r * 0.95)
            for dx, dy, r in (
                (-0.62, 0, 0.5),
                (0.6, 0, 0.48),
                (0, 0.22, 0.72),
                (-0.28, 0.42, 0.5),
                (0.34, 0.34, 0.46),
            )
        ]
        mask = stencil(puffs) * (1 - fade(ROWS, y - 1, y + 1))
        dark, light = (season.leaves[1], season.leaves[3]) if season.leaves else season.woods
        lit = np.clip(
            0.5 - (COLUMNS - x) / size * 0.35 - (ROWS - y + size * 0.6) / size * 0.5, 0, 1
        )
        canvas.paint(mask, between(dark, light, lit.astype(np.float32)))
        if season is WINTER:
            cap = mask * (
                1
                - stencil(
                    [[(px + size * 0.12, py + size * 0.4) for px, py in puff] for puff in puffs]
                )
            )
            canvas.paint(cap, rgb("fbfdff"))
            continue
        spots = [
            leaf(
                x + rng.normal(-0.15, 0.4) * size,
                y - size * rng.uniform(0.25, 1.15),
                5,
                3,
                rng.uniform(0, math.pi),
            )
            for _ in range(int(size * 2))
        ]
        canvas.paint(stencil(spots) * mask, rgb(season.leaves[4]), 0.8)


def draw_fence(canvas: Canvas, season: Season) -> None:
    """Paint a low fence that runs from the house down to the pond."""
    rail = through([(462, 462), (520, 476), (590, 486), (668, 484), (742, 474), (800, 466)])
    posts = [(float(x), height_at(rail, float(x))) for x in np.linspace(464, 798, 15)]
    wood = [
        [(x - 2, y - 15), (x, y - 17.5), (x + 2, y - 15), (x + 2, y + 4), (x - 2, y + 4)]
        for x, y in posts
    ]
    rails = [strip([(x, y + drop) for x, y in rail], 2.2) for drop in (-10.5, -4)]
    mask = stencil([*wood, *rails])
    canvas.shade(
        stencil(
            [[(x + 3, y + 4), (x + 14, y + 8), (x + 11, y + 8), (x, y + 4)] for x, y in posts],
            blur=0.7,
        ),
        season.shades[1],
        0.5,
    )
    canvas.paint(mask, rgb("a37d52"))
    if season is WINTER:
        caps = [ellipse(x, y - 17, 3.4, 2.2) for x, y in posts]
        canvas.shape([*caps, strip([(x, y - 12.4) for x, y in rail], 1.8)], "ffffff")


def draw_path(canvas: Canvas, season: Season) -> None:
    """Paint the way from the door down to the viewer."""
    middle = through(
        [
            (241, 449),
            (262, 468),
            (238, 492),
            (196, 516),
            (190, 548),
            (236, 586),
            (330, 628),
            (380, 680),
            (372, 730),
        ]
    )
    left, right = [], []
    for x, y in middle:
        half = 5 + ((y - 449) / 281) ** 1.7 * 58
        left.append((x - half, y))
        right.append((x + half, y))
    mask = stencil([[*left, *reversed(right)]])
    edge = stencil(
        [[*[(x - 3, y + 1) for x, y in left], *reversed([(x + 3, y + 1) for x, y in right])]],
        blur=2,
    )
    canvas.shade(edge, season.shades[2], 0.4)
    canvas.paint(mask, between(season.path, season.shades[2], fade(ROWS, 430, 760) * 0.3))


def draw_pond(canvas: Canvas, season: Season, rng: Random) -> None:
    """Paint the pond: the sky in it, light lines on it, ice on it in winter."""
    bank = [(x + (x - 495) * 0.03, y + (y - 556) * 0.1 + 3) for x, y in POND]
    canvas.shape([bank], season.bank)
    canvas.shade(stencil([bank]) * fade(ROWS, 520, 600), season.shades[2], 0.45)
    water = stencil([POND])
    canvas.paint(water, between(*season.water, fade(ROWS, 512, 596)))
    upper = water * (1 - stencil([[(x, y + 8) for x, y in POND]]))
    canvas.shade(upper, "6f8fa8", 0.5)
    glints = []
    for _ in range(34):
        y = rng.uniform(526, 592)
        x = rng.normal(430, 90)
        glints.append(ellipse(x, y, rng.uniform(10, 46), rng.uniform(0.7, 1.5)))
    canvas.paint(stencil(glints) * water, rgb("ffffff"), 0.55)
    canvas.glow(
        water * np.exp(-(((COLUMNS - 420) / 80) ** 2)).astype(np.float32), season.glow, 0.45
    )
    if season is WINTER:
        cracks = [
            strip(through([(340, 560), (410, 548), (450, 560), (520, 545), (600, 552)]), 1.2),
            strip(through([(450, 560), (470, 578), (520, 588)]), 1.0),
        ]
        canvas.paint(stencil(cracks) * water, rgb("ffffff"), 0.8)
        canvas.paint(
            stencil([ellipse(590, 530, 90, 16), ellipse(360, 588, 80, 14)], blur=6) * water,
            rgb("ffffff"),
            0.7,
        )
    if season is SUMMER:
        pads = [
            ellipse(x, y, 17, 5)
            for x, y in ((560, 566), (596, 556), (530, 580), (628, 564), (578, 580))
        ]
        canvas.shape(pads, "3f8f45")
        canvas.shape([ellipse(x, y - 4, 5, 3.6) for x, y in ((560, 566), (628, 564))], "ffd6e4")
    if season in (SPRING, AUTUMN):
        floating = [
            leaf(rng.normal(590, 50), rng.normal(560, 12), 8, 4, rng.uniform(-0.4, 0.4))
            for _ in range(46)
        ]
        canvas.paint(stencil(floating) * water, rgb(season.air[0]))


def strip(line: Sequence[Point], width: float) -> Shape:
    """Return a line as a thin polygon."""
    return [
        *[(x, y - width / 2) for x, y in line],
        *[(x, y + width / 2) for x, y in reversed(line)],
    ]


# --- the tree ---------------------------------------------------------------------------------


BOUGHS = 3  # branches of a lower order fork in three, all others in two
LEAFY = 5  # from this order on there are leaves
TWIG = 7  # nothing grows from a twig
STEEP = 0.3  # share of a branch's length that must be level for snow to lie on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A piece of wood from one point to another, thinner at its end."""

    start: Point
    end: Point
    thick: float
    thin: float
    order: int


def grow(
    rng: Random, start: Point, angle: float, *, length: float, thick: float, order: int = 0
) -> list[Branch]:
    """Return a branch and all that grows from it."""
    end = (start[0] + length * math.cos(angle), start[1] - length * math.sin(angle))
    thin = thick * (0.72 if order else 0.66)
    wood = [Branch(start=start, end=end, thick=thick, thin=thin, order=order)]
    if order == TWIG:
        return wood
    spread = (0.5, 0.52, 0.5, 0.48, 0.46, 0.5, 0.55)[order]
    turns = [spread * rng.uniform(0.6, 1.15), -spread * rng.uniform(0.6, 1.15)]
    if order < BOUGHS:
        turns.append(rng.uniform(-0.15, 0.15))
    for turn in turns:
        lifted = angle + turn + 0.1 * (math.pi / 2 - angle)
        shorter, thinner = length * rng.uniform(0.68, 0.86), thin * rng.uniform(0.66, 0.82)
        wood += grow(rng, end, lifted, length=shorter, thick=thinner, order=order + 1)
    return wood


def wood_shape(branch: Branch) -> Shape:
    """Return a branch as a polygon with a rounded end."""
    (x0, y0), (x1, y1) = branch.start, branch.end
    length = math.hypot(x1 - x0, y1 - y0)
    nx, ny = -(y1 - y0) / length / 2, (x1 - x0) / length / 2
    a, b = branch.thick, branch.thin
    tip = (x1 + (x1 - x0) / length * b * 0.4, y1 + (y1 - y0) / length * b * 0.4)
    return [
        (x0 + nx * a, y0 + ny * a),
        (x1 + nx * b, y1 + ny * b),
        tip,
        (x1 - nx * b, y1 - ny * b),
        (x0 - nx * a, y0 - ny * a),
    ]


def draw_wood(canvas: Canvas, season: Season, wood: list[Branch]) -> None:
    """Paint trunk and branches, roots spreading, lit from the sun's side."""
    x, y = TREE_FOOT
    left = through(
        [(x - 62, y + 9), (x - 34, y - 6), (x - 22, y - 34), (x - 19, y - 80), (x - 20, y - 126)]
    )
    right = through(
        [(x + 8, y - 126), (x + 17, y - 80), (x + 24, y - 32), (x + 38, y - 4), (x + 66, y + 9)]
    )
    trunk = [*left, *right, (x + 24, y + 5), (x, y + 13), (x - 22, y + 6)]
    shapes = [trunk, *(wood_shape(branch) for branch in wood if branch.order)]
    mask = stencil(shapes)
    canvas.paint(mask, rgb(season.bark))
    moved = stencil([[(px + 7, py + 2) for px, py in shape] for shape in shapes])
    canvas.glow(mask * (1 - moved), season.glow, 0.22)
    canvas.shade(mask * moved * fade(COLUMNS, x - 10, x + 24) * fade(ROWS, 380, 470), "6a5a70", 0.5)
    if season is WINTER:
        drift = stencil([ellipse(x - 14, y + 20, 64, 17), ellipse(x + 38, y + 20, 52, 13)], blur=3)
        canvas.paint(drift * (1 - fade(ROWS, y + 8, y + 30)), rgb("fbfdff"))
        snow_on_wood(canvas, wood)


def snow_on_wood(canvas: Canvas, wood: list[Branch]) -> None:
    """Lay snow along the upper side of every branch that is not upright."""
    snow: list[Shape] = []
    for branch in wood:
        (x0, y0), (x1, y1) = branch.start, branch.end
        flat = abs(x1 - x0) / math.hypot(x1 - x0, y1 - y0)
        if branch.order == 0 or flat < STEEP:
            continue
        high, deep = branch.thick * 0.5, min(6.5, 1.6 + branch.thick * 0.42) * flat
        middle = ((x0 + x1) / 2, (y0 + y1) / 2 - (high + branch.thin * 0.5) / 2 - deep)
        snow.append(
            [
                (x0, y0 - high * 0.5),
                (x0, y0 - high - deep * 0.6),
                middle,
                (x1, y1 - branch.thin * 0.5 - deep * 0.6),
                (x1, y1 - branch.thin * 0.2),
            ]
        )
    canvas.shape(snow, "f6faff", 0.96)


def draw_crown(canvas: Canvas, season: Season, wood: list[Branch], rng: Random) -> None:
    """Paint the foliage: dark leaves first, the light ones last and towards the sun."""
    tips = np.array([branch.end for branch in wood if branch.order >= LEAFY])
    middle, size = tips.mean(axis=0), tips.std(axis=0) * 1.9
    lobes = spread_out(tips[tips[:, 1] < middle[1] + 1.05 * tips[:, 1].std()], 44)
    radii = rng.uniform(34, 58, len(lobes))
    depth = stencil(
        ellipse(x, y + 3, r * 0.8, r * 0.72) for (x, y), r in zip(lobes, radii, strict=True)
    )
    towards = (COLUMNS - middle[0]) / size[0] * LIGHT[0] + (ROWS - middle[1]) / size[1] * LIGHT[1]
    canvas.paint(depth, between(season.leaves[0], season.leaves[2], fade(towards, -0.7, 0.9)), 0.95)
    which = rng.integers(0, len(lobes), season.leaf_count)
    angle = rng.uniform(0, 2 * math.pi, season.leaf_count)
    far = np.sqrt(rng.uniform(0, 1.12, season.leaf_count))
    inside = np.stack((np.cos(angle), np.sin(angle) * 0.9), axis=1) * far[:, None]
    places = lobes[which] + inside * radii[which, None]
    lit = (
        0.5
        + 0.27 * (inside @ np.array(LIGHT))
        + 0.3 * (((places - middle) / size) @ np.array(LIGHT))
    )
    lit += rng.normal(0, 0.1, season.leaf_count)
    tones = np.clip((lit * len(season.leaves)).astype(int), 0, len(season.leaves) - 1)
    for tone, code in enumerate(season.leaves):
        shapes = [petal_or_leaf(season, rng, px, py) for px, py in places[tones == tone]]
        canvas.shape(shapes, code, 0.97)


def spread_out(points: Points, count: int) -> Points:
    """Return so many of the points, each as far as possible from those before it."""
    chosen = [int(points[:, 1].argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return points[chosen]


def petal_or_leaf(season: Season, rng: Random, x: float, y: float) -> Shape:
    """Return one blossom in spring, one leaf otherwise."""
    if season is SPRING:
        size = rng.uniform(2.6, 5.2)
        return ellipse(x, y, size, size * rng.uniform(0.75, 1), tilt=rng.uniform(0, math.pi))
    return leaf(x, y, rng.uniform(9, 15), rng.uniform(4.5, 7.5), rng.uniform(0, math.pi))


def draw_tree(canvas: Canvas, season: Season) -> None:
    """Paint the tree and its shadow; the wood is the same all year."""
    wood = grow(np.random.default_rng(11), TREE_FOOT, math.pi / 2 + 0.05, length=118, thick=46)
    x, y = TREE_FOOT
    deep = 1.0 if season.leaves else 0.5
    shadow = stencil([ellipse(x + 120, y + 26, 225, 24, tilt=0.07)], blur=9)
    canvas.shade(shadow, season.shades[2], 0.62 * deep)
    draw_wood(canvas, season, wood)
    if season.leaves:
        draw_crown(canvas, season, wood, np.random.default_rng(21))


# --- near -------------------------------------------------------------------------------------


def draw_ground_cover(canvas: Canvas, season: Season, rng: Random) -> None:
    """Scatter flowers or fallen leaves over the meadow, larger the nearer they are."""
    for code in season.accents:
        shapes: list[Shape] = []
        hearts: list[Shape] = []
        for _ in range(150):
            y = rng.uniform(0, 1) ** 0.7 * 165 + 560
            x = rng.normal(960, 190) if season is AUTUMN else rng.uniform(0, WIDTH)
            size = 1.2 + (y - 550) / 170 * 3.4
            left, right = PATH_AND_VERGE
            on_path = left < x < right and season is not AUTUMN
            if y < height_at(NEAR_HILL, x) + 8 or on_path:
                continue
            if season is AUTUMN:
                shapes.append(leaf(x, y, size * 3, size * 1.5, rng.uniform(-0.6, 0.6)))
            else:
                shapes += blossom(x, y, size)
                hearts.append(ellipse(x, y, size * 0.34, size * 0.3))
        canvas.shape(shapes, code, 0.95)
        canvas.shape(hearts, "ffe27a" if code != "ffd23f" else "d98a2b")


def blossom(x: float, y: float, size: float) -> list[Shape]:
    """Return a flower of five petals, seen a little from the side."""
    turns = np.linspace(0, 2 * math.pi, 5, endpoint=False) + x
    return [
        ellipse(
            x + size * 0.62 * math.cos(a),
            y + size * 0.5 * math.sin(a),
            size * 0.5,
            size * 0.36,
            tilt=a,
        )
        for a in turns
    ]


def blade(rng: Random, x: float, y: float, tall: float) -> Shape:
    """Return a blade of grass, bent by the wind."""
    bend = rng.normal(0.16, 0.22) * tall
    width = tall * 0.05 + 0.8
    return [
        (x - width, y),
        (x + bend * 0.35 - width * 0.6, y - tall * 0.6),
        (x + bend, y - tall),
        (x + bend * 0.35 + width * 0.6, y - tall * 0.6),
        (x + width, y),
    ]


def draw_grass(canvas: Canvas, season: Season, rng: Random) -> None:
    """Frame the picture with grass: tall in the corners, low in the middle."""
    for tone, count in ((0, 620), (1, 420)):
        shapes: list[Shape] = []
        for _ in range(count):
            x = rng.uniform(-10, WIDTH + 10)
            side = abs(x - 560) / 720
            tall = (16 + 96 * side**2.2) * rng.uniform(0.45, 1.1) * (1 if tone == 0 else 0.8)
            shapes.append(blade(rng, x, HEIGHT + 6, tall))
        canvas.shape(shapes, season.grass[tone], 0.95 if season is not WINTER else 0.7)
    if season is WINTER:
        drift = through(
            [(-5, 664), (140, 690), (330, 712), (560, 716), (800, 706), (1040, 684), (1285, 654)]
        )
        canvas.paint(
            stencil([below(drift)]), between("ffffff", season.shades[2], fade(ROWS, 650, 760))
        )


def draw_air(canvas: Canvas, season: Season, rng: Random) -> None:
    """Fill the air: snow everywhere, petals and leaves downwind of the tree."""
    for number, code in enumerate(season.air):
        shapes: list[Shape] = []
        for _ in range({"winter": 190, "spring": 46, "summer": 20, "autumn": 34}[season.name]):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            if season is WINTER:
                size = rng.gamma(2.2, 0.75) + 0.6
                shapes.append(ellipse(x, y, size, size))
            elif season is SUMMER:
                shapes.append(ellipse(x, 380 + y * 0.45, rng.uniform(1, 2.4), rng.uniform(1, 2.4)))
            else:
                x, y = rng.normal(980, 250), rng.uniform(150, 690)
                long = rng.uniform(7, 15) if season is AUTUMN else rng.uniform(5, 9)
                shapes.append(leaf(x, y, long, long * 0.55, rng.uniform(0, math.pi)))
        canvas.paint(stencil(shapes, blur=0.6 * (number % 2)), rgb(code), 0.9)


def draw_birds(canvas: Canvas) -> None:
    """Send a few birds across the sky."""
    birds: list[Shape] = []
    for x, y, span in ((640, 196, 15), (676, 182, 12), (706, 204, 10), (590, 214, 9)):
        for side in (-1, 1):
            wing = [
                (x, y),
                (x + side * span * 0.5, y - span * 0.42),
                (x + side * span, y - span * 0.12),
            ]
            birds.append([*wing, (x + side * span * 0.5, y - span * 0.26)])
    canvas.shape(birds, "3f5268", 0.75)


def draw_light(canvas: Canvas, season: Season) -> None:
    """Let the sun's light lie over everything, and darken the far corners a little."""
    canvas.glow(np.exp(-from_sun() / 420).astype(np.float32), season.glow, 0.2)
    corner = fade(np.hypot((COLUMNS - 600) / 900, (ROWS - 330) / 520), 0.75, 1.35)
    canvas.shade(corner, season.sky[0], 0.28)


def draw(season: Season) -> Canvas:
    """Paint one season, from far to near; every season starts from the same luck."""
    canvas = Canvas()
    luck: Callable[[int], Random] = np.random.default_rng
    draw_sky(canvas, season)
    draw_clouds(canvas, season, luck(1))
    draw_mountains(canvas, season, luck(2))
    draw_mist(canvas, season, 398, 0.5)
    draw_woods(canvas, season, luck(3), FAR_HILL, 0)
    draw_hill(canvas, season, FAR_HILL, 0)
    draw_mist(canvas, season, 424, 0.35)
    draw_woods(canvas, season, luck(4), MIDDLE_HILL, 1)
    draw_hill(canvas, season, MIDDLE_HILL, 1)
    draw_house(canvas, season)
    draw_bushes(canvas, season, luck(9))
    draw_fence(canvas, season)
    draw_pond(canvas, season, luck(5))
    draw_hill(canvas, season, NEAR_HILL, 2)
    draw_path(canvas, season)
    draw_ground_cover(canvas, season, luck(6))
    draw_tree(canvas, season)
    if season is not WINTER:
        draw_birds(canvas)
    draw_grass(canvas, season, luck(7))
    draw_light(canvas, season)
    draw_air(canvas, season, luck(8))
    return canvas


if __name__ == "__main__":
    for each in SEASONS:
        draw(each).save(Path(__file__).with_name(f"{each.name}.jpg"))
