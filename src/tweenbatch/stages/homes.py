"""Where a clip lies on this disk: the names that it may take, and what lies under them already.

Another content is never written over. Only a recorded clip's own file that was emptied or cut
makes room for the whole one.
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
class Home:
    """The folder ``root`` and the ``name`` below it that a clip is to have, without its ending.

    ``other_name`` is for where another content has that name. ``recorded`` is the file that the
    table calls this clip.
    """

    root: Path
    name: str
    other_name: str
    recorded: Path | None = None

    @property
    def part(self) -> Path:
        """Where the clip arrives."""
        return self.root / f"{self.name}.mp4.part"

    @property
    def broken(self) -> Path:
        """Where a file is kept that no player may open: it was paid for all the same."""
        return self.root / f"{self.name}.broken.mp4"

    @property
    def targets(self) -> list[Path]:
        """The names that the clip may take, the best first."""
        return [self.root / f"{stem}.mp4" for stem in (self.name, self.other_name)]


def home_of(job: Job, output: Path) -> Home:
    """Return where the clip belongs: where it lay before if that folder stands, else the output."""
    key = job.key[:8]
    if job.kept is not None and (lay := Path(job.kept.path)).parent.is_dir():
        return Home(root=lay.parent, name=lay.stem, other_name=f"{lay.stem}-{key}", recorded=lay)
    return Home(root=output, name=job.output_name, other_name=f"{job.output_name}-{key}")


def already_home(job: Job, output: Path, checker: Checker) -> Artifact | None:
    """Return a clip that came home once and lies here after all, by its content."""
    if job.kept is None or job.video is None:
        return None
    for path in dict.fromkeys([Path(job.kept.path), *home_of(job, output).targets]):
        with suppress(OSError, BrokenVideo):
            if bytes_of(path, size=job.kept.bytes, sha256=job.kept.sha256) is None:
                return _artifact(path, checker, url=job.video.url)
    return None


def settle(part: Path, home: Home, checker: Checker, *, url: str) -> Artifact:
    """Check the file and move it to the first name that no other content holds.

    Raises ``BrokenVideo``, ``CheckUnavailable`` or ``DiskTrouble``; ``DownloadFailed`` where all
    names are taken.
    """
    with writing_to(part.parent):
        artifact = _artifact(part, checker, url=url)
        for target in home.targets:
            if target == home.recorded and _is_cut_from(target, part):
                target.unlink()
            try:
                atomic.publish(part, target)
            except FileExistsError:
                continue
            return replace(artifact, path=target)
    raise DownloadFailed(f"{home.targets[-1]} exists with another content; move it away")


def keep_broken(part: Path, home: Home) -> None:
    """Keep a file with all its boxes whose pictures can't be decoded: some player may."""
    with suppress(BrokenVideo, FileExistsError), writing_to(part.parent):
        mp4.check(part)
        atomic.publish(part, home.broken)


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
    """Tell whether a file is a shorter beginning of another, so that nothing is lost with it."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size >= whole.stat().st_size:
        return False
    with path.open("rb") as short, whole.open("rb") as long:
        while chunk := short.read(_CHUNK):
            if chunk != long.read(len(chunk)):
                return False
    return True
