"""Which jobs a person means, on the command line: the same everywhere."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch.cli.options import Parsed
from tweenbatch.errors import UsageError
from tweenbatch.records import JobNeedingAttention, Selection
from tweenbatch.report import status as standing
from tweenbatch.states import State
from tweenbatch.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a job has a number, see `tweenbatch show NAME`; or use --name NAME")
    return int(text)


def selection_options(command: F) -> F:
    """Add the argument JOBS and the options that narrow what is meant."""
    for option in (
        click.option("--name", metavar="PATTERN", help="Clips called so, e.g. 'winter-*'."),
        click.option("--tag", metavar="TAG", help="Jobs of rows with this tag."),
        click.option("--error", metavar="TYPE", help="Jobs with this error, e.g. timeout."),
        click.option(
            "--row", metavar="N", type=int, help="Jobs of this row, as a spreadsheet counts."
        ),
        click.option(
            "--manifest",
            "manifests",
            metavar="FILE",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Jobs that rows of this manifest ask for; may be repeated.",
        ),
        click.argument("jobs", nargs=-1, type=Parsed("job", _number)),
    ):
        command = option(command)
    return command


def taken_from(options: dict[str, Any], states: Collection[State]) -> Selection:
    """Take out of a command's options what ``selection_options`` put there."""
    return Selection(
        states=frozenset(states),
        ids=frozenset(options.pop("jobs")),
        manifests=frozenset(map(_as_in_the_table, options.pop("manifests"))),
        **{part: options.pop(part) for part in ("row", "error", "tag", "name")},
    )


def chosen(store: Store, selection: Selection) -> list[JobNeedingAttention]:
    """Return the jobs that are meant; raise ``UsageError`` where one was named in vain."""
    found = store.views.selected(selection)
    states = " or ".join(sorted(selection.states))
    unknown = sorted(selection.ids - {job.job_id for job in found})
    if unknown:
        numbers = ", ".join(map(str, unknown))
        others = " of what else was asked for" if _has_more(selection) else ""
        raise UsageError(f"not {states}{others}: job {numbers}; {_LISTED}")
    if selection.is_narrowed and not found:
        raise UsageError(f"no job that is {states} is meant by that; {_LISTED}")
    return found


def agreed(found: Sequence[JobNeedingAttention], meaning: Sequence[str], *, yes: bool) -> None:
    """Show which jobs are meant and what that means, and ask, unless somebody said yes already.

    Raises ``UsageError`` where nobody agrees.
    """
    for line in (*standing.attention_lines(found), *(f"  {each}" for each in meaning)):
        click.echo(line, err=True)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on; add --yes to agree. Nothing was changed")
    if not click.confirm("Do that?", err=True):
        raise UsageError("not confirmed; nothing was changed")


def _as_in_the_table(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - without "..", and links as they are


_LISTED = "`tweenbatch status` and `tweenbatch export` show how jobs stand"


def _has_more(selection: Selection) -> bool:
    return Selection(states=selection.states, ids=selection.ids) != selection
