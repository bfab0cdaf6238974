"""The argument JOBS and the filters that select jobs, shared by several commands."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch.cli.options import Parsed, note_rehearsal
from tweenbatch.errors import UsageError
from tweenbatch.records import JobNeedingAttention, Selection
from tweenbatch.report import status
from tweenbatch.states import State
from tweenbatch.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(
            "expected a job number, which `tweenbatch show NAME` prints; or use --name NAME"
        )
    return int(text)


def selection_options(command: F) -> F:
    """Add the argument JOBS and the options that filter jobs."""
    for option in (
        click.option(
            "--name", metavar="PATTERN", help="Clips whose name matches, e.g. 'winter-*'."
        ),
        click.option("--tag", metavar="TAG", help="Jobs of rows with this tag."),
        click.option("--error", metavar="TYPE", help="Jobs with this error, e.g. timeout."),
        click.option("--row", metavar="N", type=int, help="Jobs of this row; the header is row 1."),
        click.option(
            "--manifest",
            "manifests",
            metavar="FILE",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Jobs of this manifest's rows; may be repeated.",
        ),
        click.argument("jobs", nargs=-1, type=Parsed("job", _number)),
    ):
        command = option(command)
    return command


def pop_selection(options: dict[str, Any], states: Collection[State]) -> Selection:
    """Remove the options of ``selection_options`` from ``options``; return them as a selection."""
    return Selection(
        states=frozenset(states),
        ids=frozenset(options.pop("jobs")),
        manifests=frozenset(map(_as_in_the_table, options.pop("manifests"))),
        **{part: options.pop(part) for part in ("row", "error", "tag", "name")},
    )


def select(store: Store, selection: Selection) -> list[JobNeedingAttention]:
    """Return the selected jobs; raise ``UsageError`` if a filter or a job number matches none."""
    jobs = store.views.selected(selection)
    states = " or ".join(sorted(selection.states))
    unmatched = sorted(selection.ids - {job.job_id for job in jobs})
    if unmatched:
        plural = "s" if len(unmatched) > 1 else ""
        numbers = ", ".join(map(str, unmatched))
        others = " or not matched by the other filters" if _has_filters(selection) else ""
        raise UsageError(f"job{plural} {numbers}: not {states}{others}; {_WHERE_LISTED}")
    if selection.is_narrowed and not jobs:
        raise UsageError(f"no {states} job matches these filters; {_WHERE_LISTED}")
    return jobs


def confirm(
    jobs: Sequence[JobNeedingAttention], consequences: Sequence[str], *, yes: bool, rehearse: bool
) -> None:
    """Show the selected jobs and the consequences, and ask, unless ``yes``.

    Raises ``UsageError`` unless a person agrees.
    """
    note_rehearsal(rehearse=rehearse, err=True)
    for line in (*status.attention_lines(jobs), *(f"  {each}" for each in consequences)):
        click.echo(line, err=True)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("there is no terminal to ask on; add --yes to agree. Nothing was changed")
    if not click.confirm("Continue?", err=True):
        raise UsageError("not confirmed; nothing was changed")


def _as_in_the_table(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - removes "..", keeps links


_WHERE_LISTED = "`tweenbatch status` and `tweenbatch export` show the state of jobs"


def _has_filters(selection: Selection) -> bool:
    return Selection(states=selection.states, ids=selection.ids) != selection
