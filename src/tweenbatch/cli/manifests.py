"""The argument MANIFESTS and the options that control how manifests are read."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from tweenbatch.api.requests import (
    MOST_ATTEMPTS,
    ManifestRequest,
    ReadOptions,
    manifest_request,
)
from tweenbatch.cli.options import LocalPath
from tweenbatch.errors import UsageError
from tweenbatch.frames.fit import Way
from tweenbatch.manifest import MAX_TAKES
from tweenbatch.models import DEFAULT

F = TypeVar("F", bound=Callable[..., Any])


def manifests_argument(*, required: bool) -> Callable[[F], F]:
    """Return the argument MANIFESTS, which may also be one job file."""
    return click.argument(
        "manifests",
        nargs=-1,
        required=required,
        type=click.Path(path_type=Path),
        # A job file is read before the options, because it may set their values.
        is_eager=True,
        callback=_or_job_file,
    )


def _or_job_file(
    ctx: click.Context, _param: click.Parameter, paths: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Return the manifests; a job file names its own and sets the options that were not given."""
    job_files = [path for path in paths if path.suffix.lower() == ".toml"]
    if not job_files:
        return paths
    if len(paths) > 1:
        raise UsageError(
            f"{job_files[0]}: a job file lists its own manifests; pass either the job file or the "
            "manifests, not both"
        )
    from tweenbatch.nights import jobfile

    job = jobfile.read(job_files[0], now=datetime.now(UTC))
    ctx.default_map = {**(ctx.default_map or {}), **job.options}
    ctx.obj = job
    return job.manifests


def manifest_options(command: F) -> F:
    """Add the options that control how manifests are read and which rows are accepted."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--inbox",
        metavar="DIR",
        type=LocalPath(path_type=Path, file_okay=False),
        help="A folder for incoming manifests: each is read once it is complete, then moved to its "
        "subfolder done/ or, with a list of its problems, to rejected/.",
    ),
    click.option(
        "--model",
        metavar="ENDPOINT",
        default=DEFAULT.id,
        show_default=DEFAULT.title,
        help="The model for rows without a value in the column 'model': a fal endpoint or a short "
        "name; `tweenbatch models` lists them.",
    ),
    click.option(
        "--frames",
        metavar="DIR",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        envvar="TWEENBATCH_FRAMES",
        show_envvar=True,
        help="Allow frames in this folder, wherever it is; may be repeated. Frames are uploaded "
        "to public addresses.",
    ),
    click.option("--allow-open-ended", is_flag=True, help="Accept rows without an end frame."),
    click.option(
        "--set",
        "defaults",
        metavar="COLUMN=VALUE",
        multiple=True,
        help="The value of a column in rows where it is empty or missing; may be repeated.",
    ),
    click.option(
        "--keep",
        metavar="COLUMN",
        multiple=True,
        help="Keep this column as your own although its name resembles a known column; may be "
        "repeated.",
    ),
    click.option(
        "--name",
        metavar="TEMPLATE",
        help="File names of new clips in the output folder, e.g. "
        "'{sequence}/{row:04}-{name}-t{take}'; use column names, and row, take, start and end.",
    ),
    click.option(
        "--takes",
        metavar="N",
        type=click.IntRange(1, MAX_TAKES),
        default=1,
        help="How many clips to make of each row without a value in the column 'takes'.",
    ),
    click.option(
        "--retry-failed",
        metavar="TYPE",
        multiple=True,
        help="Retry clips of these manifests that failed with this error in an earlier run, e.g. "
        "generation_timeout; each retry is paid for. May be repeated.",
    ),
    click.option(
        "--retry-most",
        metavar="N",
        type=click.IntRange(1),
        default=MOST_ATTEMPTS,
        show_default=True,
        help="With --retry-failed: skip clips already submitted N times.",
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="Treat warnings as errors, such as a frame that its EXIF data rotates.",
    ),
    click.option(
        "--check-urls",
        is_flag=True,
        help="Check that the https address of every frame serves an image.",
    ),
    click.option(
        "--fit",
        metavar="[pad|crop]",
        type=click.Choice([str(way) for way in Way]),
        help="Use adjusted copies of frames that break a limit or cause a warning. End frames are "
        "padded (the default) or cropped to the proportions of their start frames.",
    ),
)


def requested(options: Mapping[str, Any], *, moves: bool) -> ManifestRequest:
    """Return the request for manifests, from the options of ``manifest_options``.

    With ``moves``, manifests leave the inbox once they are done or rejected.
    """
    named = {**options, "set": _defaults(options["defaults"])}
    return manifest_request(options["manifests"], cast("ReadOptions", named), moves=moves)


class ManifestCommand(click.Command):
    """A command that accepts ``--fit`` without a value, whatever follows it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replace a bare ``--fit`` by ``--fit=pad``."""
        ways = [str(way) for way in Way]
        options_end = args.index("--") if "--" in args else len(args)
        options = [
            f"--fit={Way.PAD}" if arg == "--fit" and following not in ways else arg
            for arg, following in zip(args[:options_end], [*args[1:], ""], strict=False)
        ]
        return super().parse_args(ctx, [*options, *args[options_end:]])


def _defaults(texts: Iterable[str]) -> dict[str, str]:
    defaults: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"--set {text!r}: expected COLUMN=VALUE, e.g. --set duration=10")
        if name in defaults:
            raise UsageError(f"--set {name} is given twice; remove one")
        defaults[name] = value.strip()
    return defaults
