"""``tweenbatch run``: manifests become videos."""

import asyncio
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from tweenbatch import logs
from tweenbatch import paths as places
from tweenbatch.cli import exit_code, streams, tables
from tweenbatch.cli.connecting import connection
from tweenbatch.cli.manifests import Asked, ManifestCommand, manifest_options, manifests_argument
from tweenbatch.cli.options import apart, output_option, table_options, table_url
from tweenbatch.cli.progress import Progress
from tweenbatch.cli.run_options import run_options
from tweenbatch.clock import SystemClock
from tweenbatch.errors import (
    PriceRisen,
    TableBusy,
    TableFailed,
    TableUnusable,
    TweenbatchError,
    UsageError,
)
from tweenbatch.fal import Fal
from tweenbatch.files import atomic
from tweenbatch.files import space as disk
from tweenbatch.nights.digests import Morning
from tweenbatch.nights.inbox import DONE, Inbox
from tweenbatch.nights.jobfile import Job
from tweenbatch.planning import key_check, missing, quote
from tweenbatch.planning.batch import Batch, look
from tweenbatch.recovery import stale_table as restored
from tweenbatch.recovery.high_water import HighWater
from tweenbatch.report import confirmation as before
from tweenbatch.report import results, summary, text
from tweenbatch.report import status as standing
from tweenbatch.report.digest import Digest
from tweenbatch.runner import session
from tweenbatch.runner.price_watch import PriceAgreement
from tweenbatch.runner.runner import table_failed
from tweenbatch.settings import (
    RunSettings,
)
from tweenbatch.states import UNFINISHED
from tweenbatch.store import RunnerLock, Store

log = logging.getLogger(__name__)


@click.command(cls=ManifestCommand, short_help="Import manifests and run them.")
@manifests_argument(required=False)
@output_option
@run_options
@manifest_options
@table_options
@click.pass_obj
def command(job: Job | None, /, **options: Any) -> None:
    """Import MANIFESTS and run until nothing is left to do.

    Without one: resume all unfinished work. Needs a key of fal in FAL_KEY, or --rehearse, which
    runs the same against a server on this machine, for nothing.
    """
    streams.never_fail(streams.STDOUT)
    morning = morning_of(options)
    form, level = logs.Form(options.pop("log_format")), options.pop("log_level")
    try:
        with logs.written(form, file=options.pop("log_file"), level=level):
            ended = _carry_out(job, options, morning)
    except TweenbatchError as error:
        if morning.is_wanted:
            morning.tell(_without_a_run(error, job, rehearsal=morning.rehearsal))
        raise
    sys.exit(ended)


def morning_of(options: dict[str, Any]) -> Morning:
    """Take out of a command's options who is to be told of its run."""
    folder = options.pop("digests")
    rehearsal = options["rehearse"]
    return Morning(
        folder=places.rehearsal_output(folder) if folder and rehearsal else folder,
        targets=options.pop("notify"),
        say=partial(_say, err=True),
        rehearsal=rehearsal,
    )


def _say(line: str, *, err: bool) -> None:
    if err and logs.stderr_is_json():
        log.info("%s", line)
    else:
        click.echo(streams.visible_line(line), err=err)


def _without_a_run(error: TweenbatchError, job: Job | None, *, rehearsal: bool) -> Digest:
    return Digest(
        job=job.night.job if job else "run",
        night=job.night.date if job else datetime.now(UTC).astimezone().date(),
        exit_code=exit_code(error),
        why=str(error),
        began=isinstance(error, TableFailed),
        rehearsal=rehearsal,
    )


def _carry_out(job: Job | None, options: dict[str, Any], morning: Morning) -> session.ExitCode:
    """Do what was asked for, and return how it ended."""
    asked = Asked.taken_from(options, moves=not options["rehearse"]).with_what_arrived()
    if asked.old_failures and not (asked.paths or asked.inbox):
        raise UsageError(
            "--retry-failed is for manifests, and none is named; `tweenbatch retry --error TYPE` "
            "queues all that failed so"
        )
    say = partial(_say, err=options["as_json"])
    settings = _settings_for(asked, job, options, say)
    read, memory, rejected = asked.read_what_can_be(settings.output, settings.db)
    settings = settings.model_copy(update={"rejected": rejected})
    tables.refuse_to_pay_twice(read, settings)

    kept = None if settings.rehearse else places.marks_folder()
    with RunnerLock(settings.db) as lock, HighWater(kept, lock.table) as marks:
        if asked.inbox is not None:
            # An empty inbox is no mistake, and its run is one to look back at.
            Store.open(settings.db).close()
        batch = look(read, settings)
        for line in before.lines(batch, settings):
            say(line)
        if batch.to_pay and not (settings.trust_table or settings.rehearse):
            restored.refuse_to_pay(settings.db, lock, now=datetime.now(UTC), marks=marks)
        quote_agreed = quote.Quote()
        if batch.total:
            batch, quote_agreed = _agreed(batch, settings, say)
        with closing(Store.open(settings.db, create=bool(read))) as store:
            now = datetime.now(UTC)
            imported = {
                each.path: store.import_manifest(each, now=now).manifest_id for each in read
            }
            ids = [*imported.values(), *store.retakes_of(imported)] or None
            if asked.old_failures is not None:
                again = store.to_try_again(imported, asked.old_failures)
                store.requeue([failed.id for failed in again], now=now)
            store.miss([each.job_id for each in batch.missing.clips], now=now)
            store.remember_frames(memory.new())
            tables.keep(store, settings, ids)
            tables.note_start(read, settings)
            result = _run(
                batch,
                settings,
                store,
                lock=lock,
                marks=marks,
                manifests=ids,
                quote_agreed=quote_agreed,
            )
            try:
                if asked.inbox is not None and asked.inbox.moves:
                    _put_away(asked.inbox, imported, store, say)
                _close(result, settings, store, say)
                tables.note_end(store.money(), settings)
                name = job.night.job if job else None
                morning.tell_of_runs(store, name, now=datetime.now(UTC))
            except (TableBusy, TableUnusable) as error:
                raise table_failed(error) from error
    return result.exit_code


def _settings_for(
    asked: Asked, job: Job | None, options: dict[str, Any], say: Callable[[str], None]
) -> RunSettings:
    """Return the settings, with what the table keeps of the last run."""
    given = tables.given_options()
    by_name = bool(asked.paths or asked.inbox)
    if by_name and "db" in given and not options["rehearse"]:
        options["db"] = tables.meant(
            options["db"], new_table=options["new_table"], yes=options["yes"]
        )
    settings = _settings(
        options,
        again=_again() if by_name else "",
        old_failures=asked.old_failures,
        asked=streams.visible_line(", ".join(str(places.short(path)) for path in asked.paths)),
        night=job.night if job else None,
    )
    if by_name and not asked.paths:
        return settings  # an empty inbox: there is no work
    return tables.resumed(settings, asked.paths, given, say)


def _agreed(
    batch: Batch, settings: RunSettings, say: Callable[[str], None]
) -> tuple[Batch, quote.Quote]:
    """Return the batch as it may be carried out: there is a key, room and somebody's consent."""
    asked = quote.Quote()
    if not settings.rehearse:
        Fal.connect(connect_to=settings.connect_to)
    session.check_output(settings.output, batch.names)
    if batch.to_pay:
        session.check_room(_written_to(settings), _room(batch, settings))
        _check_key(batch, settings, say)
        batch, asked = _at_todays_price(batch, settings, say)
    _confirm(batch, settings)
    return batch, asked


def _put_away(
    inbox: Inbox, imported: Mapping[Path, int], store: Store, say: Callable[[str], None]
) -> None:
    """Move the manifests of an inbox that have nothing left to be done to where they stay."""
    for path, manifest_id in imported.items():
        left = store.counts([manifest_id])
        if not inbox.holds(path) or any(left[state] for state in UNFINISHED):
            continue
        try:
            for place in inbox.places(path, DONE):
                # The table first: a file that is found again costs nothing, one that is lost does.
                if not os.path.lexists(place) and store.move_manifest(path, place):
                    atomic.move(path, place)
                    say(f"  {path.name} is done: {places.short(place)}")
                    break
        except OSError as error:
            say(f"  {path.name} is done, and can't be put away ({error.strerror or error})")


def _written_to(settings: RunSettings) -> list[Path]:
    table = places.sqlite_path(settings.db)
    return [settings.output, *([table.resolve().parent] if table else [])]


def _room(batch: Batch, settings: RunSettings) -> disk.Room | None:
    """Return what the clips of this run will take: those in the air, and those it may pay for."""
    paid = batch.to_pay if settings.limit is None else min(batch.to_pay, settings.limit)
    if settings.most_usd is not None and batch.usd_to_pay:
        paid = min(paid, ceil(batch.to_pay * settings.most_usd / batch.usd_to_pay))
    return disk.room(
        settings.output,
        paid + batch.to_collect,
        clip_bytes=disk.PREVIEW_BYTES if settings.rehearse else disk.CLIP_BYTES,
    )


def _again() -> str:
    """Return what was typed behind the command, but for the rehearsal."""
    return shlex.join(text for text in sys.argv[2:] if text != "--rehearse")


def _settings(options: dict[str, Any], **more: Any) -> RunSettings:
    rehearse = options["rehearse"]
    db, output = options.pop("db"), options.pop("output")
    try:
        return RunSettings(
            db=table_url(db, rehearse=rehearse),
            output=(apart(places.rehearsal_output(output)) if rehearse else output).absolute(),
            connect_to=None if rehearse else os.environ.get("TWEENBATCH_CONNECT_TO"),
            json_output=options.pop("as_json"),
            **more,
            **options,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option} is {first['input']}: {first['msg']}") from error


def _check_key(batch: Batch, settings: RunSettings, say: Callable[[str], None]) -> None:
    """See that the key may read what it would pay for; raises ``KeyRefused``."""
    if settings.rehearse:
        return
    now = datetime.now(UTC)
    warning = asyncio.run(key_check.check(_fal(settings), min(batch.endpoints), now=now))
    if warning is not None:
        say(f"warning: {warning}.")


def _at_todays_price(
    batch: Batch, settings: RunSettings, say: Callable[[str], None]
) -> tuple[Batch, quote.Quote]:
    """Return the batch as fal prices it now, and show it again where that is more, or may be.

    Raises ``PriceRisen`` where nobody is there to agree to it, and ``KeyRefused``.
    """
    if settings.rehearse:
        return batch, quote.Quote()
    asked = asyncio.run(quote.ask(_fal(settings), batch.endpoints))
    if asked.unread is not None:
        say(f"fal's price list can't be read ({asked.unread}); the prices known here are used.")
    if batch.manifests and not (asked.risen or asked.doubts):
        return batch, asked
    now = look(batch.manifests, settings, asked.prices)
    if now.usd_to_pay == batch.usd_to_pay and not asked.doubts:
        return now, asked
    risen = before.risen(asked)
    if settings.yes and not settings.accept_price:
        raise PriceRisen(before.too_dear(risen, known=batch, now=now))
    for line in (f"{risen}:", *before.lines(now, settings)):
        say(line)
    return now, asked


def _confirm(batch: Batch, settings: RunSettings) -> None:
    """Ask before money is spent; raises ``UsageError`` unless somebody agrees."""
    if settings.yes or settings.rehearse or not batch.to_pay:
        return
    amount = text.usd(batch.usd_to_pay)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{text.clips(batch.to_pay)} for {amount} would be submitted and there is no terminal "
            "to ask on; add --yes to agree. Nothing was submitted"
        )
    amount = text.usd(before.most_to_spend(batch, settings))
    answer = click.prompt(f"Type {amount} to spend it", default="", show_default=False, err=True)
    if answer.strip().removeprefix("$") != amount.removeprefix("$"):
        raise UsageError("not confirmed; nothing was imported and nothing was submitted")


def _run(
    batch: Batch,
    settings: RunSettings,
    store: Store,
    *,
    lock: RunnerLock,
    marks: HighWater,
    manifests: Collection[int] | None,
    quote_agreed: quote.Quote,
) -> session.Result:
    with ExitStack() as stack:
        progress = Progress(
            total=batch.total,
            running=batch.to_collect,
            uncertain=batch.in_doubt,
            free=settings.rehearse,
        )
        connect = None
        if batch.total:
            connect = connection(settings, stack)
            stack.enter_context(progress)
        going = session.run(
            settings,
            store=store,
            fal=connect,
            watcher=progress,
            manifests=manifests,
            on_stop=lambda: progress.notice(
                "stopping: what is being sent or fetched is finished, the rest goes on at fal and "
                "is collected by "
                f"`{summary.resume_command(settings)}`; press Ctrl-C again to leave at once"
            ),
            agree=lambda left: settings.yes or settings.rehearse or progress.agree(left),
            clock=SystemClock(),
            agreement=PriceAgreement(
                quote=quote_agreed,
                rises=settings.accept_price or settings.rehearse,
                described=before.risen,
            ),
            lock=lock,
            missing=lambda: still_missing(store, batch.missing.job_ids),
            marks=marks,
            endpoints=batch.endpoints,
        )
        return asyncio.run(going)


def _fal(settings: RunSettings) -> Callable[[], Fal]:
    return partial(Fal.connect, connect_to=settings.connect_to)


def still_missing(store: Store, jobs: Collection[int]) -> int:
    """Count those of these jobs whose clips are not where they should be."""
    return missing.look(store.kept_clips(jobs), most=None).count


def _close(
    result: session.Result, settings: RunSettings, store: Store, say: Callable[[str], None]
) -> None:
    written = settings.output / places.RESULTS
    where = str(places.short(written))
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
        if results.may_be_overwritten(written):
            write = partial(results.csv, extra=store.extra_columns())
            results.write_file(store.export(), written, write)
        else:
            where = (
                f"not written: {where} is no file of ours; `tweenbatch export -o FILE` makes one"
            )
    except OSError as error:
        where = f"not written to {where} ({error.strerror}); `tweenbatch export` makes it again"
    money, attention = store.money(), store.attention()
    if settings.json_output:
        shape = standing.shape(result.counts, money, attention)
        click.echo(json.dumps({**shape, "exit_code": int(result.exit_code)}))
    for line in summary.lines(result, money, attention, rehearsal=settings.rehearse):
        say(line)
    say(f"  videos   {places.short(settings.output)}")
    say(f"  results  {where}")
    say(f"  next     {summary.next_command(result, settings, attention)}")
