"""``tweenbatch schedule``: print or write the units that start a job file every night."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from pathlib import Path

import click

from tweenbatch import paths
from tweenbatch.cli.options import LocalPath, Parsed
from tweenbatch.errors import UsageError
from tweenbatch.files import atomic
from tweenbatch.nights import jobfile
from tweenbatch.nights import schedule as scheduling
from tweenbatch.nights.schedule import Schedule, Scheduler
from tweenbatch.printable import printable_line


def _clock_time(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of every day
    except ValueError:
        raise ValueError("expected a time of day such as 04:15") from None


@click.command(short_help="Print or write the units for a job file.")
@click.argument("jobfile_", metavar="JOBFILE", type=click.Path(path_type=Path))
@click.option("--systemd", is_flag=True, help="A service and a timer.")
@click.option("--cron", is_flag=True, help="Lines for a crontab.")
@click.option("--kubernetes", is_flag=True, help="A CronJob.")
@click.option("--launchd", is_flag=True, help="An agent of macOS.")
@click.option(
    "--at",
    metavar="HH:MM",
    type=Parsed("time", _clock_time),
    default="04:15",
    show_default=True,
    help="The time to start, in the job file's window.timezone, or else this machine's.",
)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("~/.config/tweenbatch/env"),
    show_default=True,
    help="The file with the line FAL_KEY=…; make it readable only by you.",
)
@click.option("--image", metavar="NAME", default="tweenbatch:latest", show_default=True)
@click.option(
    "--write",
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False),
    help="Write the files to DIR instead of printing them, and print the install commands.",
)
@click.option("--force", is_flag=True, help="Replace existing files that differ.")
def command(
    *,
    jobfile_: Path,
    at: time,
    env_file: Path,
    image: str,
    write: Path | None,
    force: bool,
    **kinds: bool,
) -> None:
    """Print the units that start JOBFILE every night from this folder, or write them with --write.

    Installs nothing.
    """
    schedulers = [Scheduler(name) for name, given in kinds.items() if given]
    if len(schedulers) != 1:
        raise UsageError("choose one of --systemd, --cron, --kubernetes, --launchd")
    job = _read(jobfile_)
    schedule = Schedule(
        jobfile=_as_it_lies(jobfile_),
        folder=Path.cwd(),
        program=_program(),
        env_file=_as_it_lies(env_file.expanduser()),
        at=at,
        zone=job.zone,
        image=image,
    )
    try:
        made = scheduling.units(schedulers[0], schedule)
    except ValueError as error:
        raise UsageError(str(error)) from error
    for line in _warnings(job, schedule, made.warning):
        click.echo(printable_line(f"warning: {line}"), err=True)
    if write is None:
        for name, text in made.files.items():
            # One file alone is printed as it is, to be piped.
            click.echo(f"# {name}\n{text}" if len(made.files) > 1 else text, nl=False)
    else:
        _write(write, made.files, force=force)
        click.echo("to install:", err=True)
        for line in (*_key(schedule.env_file), f"cd {_quoted(write)}", *made.install):
            click.echo(printable_line(f"  {line}"), err=True)


def _warnings(job: jobfile.LoadedJobFile, schedule: Schedule, warning: str | None) -> Iterator[str]:
    """Yield what would differ at night from the job file or from this shell."""
    if not job.options.get("yes"):
        yield (
            f"{job.path} has no `yes = true`; without a terminal to ask on, the run will refuse to "
            "spend money"
        )
    here = sorted(name for name in os.environ if name.startswith("TWEENBATCH_"))
    if here:
        yield (
            f"{', '.join(here)}: set in this shell, but not at night; the run could use another "
            f"table or folder and pay again. Set it in {schedule.env_file} or in the job file"
        )
    if warning is not None:
        yield warning


def _key(env_file: Path) -> Iterator[str]:
    """Yield the commands that create or protect the file with the key, if needed."""
    if not env_file.exists():
        yield f"mkdir -p {_quoted(env_file.parent)}"
        yield f"(umask 077; echo FAL_KEY=your-key > {_quoted(env_file)})"
    elif env_file.stat().st_mode & 0o077:
        yield f"chmod 600 {_quoted(env_file)}  # others can read the key"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path.absolute()))


def _as_it_lies(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - removes "..", keeps links


def _read(path: Path) -> jobfile.LoadedJobFile:
    if path.suffix.lower() != jobfile.SUFFIX:
        raise UsageError(f"{path} isn't a job file; expected a name that ends in {jobfile.SUFFIX}")
    return jobfile.read(path, now=datetime.now(UTC))


def _program() -> tuple[str, ...]:
    """Return the command that starts this program without a PATH."""
    script = Path(sys.executable).with_name("tweenbatch")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "tweenbatch")


def _write(folder: Path, files: Mapping[str, str], *, force: bool) -> None:
    try:
        different = [name for name, text in files.items() if _differs(folder / name, text)]
        if different and not force:
            raise UsageError(
                f"{folder}: {', '.join(different)} already exists with other content; --force "
                "replaces it. Nothing was written"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            atomic.write(folder / name, text.encode())
            click.echo(f"wrote {paths.short(folder / name)}")
    except atomic.NotRegular as error:
        raise UsageError(f"{error.filename} can't be written ({error.strerror})") from error
    except OSError as error:
        raise UsageError(f"can't write to {folder} ({error.strerror or error})") from error


def _differs(path: Path, text: str) -> bool:
    try:
        with atomic.opened(path) as file:
            return file.read() != text.encode()
    except FileNotFoundError:
        return False
