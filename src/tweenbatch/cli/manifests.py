"""Manifests on the command line: the options that say how they are read, and the reading."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch import manifest
from tweenbatch import paths as places
from tweenbatch.cli import streams
from tweenbatch.cli.options import LocalPath
from tweenbatch.cli.progress import LookingAtFrames
from tweenbatch.errors import ManifestError, UsageError
from tweenbatch.frames.cache import Memory
from tweenbatch.frames.fit import Fit, Way
from tweenbatch.manifest import MAX_TAKES, Naming, Reading
from tweenbatch.manifest import problems_file as problems
from tweenbatch.models import DEFAULT, find
from tweenbatch.nights.inbox import Inbox
from tweenbatch.planning.batch import last_import, recall_frames
from tweenbatch.records import OldFailures
from tweenbatch.records.manifest import Manifest

F = TypeVar("F", bound=Callable[..., Any])


def manifests_argument(*, required: bool) -> Callable[[F], F]:
    """Return the argument MANIFESTS, in whose place a job file may stand."""
    return click.argument(
        "manifests",
        nargs=-1,
        required=required,
        type=click.Path(path_type=Path),
        # A job file is read before the options, whose values it may give.
        is_eager=True,
        callback=_or_job_file,
    )


def _or_job_file(
    ctx: click.Context, _param: click.Parameter, paths: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Return the manifests; a job file gives its own, and values to options that nobody gave."""
    named = [path for path in paths if path.suffix.lower() == ".toml"]
    if not named:
        return paths
    if len(paths) > 1:
        raise UsageError(
            f"{named[0]}: a job file names its manifests itself; give it alone, or the manifests "
            "without it"
        )
    from tweenbatch.nights import jobfile

    job = jobfile.read(named[0], now=datetime.now(UTC))
    ctx.default_map = {**(ctx.default_map or {}), **job.options}
    ctx.obj = job
    return job.manifests


def manifest_options(command: F) -> F:
    """Add what says how manifests are read, and which of their rows are let through."""
    for option in (
        click.option(
            "--inbox",
            metavar="DIR",
            type=LocalPath(path_type=Path, file_okay=False),
            help="A folder into which manifests are dropped: each is taken once it is whole, and "
            "moved to done/ or, with the list of its problems, to rejected/ below it.",
        ),
        click.option(
            "--model",
            metavar="ENDPOINT",
            default=DEFAULT.id,
            show_default=DEFAULT.title,
            help="The model of rows that name none in a column 'model': an endpoint of fal or a "
            "short name; `tweenbatch models` lists them.",
        ),
        click.option(
            "--frames",
            metavar="DIR",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            envvar="TWEENBATCH_FRAMES",
            show_envvar=True,
            help="Let frames below this folder through, wherever it is; may be repeated. Frames "
            "are uploaded to public addresses.",
        ),
        click.option(
            "--allow-open-ended", is_flag=True, help="Let rows without an end frame through."
        ),
        click.option(
            "--set",
            "defaults",
            metavar="COLUMN=VALUE",
            multiple=True,
            help="What a column holds in rows where it is empty or missing; may be repeated.",
        ),
        click.option(
            "--keep",
            metavar="COLUMN",
            multiple=True,
            help="Carry this column through although its name looks like a known one's; may be "
            "repeated.",
        ),
        click.option(
            "--name",
            metavar="TEMPLATE",
            help="How new clips are named below the output folder, e.g. "
            "'{sequence}/{row:04}-{name}-t{take}': columns, and row, take, start and end.",
        ),
        click.option(
            "--takes",
            metavar="N",
            type=click.IntRange(1, MAX_TAKES),
            default=1,
            help="How many clips to make of each row that doesn't say it itself.",
        ),
        click.option(
            "--retry-failed",
            metavar="TYPE",
            multiple=True,
            help="Try clips of these manifests again that failed so in an earlier run, e.g. "
            "generation_timeout; may be repeated.",
        ),
        click.option(
            "--retry-most",
            metavar="N",
            type=click.IntRange(1),
            default=5,
            show_default=True,
            help="None that has been submitted N times in all.",
        ),
        click.option(
            "--strict",
            is_flag=True,
            help="Refuse what would only be warned of, such as a frame that EXIF data turns.",
        ),
        click.option(
            "--check-urls",
            is_flag=True,
            help="Ask the https address of every frame whether there is an image.",
        ),
        click.option(
            "--fit",
            metavar="[pad|crop]",
            type=click.Choice([str(way) for way in Way]),
            help="Use prepared copies of frames that break a limit or would be warned of; ends get "
            "the proportions of their starts: padded, or cropped.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The manifests that were asked for, and how they are to be read."""

    paths: tuple[Path, ...]
    inbox: Inbox | None
    reading: Reading
    old_failures: OldFailures | None
    """Which failures of earlier runs are to be tried again, if any."""
    way: Way | None
    """How frames are to be fitted, if they are."""

    @classmethod
    def taken_from(cls, options: dict[str, Any], *, moves: bool) -> "Asked":
        """Take out of a command's options what ``manifest_options`` put there.

        With ``moves`` an inbox is emptied as its manifests are done.
        """
        return cls(
            paths=options.pop("manifests"),
            old_failures=_old_failures(options.pop("retry_failed"), options.pop("retry_most")),
            inbox=Inbox(folder, moves=moves) if (folder := options.pop("inbox")) else None,
            way=Way(way) if (way := options.pop("fit")) else None,
            reading=Reading(
                endpoint=find(options.pop("model")),
                frames=options.pop("frames"),
                allow_open_ended=options.pop("allow_open_ended"),
                keep=options.pop("keep"),
                defaults=_defaults(options.pop("defaults")),
                takes=options.pop("takes"),
                naming=Naming.parse(name) if (name := options.pop("name")) else None,
                strict=options.pop("strict"),
                check_urls=options.pop("check_urls"),
            ),
        )

    def with_what_arrived(self) -> "Asked":
        """Return the same with the manifests that lie in the inbox, whole.

        Raises ``UsageError`` without the folder.
        """
        if self.inbox is None:
            return self
        try:
            arrived, changing = self.inbox.arrived()
        except OSError as error:
            raise UsageError(
                f"the inbox {self.inbox.folder} can't be read ({error.strerror or error})"
            ) from error
        for path in changing:
            click.echo(
                f"{streams.visible_line(str(path))}: somebody still writes it; the next run looks "
                "again",
                err=True,
            )
        return replace(self, paths=(*self.paths, *arrived))

    def read_what_can_be(
        self, output: Path, db: str
    ) -> tuple[list[Manifest], Memory, tuple[str, ...]]:
        """Read for a run; bad manifests of the inbox are put away, and hold up no other.

        Returns also their names. Raises ``ManifestError`` for any other bad one.
        """
        try:
            return (*self.read(output, db, writes=True), ())
        except ManifestError as error:
            inbox = self.inbox
            found = {each.path: each for each in (error, *error.others)}
            bad = {path for path in found if inbox and inbox.holds(path)}
            if inbox is None or not bad:
                raise
            for path in sorted(bad):
                alone = ManifestError(path, found[path].problems)
                click.echo(streams.visible_lines(str(alone)), err=True)
                try:
                    place = inbox.reject(path)
                except OSError as trouble:
                    click.echo(f"it can't be put away ({trouble.strerror or trouble})", err=True)
                    continue
                if place != path:
                    click.echo(f"put away as {streams.visible_line(str(place))}", err=True)
        good = tuple(path for path in self.paths if path not in bad)
        read, memory, more = replace(self, paths=good).read_what_can_be(output, db)
        # A name need not be text, and what is written into the table must be.
        names = (streams.visible_line(path.name) for path in sorted(bad))
        return read, memory, (*names, *more)

    def read(self, output: Path, db: str, *, writes: bool) -> tuple[list[Manifest], Memory]:
        """Return the manifests, and what is known of their frames by now.

        Raises ``ManifestError``, whose problems are listed beside the manifests. Prepared copies
        of frames belong below ``output``; without ``writes`` none is kept. ``db`` is the table
        that may know some of all this.
        """
        fit = None
        if self.way is not None:
            folder = output.absolute() / places.FITTED
            fit = Fit(way=self.way, folder=folder, writes=writes)
        try:
            with LookingAtFrames() as shown:
                memory = Memory(recall=partial(recall_frames, db), watcher=shown)
                reading = replace(self.reading, fit=fit, memory=memory, latest=last_import(db))
                read = manifest.read_all(self.paths, reading)
        except ManifestError as error:
            problems.write(error)
            raise
        problems.forget(each.path for each in read)
        return read, memory


class ManifestCommand(click.Command):
    """A command whose ``--fit`` may stand without its value, whatever comes behind it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say ``--fit=pad`` where somebody said ``--fit``."""
        ways = [str(way) for way in Way]
        ours = args.index("--") if "--" in args else len(args)
        said = [
            f"--fit={Way.PAD}" if arg == "--fit" and after not in ways else arg
            for arg, after in zip(args[:ours], [*args[1:], ""], strict=False)
        ]
        return super().parse_args(ctx, [*said, *args[ours:]])


def _old_failures(errors: Collection[str], most: int) -> OldFailures | None:
    return OldFailures(errors=frozenset(errors), most_attempts=most) if errors else None


def _defaults(texts: Iterable[str]) -> dict[str, str]:
    defaults: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"--set {text!r}: expected COLUMN=VALUE, e.g. --set duration=10")
        if name in defaults:
            raise UsageError(f"--set {name}: is there twice; leave one")
        defaults[name] = value.strip()
    return defaults
