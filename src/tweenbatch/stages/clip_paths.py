"""The paths of a clip on this disk: choose them, find a clip already there, publish a new one.

A file with other content is never overwritten. Only a recorded clip's own file is replaced, and
only if it was emptied or cut short.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tweenbatch.clips import mp4
from tweenbatch.clips.checker import Checker
from tweenbatch.clips.presence import bytes_of, sha256_of
from tweenbatch.errors import BrokenVideo, DownloadFailed
from tweenbatch.files import atomic
from tweenbatch.records import Artifact, Job
from tweenbatch.stages.part_file import writing_to

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPaths:
    """The ``folder`` and ``name`` of a clip, without its suffix.

    ``other_name`` is used if another content has the name. ``recorded`` is the clip's file
    according to the table.
    """

    folder: Path
    name: str
    other_name: str
    recorded: Path | None = None

    @property
    def part(self) -> Path:
        """The file of an unfinished download."""
        return self.folder / f"{self.name}.mp4.part"

    @property
    def broken(self) -> Path:
        """The name of a paid file that can't be decoded."""
        return self.folder / f"{self.name}.broken.mp4"

    @property
    def targets(self) -> list[Path]:
        """The names that the clip may have, the preferred one first."""
        return [self.folder / f"{stem}.mp4" for stem in (self.name, self.other_name)]


def clip_paths(job: Job, output: Path) -> ClipPaths:
    """Return the clip's paths: in its former folder if that still exists, else in ``output``."""
    key = job.key[:8]
    if job.kept is not None and (former := Path(job.kept.path)).parent.is_dir():
        return ClipPaths(
            folder=former.parent,
            name=former.stem,
            other_name=f"{former.stem}-{key}",
            recorded=former,
        )
    return ClipPaths(folder=output, name=job.output_name, other_name=f"{job.output_name}-{key}")


def find_on_disk(job: Job, output: Path, checker: Checker) -> Artifact | None:
    """Return a clip downloaded before that is still on this disk, identified by its content."""
    if job.kept is None or job.video is None:
        return None
    for path in dict.fromkeys([Path(job.kept.path), *clip_paths(job, output).targets]):
        with suppress(OSError, BrokenVideo):
            if bytes_of(path, size=job.kept.bytes, sha256=job.kept.sha256) is None:
                return _artifact(path, checker, url=job.video.url)
    return None


def publish(part: Path, paths: ClipPaths, checker: Checker, *, url: str) -> Artifact:
    """Check the file and move it to the first name that no other content has.

    Raises ``BrokenVideo``, ``CheckUnavailable`` or ``DiskTrouble``; ``DownloadFailed`` if all
    names are taken.
    """
    with writing_to(part.parent):
        artifact = _artifact(part, checker, url=url)
        for target in paths.targets:
            if target == paths.recorded and _is_cut_from(target, part):
                target.unlink()
            try:
                atomic.publish(part, target)
            except FileExistsError:
                continue
            return replace(artifact, path=target)
    raise DownloadFailed(f"{paths.targets[-1]} already exists with other content; move it away")


def keep_broken(part: Path, paths: ClipPaths) -> None:
    """Keep a complete mp4 file whose pictures can't be decoded here: a player may decode them."""
    with suppress(BrokenVideo, FileExistsError), writing_to(part.parent):
        mp4.check(part)
        atomic.publish(part, paths.broken)


def _artifact(path: Path, checker: Checker, *, url: str) -> Artifact:
    clip = checker.check(path)
    return Artifact(
        path=path,
        url=url,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        seconds=clip.seconds,
        width=clip.width,
        height=clip.height,
    )


def _is_cut_from(path: Path, whole: Path) -> bool:
    """Tell whether a file is the beginning of another, so that deleting it loses nothing."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size >= whole.stat().st_size:
        return False
    with path.open("rb") as short, whole.open("rb") as long:
        while chunk := short.read(_CHUNK):
            if chunk != long.read(len(chunk)):
                return False
    return True
