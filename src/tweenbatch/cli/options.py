"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch import paths
from tweenbatch.errors import UsageError
from tweenbatch.paths import DEFAULT_DB, DEFAULT_OUTPUT, rehearsal_db, rehearsal_only, sqlite_path
from tweenbatch.report import text

F = TypeVar("F", bound=Callable[..., Any])


class Parsed(click.ParamType[Any]):
    """An option's text, parsed by a function that raises ``ValueError``."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value or fail as click does."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(f"{value!r} is not understood ({error})", param, ctx)


class LocalPath(click.Path):
    """A path on this machine; an address such as ``s3://bucket`` is refused."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Return the path or fail as click does."""
        try:
            paths.local(os.fspath(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


output_option = click.option(
    "--output",
    metavar="DIR",
    type=LocalPath(path_type=Path, file_okay=False),
    default=DEFAULT_OUTPUT,
    show_default=True,
    envvar="TWEENBATCH_OUTPUT",
    help="The folder for the videos.",
)


def concurrency_option(help_text: str) -> Callable[[F], F]:
    """Return ``--concurrency``: a number, or None for ``auto``."""
    from tweenbatch.settings import number_or_auto

    return click.option(
        "--concurrency",
        metavar="N|auto",
        type=Parsed("n", number_or_auto),
        default="auto",
        show_default=True,
        help=help_text,
    )


def table_options(command: F) -> F:
    """Add ``--db``, ``--rehearse`` and ``--json``."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout."),
        click.option(
            "--rehearse",
            is_flag=True,
            help="Use the rehearsal's own job table and folder, in rehearsal/.",
        ),
        click.option(
            "--db",
            metavar="URL",
            type=Parsed("url", paths.known_table),
            default=DEFAULT_DB,
            envvar="TWEENBATCH_DB",
            show_default=True,
            show_envvar=True,
            help="The job table.",
        ),
    ):
        command = option(command)
    return command


def rehearsal_mark(*, rehearse: bool) -> dict[str, bool]:
    """Return the key that marks the JSON of a rehearsal, whose amounts nobody pays."""
    return {"rehearsal": True} if rehearse else {}


def note_rehearsal(*, rehearse: bool, err: bool = False) -> None:
    """Print, for a rehearsal, that nothing is charged."""
    if rehearse:
        click.echo(f"  {text.REHEARSAL}", err=err)


def table_url(db: str, *, rehearse: bool) -> str:
    """Return the URL of the table to use: with ``rehearse``, the rehearsal's own."""
    if not rehearse:
        return db
    url = rehearsal_db(db)
    if (path := sqlite_path(url)) is not None:
        rehearsal_only(path)
    return url
