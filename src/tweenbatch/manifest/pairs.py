"""Make a manifest of key frames (``tweenbatch pairs``): one row from each frame to the next.

It does not know an endpoint's limits on frames; ``plan`` checks those.
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

from tweenbatch.errors import UnreadableFrame, UsageError
from tweenbatch.files import atomic
from tweenbatch.files import names as filenames
from tweenbatch.files.csv_injection import guarded
from tweenbatch.frames import inspect as frames
from tweenbatch.manifest import prompts
from tweenbatch.models import DEFAULT, Endpoint
from tweenbatch.paths import frame_roots

DEFAULT_PROMPT = (
    "Create a smooth, continuous transition from @Image1 to @Image2. The camera holds still."
)
PLACEHOLDERS = ("start", "end", "n", "total")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
"""Suffixes of frames in a folder or pattern; a file that is named directly may have any."""

FEWEST = 2
LONGEST_STEM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFrame:
    """An image, by the path that the user gave, with the digest of its bytes."""

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
    """Options of the rows besides their frames."""

    prompt: str = DEFAULT_PROMPT
    duration: str = "5"
    sequence: str = ""
    loop: bool = False
    """Add a row from the last frame back to the first."""


def key_frames(named: Sequence[str], *, keep_order: bool) -> list[KeyFrame]:
    """Return the images of these files, folders and patterns, each once in natural order.

    ``keep_order`` keeps the order of the names, and repetitions. Raises ``UsageError`` with all
    problems.
    """
    problems: list[str] = []
    image_paths: list[Path] = []
    for name in named:
        images, problem = _images(name)
        image_paths += images
        if problem:
            problems.append(problem)
    if not keep_order:
        by_location = {_location(path): path for path in reversed(image_paths)}
        image_paths = [by_location[each] for each in sorted(by_location, key=filenames.natural)]
    key_frame_of: dict[Path, KeyFrame] = {}
    for path in dict.fromkeys(image_paths):
        problems += _name_problems(path)
        try:
            key_frame_of[path] = KeyFrame(path=path, sha256=frames.inspect(path).sha256)
        except FileNotFoundError:
            problems.append(f"'{path}' does not exist; check the path")
        except UnreadableFrame as error:
            problems.append(f"'{path}' {error}")
        except OSError as error:
            problems.append(f"'{path}' can't be read ({error.strerror})")
    _refuse(problems)
    return [key_frame_of[path] for path in image_paths]


def make(
    images: Sequence[KeyFrame], request: PairsRequest, *, folder: Path, endpoint: Endpoint = DEFAULT
) -> list[Pair]:
    """Return a row for each frame and the next; paths are relative to the manifest's folder.

    Raises ``UsageError`` with all problems.
    """
    if len(images) < FEWEST:
        raise UsageError(
            f"{len(images)} key frame{'' if len(images) == 1 else 's'} found; a transition needs "
            "two: name more images, or a folder or pattern with more"
        )
    _refuse(_duration_problems(request.duration, endpoint))
    steps = [*pairwise(images)]
    if request.loop:
        steps.append((images[-1], images[0]))
    _refuse(_standstills(steps, loop=request.loop))
    labels = _labels(images)
    width = max(3, len(str(len(steps) * 10)))
    rows = []
    problems: list[str] = []
    for n, (start, end) in enumerate(steps, 1):
        ends = {"start": labels[start.path], "end": labels[end.path]}
        prompt = _rendered(request.prompt, {**ends, "n": n, "total": len(steps)})
        problems += [
            f"the prompt of row {n} {wrong}"
            for wrong in prompts.problems(prompt, max_chars=endpoint.max_prompt_chars)
        ]
        rows.append(
            Pair(
                name=f"{n * 10:0{width}}-{_stem(ends['start'])}-to-{_stem(ends['end'])}",
                sequence=request.sequence,
                order=n,
                prompt=prompt,
                start_image=_relative_to(folder, start.path),
                end_image=_relative_to(folder, end.path),
                duration=request.duration,
            )
        )
    _refuse(problems)
    return rows


def outside(images: Iterable[KeyFrame], manifest: Path) -> list[Path]:
    """Return the folders of frames that a run of the manifest refuses without ``--frames``."""
    roots = frame_roots(manifest, ())
    real = (image.path.resolve() for image in images)
    return sorted(
        {path.parent for path in real if not any(path.is_relative_to(root) for root in roots)}
    )


def write(rows: Iterable[Pair], file: TextIO) -> None:
    """Write the manifest as CSV, escaped so that reading it returns the same texts.

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
    """Write the manifest atomically; overwrite an existing file only with ``force``.

    Raises ``UsageError``.
    """
    try:
        atomic.require_regular(path)
        with atomic.writing_text(path, over=force) as file:
            write(rows, file)
    except FileExistsError as error:
        raise UsageError(f"-o {path}: the file exists; add --force to overwrite it") from error
    except FileNotFoundError as error:
        raise UsageError(f"-o {path}: the folder does not exist; create it first") from error
    except OSError as error:
        raise UsageError(f"-o {path}: can't be written ({error.strerror})") from error


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise UsageError("; ".join(problems) + "; nothing was written")


def _name_problems(path: Path) -> list[str]:
    """Return why a manifest's cell can't hold the path: control characters, a space at its end."""
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in str(path)):
        return [f"'{path}' has a character in its name that a manifest can't hold; rename it"]
    if str(path) != str(path).rstrip():
        return [f"'{path}' ends with a space; rename it"]
    return []


def _images(name: str) -> tuple[list[Path], str | None]:
    """Return the images of a file, folder or pattern, and its problem."""
    if "://" in name:
        return [], f"'{name}' is a URL; key frames must be local files"
    path = Path(name).expanduser()
    if path.is_dir():
        inside = [each for each in path.iterdir() if _looks_like_frame(each)]
        nothing = f"'{name}' contains no PNG, JPEG or WebP image; name a folder that does"
        return sorted(inside, key=filenames.natural), None if inside else nothing
    if path.exists() or not any(char in name for char in "*?["):
        return [path], None
    matches = [Path(each) for each in glob(str(path), recursive=True)]  # noqa: PTH207 - the pattern may be absolute
    inside = [each for each in matches if _looks_like_frame(each)]
    nothing = f"'{name}' matches no PNG, JPEG or WebP image; check the pattern"
    return sorted(inside, key=filenames.natural), None if inside else nothing


def _looks_like_frame(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _location(path: Path) -> Path:
    """Return the path with its folder resolved, but not the file: two links are two frames."""
    return path.parent.resolve() / path.name


def _duration_problems(duration: str, endpoint: Endpoint) -> list[str]:
    parameter = endpoint.parameters.get("duration")
    if parameter is None or duration in parameter.allowed:
        return []
    allowed = " or ".join(parameter.allowed)
    return [f"--duration is {duration}; {endpoint.title} allows {allowed}"]


def _standstills(steps: Sequence[tuple[KeyFrame, KeyFrame]], *, loop: bool) -> list[str]:
    """Return the steps whose start and end frames are the same image."""
    problems = []
    for n, (start, end) in enumerate(steps, 1):
        if start.sha256 != end.sha256:
            continue
        which = "the last and the first" if loop and n == len(steps) else f"{n} and {n + 1}"
        same = (
            f"both '{start.path}'"
            if _location(start.path) == _location(end.path)
            else f"the same image ('{start.path}', '{end.path}')"
        )
        problems.append(f"key frames {which} are {same}: nothing would move; remove one")
    return problems


def _labels(images: Sequence[KeyFrame]) -> dict[Path, str]:
    """Name each image by its stem; add the folder, then the suffix, where names are equal."""
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
                    f"--prompt has {{{name}}}; expected one of {known}; write {{{{ and }}}} for "
                    "literal braces"
                )
        return template.format(**values)
    except (ValueError, LookupError, OverflowError, MemoryError) as error:
        raise UsageError(
            f"--prompt has a brace without its pair or an invalid placeholder; expected {known}; "
            "write {{ and }} for literal braces"
        ) from error


def _relative_to(folder: Path, path: Path) -> str:
    """Return the path for the manifest: relative if it is in the folder or its parent."""
    location, base = _location(path.absolute()), folder.resolve()
    if location.is_relative_to(base):
        text = str(location.relative_to(base))
    elif base.parent != base and location.is_relative_to(base.parent):
        text = str(Path("..") / location.relative_to(base.parent))
    else:
        text = str(location)
    if text.startswith("~"):
        return str(location)  # a relative ~ would be read as a home folder
    return f"./{text}" if text != text.lstrip() else text
