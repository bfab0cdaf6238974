"""A row of key frames becomes a manifest: each frame to the next, under names that are safe.

It finds the images, puts them in order, pairs them and writes CSV. It refuses to know what an
endpoint takes beyond the names of its two frames; ``plan`` checks that.
"""

import csv
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from glob import glob
from itertools import pairwise
from pathlib import Path
from typing import Literal, TextIO

from tweenbatch import paths as places
from tweenbatch.errors import UnreadableFrame, UsageError
from tweenbatch.files import atomic
from tweenbatch.files import names as filenames
from tweenbatch.files.csv_injection import guarded
from tweenbatch.frames import inspect as frames
from tweenbatch.manifest import prompts
from tweenbatch.models import DEFAULT, Endpoint

DEFAULT_PROMPT = (
    "Create a smooth, continuous transition from @Image1 to @Image2. The camera holds still."
)
PLACEHOLDERS = ("start", "end", "n", "total")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
"""What is taken for a frame in a folder or by a pattern; a file that is named may be called
anything."""

FEWEST = 2
LONGEST_STEM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFrame:
    """An image of the row, as its file was named, with the digest of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A row of the manifest; the fields are its columns."""

    name: str
    sequence: str
    order: int
    prompt: str
    start_image: str
    end_image: str
    duration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsRequest:
    """What the rows are to say besides their frames."""

    prompt: str = DEFAULT_PROMPT
    duration: str = "5"
    sequence: str = ""
    loop: bool = False
    """Lead the last frame back to the first."""


def key_frames(named: Sequence[str], *, keep_order: bool) -> list[KeyFrame]:
    """Return the images that these files, folders and patterns name, in natural order.

    Each is there once, unless the order is that of the names. Raises ``UsageError`` with all
    that is wrong.
    """
    problems: list[str] = []
    found: list[Path] = []
    for name in named:
        images, problem = _images(name)
        found += images
        if problem:
            problems.append(problem)
    if not keep_order:
        places_of = {_real_place(path): path for path in reversed(found)}
        found = [places_of[place] for place in sorted(places_of, key=filenames.natural)]
    known: dict[Path, KeyFrame] = {}
    for path in dict.fromkeys(found):
        problems += _name_problems(path)
        try:
            known[path] = KeyFrame(path=path, sha256=frames.inspect(path).sha256)
        except FileNotFoundError:
            problems.append(f"'{path}' is not there; check the path")
        except UnreadableFrame as error:
            problems.append(f"'{path}' {error}")
        except OSError as error:
            problems.append(f"'{path}' can't be read ({error.strerror})")
    _refuse(problems)
    return [known[path] for path in found]


def make(
    images: Sequence[KeyFrame], wish: PairsRequest, *, folder: Path, endpoint: Endpoint = DEFAULT
) -> list[Pair]:
    """Return a row for each frame and the next; paths are seen from the manifest's folder.

    Raises ``UsageError`` with all that is wrong.
    """
    if len(images) < FEWEST:
        raise UsageError(
            f"{len(images)} key frame{'' if len(images) == 1 else 's'} found; a transition needs "
            "two: name more images, or a folder or pattern that holds them"
        )
    _refuse(_duration_problems(wish.duration, endpoint))
    steps = [*pairwise(images)]
    if wish.loop:
        steps.append((images[-1], images[0]))
    _refuse(_standstills(steps, loop=wish.loop))
    labels = _labels(images)
    width = max(3, len(str(len(steps) * 10)))
    rows = []
    problems: list[str] = []
    for n, (start, end) in enumerate(steps, 1):
        ends = {"start": labels[start.path], "end": labels[end.path]}
        prompt = _rendered(wish.prompt, {**ends, "n": n, "total": len(steps)})
        problems += [
            f"the prompt of row {n} {wrong}"
            for wrong in prompts.problems(prompt, max_chars=endpoint.max_prompt_chars)
        ]
        rows.append(
            Pair(
                name=f"{n * 10:0{width}}-{_stem(ends['start'])}-to-{_stem(ends['end'])}",
                sequence=wish.sequence,
                order=n,
                prompt=prompt,
                start_image=_seen_from(folder, start.path),
                end_image=_seen_from(folder, end.path),
                duration=wish.duration,
            )
        )
    _refuse(problems)
    return rows


def outside(images: Iterable[KeyFrame], manifest: Path) -> list[Path]:
    """Return the folders from which a run of the manifest won't take frames unasked."""
    roots = places.frame_roots(manifest, ())
    real = (image.path.resolve() for image in images)
    return sorted(
        {path.parent for path in real if not any(path.is_relative_to(root) for root in roots)}
    )


def write(rows: Iterable[Pair], file: TextIO) -> None:
    """Write the manifest as CSV, so that a reader takes every text as it is.

    A text that begins like a formula gets a ' in front, and a prompt's braces are doubled.
    """
    columns = [field.name for field in fields(Pair)]
    rows = [replace(row, prompt=row.prompt.replace("{", "{{").replace("}", "}}")) for row in rows]
    # Before 3.13, Python leaves a lone CR without quotes.
    odd = any("\r" in row.prompt for row in rows)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL
    writer = csv.writer(file, lineterminator="\n", quoting=quoting)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(guarded(str(getattr(row, name))) for name in columns)


def write_file(rows: Iterable[Pair], path: Path, *, force: bool) -> None:
    """Write the manifest in one step; without ``force`` none that is there is written over.

    Raises ``UsageError``.
    """
    try:
        atomic.require_regular(path)
        with atomic.writing_text(path, over=force) as file:
            write(rows, file)
    except FileExistsError as error:
        raise UsageError(f"-o {path}: is there already; add --force to write over it") from error
    except FileNotFoundError as error:
        raise UsageError(f"-o {path}: there is no such folder; make it first") from error
    except OSError as error:
        raise UsageError(f"-o {path}: can't be written ({error.strerror})") from error


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise UsageError("; ".join(problems) + "; nothing was written")


def _name_problems(path: Path) -> list[str]:
    """Return what of a path no cell of a manifest can hold: half characters, blanks at its end."""
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in str(path)):
        return [f"'{path}' has a sign in its name that can't be written down; rename it"]
    if str(path) != str(path).rstrip():
        return [f"'{path}' ends in a blank; rename it"]
    return []


def _images(name: str) -> tuple[list[Path], str | None]:
    """Return the images that a name stands for, and what is wrong with it."""
    if "://" in name:
        return [], f"'{name}' is an address; key frames are files"
    path = Path(name).expanduser()
    if path.is_dir():
        inside = [each for each in path.iterdir() if _looks_like_frame(each)]
        nothing = f"'{name}' holds no PNG, JPEG or WebP image; name the folder that does"
        return sorted(inside, key=filenames.natural), None if inside else nothing
    if path.exists() or not any(sign in name for sign in "*?["):
        return [path], None
    matches = [Path(each) for each in glob(str(path), recursive=True)]  # noqa: PTH207 - the pattern may be absolute
    inside = [each for each in matches if _looks_like_frame(each)]
    nothing = f"'{name}' matches no PNG, JPEG or WebP image; check the pattern"
    return sorted(inside, key=filenames.natural), None if inside else nothing


def _looks_like_frame(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _real_place(path: Path) -> Path:
    """Return where the file lies by its own name: of two links each is a frame."""
    return path.parent.resolve() / path.name


def _duration_problems(duration: str, endpoint: Endpoint) -> list[str]:
    parameter = endpoint.parameters.get("duration")
    if parameter is None or duration in parameter.allowed:
        return []
    allowed = " or ".join(parameter.allowed)
    return [f"--duration is {duration}; {endpoint.title} allows {allowed}"]


def _standstills(steps: Sequence[tuple[KeyFrame, KeyFrame]], *, loop: bool) -> list[str]:
    """Return where a clip would lead from a picture to the same."""
    found = []
    for n, (start, end) in enumerate(steps, 1):
        if start.sha256 != end.sha256:
            continue
        who = "the last and the first" if loop and n == len(steps) else f"{n} and {n + 1}"
        what = (
            f"both '{start.path}'"
            if _real_place(start.path) == _real_place(end.path)
            else f"the same picture ('{start.path}', '{end.path}')"
        )
        found.append(f"key frames {who} are {what}, and nothing would move; leave one out")
    return found


def _labels(images: Sequence[KeyFrame]) -> dict[Path, str]:
    """Call each image by its stem, and by more where several share that."""
    paths = list(dict.fromkeys(image.path for image in images))
    labels = {path: path.stem for path in paths}
    for longer in (lambda path: f"{path.parent.name}-{path.stem}", lambda path: path.name):
        shared = Counter(labels.values())
        labels = {
            path: longer(path) if shared[label] > 1 else label for path, label in labels.items()
        }
    return labels


def _stem(label: str) -> str:
    return filenames.slug(label)[:LONGEST_STEM].strip(".-") or "frame"


def _rendered(template: str, values: Mapping[str, object]) -> str:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    try:
        parsed = list(string.Formatter().parse(template))
        for _, name, _, _ in parsed:
            if name is not None and name not in PLACEHOLDERS:
                raise UsageError(
                    f"--prompt has {{{name}}}; known are {known}; write {{{{ and }}}} for braces"
                )
        return template.format(**values)
    except ValueError as error:
        raise UsageError(
            f"--prompt is not understood ({error}); known are {known}; write {{{{ and }}}} for "
            "braces"
        ) from error


def _seen_from(folder: Path, path: Path) -> str:
    """Return the path as the manifest is to name it: short where it lies near."""
    place, base = _real_place(path.absolute()), folder.resolve()
    if place.is_relative_to(base):
        text = str(place.relative_to(base))
    elif base.parent != base and place.is_relative_to(base.parent):
        text = str(Path("..") / place.relative_to(base.parent))
    else:
        text = str(place)
    if text.startswith("~"):
        return str(place)  # a reader would look for the home of somebody
    return f"./{text}" if text != text.lstrip() else text
