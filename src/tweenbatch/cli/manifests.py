"""Manifests on the command line: the options that say how they are read, and the reading."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch.api.requests import ManifestRequest
from tweenbatch.cli.options import LocalPath
from tweenbatch.errors import UsageError
from tweenbatch.frames.fit import Way
from tweenbatch.manifest import MAX_TAKES, Naming, Reading
from tweenbatch.models import DEFAULT, find
from tweenbatch.nights.inbox import Inbox
from tweenbatch.records import EarlierFailures

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
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
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
    click.option("--allow-open-ended", is_flag=True, help="Let rows without an end frame through."),
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
)


def manifest_request(options: Mapping[str, Any], *, moves: bool) -> ManifestRequest:
    """Return what the options of ``manifest_options`` ask for.

    With ``moves`` a run empties the inbox as its manifests are finished.
    """
    inbox, name, fit = options["inbox"], options["name"], options["fit"]
    errors = frozenset(options["retry_failed"])
    return ManifestRequest(
        paths=options["manifests"],
        inbox=Inbox(inbox, moves=moves) if inbox else None,
        old_failures=(
            EarlierFailures(errors=errors, most_attempts=options["retry_most"]) if errors else None
        ),
        fit=Way(fit) if fit else None,
        reading=Reading(
            endpoint=find(options["model"]),
            frames=options["frames"],
            allow_open_ended=options["allow_open_ended"],
            keep=options["keep"],
            defaults=_defaults(options["defaults"]),
            takes=options["takes"],
            naming=Naming.parse(name) if name else None,
            strict=options["strict"],
            check_urls=options["check_urls"],
        ),
    )


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
