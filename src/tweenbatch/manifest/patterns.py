"""Expand the manifests of a command line: files, patterns and ``-`` for standard input."""

from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

from tweenbatch.errors import ManifestError, Problem
from tweenbatch.files.names import natural
from tweenbatch.manifest.formats.source import STDIN
from tweenbatch.paths import PROBLEMS


def expand(paths: Iterable[Path]) -> list[Path]:
    """Return the manifests, each once; the matches of a pattern are in natural order.

    Leaves out our lists of problems, which a shell's ``*.csv`` matches too. Raises
    ``ManifestError`` if a pattern matches no file.
    """
    by_path: dict[Path, Path] = {}
    for path in paths:
        for each in _files_of(path):
            by_path.setdefault(each if each == STDIN else each.resolve(), each)
    lists = {path.with_name(path.name + PROBLEMS) for path in by_path}
    return [each for path, each in by_path.items() if path not in lists]


def _files_of(path: Path) -> list[Path]:
    if path == STDIN or not has_magic(str(path)) or path.exists():
        return [path]
    matches = [Path(each) for each in glob(str(path), recursive=True)]  # noqa: PTH207 - the pattern may be absolute
    files = [each for each in matches if each.is_file() and not each.name.endswith(PROBLEMS)]
    if not files:
        message = "no file matches this pattern; check the path"
        raise ManifestError(path, [Problem(message=message)])
    return sorted(files, key=natural)
