"""``tweenbatch run``: import manifests and turn their rows into videos."""

import json
import logging
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import ValidationError

from tweenbatch import logs, paths
from tweenbatch.api.execution import Finished, execute
from tweenbatch.api.preparation import Checked, Prepared, check, prepare
from tweenbatch.api.requests import RunRequest
from tweenbatch.cli import streams, tables
from tweenbatch.cli.main import exit_code
from tweenbatch.cli.manifests import (
    ManifestCommand,
    manifest_options,
    manifests_argument,
    requested,
)
from tweenbatch.cli.options import output_option, table_options, table_url
from tweenbatch.cli.progress import FrameProgress, Progress
from tweenbatch.cli.run_options import run_options
from tweenbatch.errors import TableFailed, TweenbatchError, UsageError
from tweenbatch.exit_codes import ExitCode
from tweenbatch.nights.digests import DigestDelivery
from tweenbatch.nights.jobfile import LoadedJobFile
from tweenbatch.printable import printable_lines
from tweenbatch.report import confirmation, status, summary, text
from tweenbatch.report.digest import Digest
from tweenbatch.settings import RunSettings, expectation

log = logging.getLogger(__name__)


@click.command(cls=ManifestCommand, short_help="Import manifests and run them.")
@manifests_argument(required=False)
@output_option
@run_options
@manifest_options
@table_options
@click.pass_obj
def command(job: LoadedJobFile | None, /, **options: Any) -> None:
    """Import MANIFESTS and run until nothing is left to do.

    Without MANIFESTS: resume all unfinished work. Needs a fal key in FAL_KEY, or --rehearse, which
    runs the same work on this machine's emulator, free.
    """
    streams.never_fail(streams.STDOUT)
    digests = digests_of(options)
    form = logs.Form(options["log_format"])
    try:
        with logs.written(form, file=options["log_file"], level=options["log_level"]):
            ended = _carry_out(job, options, digests)
    except TweenbatchError as error:
        if digests.is_wanted:
            digests.send(_digest_of_error(error, job, rehearsal=digests.rehearsal))
        raise
    sys.exit(ended)


def digests_of(options: Mapping[str, Any]) -> DigestDelivery:
    """Return where the digest of a run goes, as its options say."""
    folder, rehearsal = options["digests"], options["rehearse"]
    return DigestDelivery(
        folder=paths.rehearsal_output(folder) if folder and rehearsal else folder,
        targets=options["notify"],
        say=_on_stderr,
        rehearsal=rehearsal,
    )


def _on_stderr(line: str) -> None:
    if logs.stderr_is_json():
        log.info("%s", line)
    else:
        click.echo(printable_lines(line), err=True)


def _on_stdout(line: str) -> None:
    click.echo(printable_lines(line))


def _digest_of_error(
    error: TweenbatchError, job: LoadedJobFile | None, *, rehearsal: bool
) -> Digest:
    return Digest(
        job=job.night.job if job else "run",
        night=job.night.date if job else datetime.now(UTC).astimezone().date(),
        exit_code=exit_code(error),
        why=str(error),
        began=isinstance(error, TableFailed),
        rehearsal=rehearsal,
    )


def _carry_out(
    job: LoadedJobFile | None, options: dict[str, Any], digests: DigestDelivery
) -> ExitCode:
    """Prepare the run, ask a person to agree, run it and report the result."""
    console = _Console(as_json=options["as_json"])
    request = _request(job, options)
    with (
        FrameProgress() as looking,
        prepare(request, say=console.say, warn=_on_stderr, frames_watcher=looking) as prepared,
    ):
        looking.close()
        agreed = console.agree(prepared)
        settings, batch = prepared.settings, agreed.batch
        progress = Progress(
            total=batch.total,
            running=batch.to_collect,
            uncertain=batch.in_doubt,
            free=settings.rehearse,
        )
        with progress if batch.total else nullcontext():
            finished = execute(
                prepared,
                agreed,
                watcher=progress,
                say=console.say,
                digests=digests,
                on_stop=lambda: progress.notice(
                    "stopping: submissions and downloads in progress are finished; fal continues "
                    f"the other clips, and `{summary.resume_command(settings)}` collects them. "
                    "Press Ctrl-C again to stop now"
                ),
                agree_to_rest=lambda left: (
                    settings.yes or settings.rehearse or progress.agree(left)
                ),
            )
        console.report(finished, settings)
    return finished.result.exit_code


class _Console:
    """Shows a run to a person and asks for agreement."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.say = _on_stderr if as_json else _on_stdout

    def agree(self, prepared: Prepared) -> Checked:
        """Show the work and its cost; ask before money is spent.

        Raises ``UsageError`` unless a person agrees.
        """
        settings = prepared.settings
        for line in confirmation.lines(prepared.batch, settings):
            self.say(line)
        checked = check(prepared)
        for line in checked.notes:
            self.say(line)
        if not (settings.yes or settings.rehearse) and checked.batch.to_pay:
            _ask(checked, settings)
        return checked

    def report(self, finished: Finished, settings: RunSettings) -> None:
        """Show the run's results and the next command."""
        result, money, attention = finished.result, finished.money, finished.attention
        if self._as_json:
            shape = status.shape(result.counts, money, attention)
            click.echo(json.dumps({**shape, "exit_code": int(result.exit_code)}))
        for line in summary.lines(result, money, attention, rehearsal=settings.rehearse):
            self.say(line)
        self.say(f"  videos   {paths.short(settings.output)}")
        self.say(f"  results  {finished.not_written or paths.short(finished.results_file)}")
        self.say(f"  next     {summary.next_command(result, settings, attention)}")


def _ask(checked: Checked, settings: RunSettings) -> None:
    batch = checked.batch
    amount = text.usd(batch.usd_to_pay)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{text.clips(batch.to_pay)} for {amount} would be submitted, but there is no terminal "
            "to ask on; add --yes to agree. Nothing was submitted"
        )
    amount = text.usd(confirmation.most_to_spend(batch, settings))
    answer = click.prompt(
        f"To confirm, type the amount ({amount})", default="", show_default=False, err=True
    )
    if answer.strip().removeprefix("$") != amount.removeprefix("$"):
        raise UsageError("not confirmed; nothing was imported or submitted")


def _request(job: LoadedJobFile | None, options: dict[str, Any]) -> RunRequest:
    """Return the request for a run, from the command's options."""
    rehearse = options["rehearse"]
    manifests = requested(options, moves=not rehearse)
    given = tables.given_options()
    db = options["db"]
    if not (manifests.is_empty or rehearse) and "db" in given:
        db = tables.confirmed_table(db, new_table=options["new_table"], yes=options["yes"])
    values = {name: options[name] for name in RunSettings.model_fields if name in options}
    output = options["output"]
    if rehearse:
        output = paths.rehearsal_only(paths.rehearsal_output(output))
    values |= {
        "db": table_url(db, rehearse=rehearse),
        "output": output.absolute(),
        "connect_to": None if rehearse else os.environ.get("TWEENBATCH_CONNECT_TO"),
        "again": "" if manifests.is_empty else _again(),
        "night": job.night if job else None,
        "old_failures": manifests.old_failures,
    }
    try:
        settings = RunSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option} {first['input']}: {expectation(first)}") from error
    return RunRequest(manifests=manifests, settings=settings, given=given)


def _again() -> str:
    """Return the arguments of the command as typed, without ``--rehearse``."""
    return shlex.join(text for text in sys.argv[2:] if text != "--rehearse")
