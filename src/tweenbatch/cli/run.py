"""``tweenbatch run``: manifests become videos."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from tweenbatch import disk, places, plan, quote, restored, session
from tweenbatch.cli import streams
from tweenbatch.cli.manifests import Asked, ManifestCommand, manifest_options
from tweenbatch.cli.options import output_option, table_options
from tweenbatch.cli.progress import Progress
from tweenbatch.clock import SystemClock
from tweenbatch.errors import PriceRisen, TableBusy, TableUnusable, UsageError
from tweenbatch.fal import Fal
from tweenbatch.models import AS_KNOWN, Prices
from tweenbatch.records import Manifest
from tweenbatch.report import results, shapes, summary, text
from tweenbatch.runner import table_failed
from tweenbatch.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_SAME_FAILURES,
    DEFAULT_SETTLE,
    RunSettings,
    duration,
    duration_or_zero,
    next_time,
)
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import RunnerLock, Store

REHEARSAL_KEY = "rehearsal"


class _Parsed(click.ParamType[Any]):
    """An option's text, parsed by a function that raises ``ValueError``."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value or fail as click does."""
        try:
            return self._parse(value) if isinstance(value, str) else value
        except (ValueError, InvalidOperation) as error:
            self.fail(f"{value!r} is not understood ({error})", param, ctx)


def _dollars(value: str) -> Decimal:
    amount = Decimal(value.removeprefix("$"))
    if not amount.is_finite():
        raise ValueError("an amount in dollars is needed")
    return amount


@click.command(cls=ManifestCommand, short_help="Import manifests and run them.")
@click.argument("manifests", nargs=-1, type=click.Path(path_type=Path))
@output_option
@click.option(
    "--concurrency",
    metavar="N",
    type=int,
    default=DEFAULT_CONCURRENCY,
    show_default=True,
    help="Clips at fal at one time.",
)
@click.option(
    "--max-cost",
    metavar="USD",
    type=_Parsed("usd", _dollars),
    help="Stop before the submission that would pass this amount in this run.",
)
@click.option(
    "--max-cost-per-day",
    metavar="USD",
    type=_Parsed("usd", _dollars),
    help="Stop before the submission that would pass this amount today, all runs together.",
)
@click.option("--limit", metavar="N", type=int, help="Submit at most N clips in this run.")
@click.option(
    "--max-duration",
    metavar="TIME",
    type=_Parsed("time", duration),
    help="Stop submitting after e.g. 90s, 45m, 2h30m; what is in the air is collected.",
)
@click.option(
    "--stop-at",
    metavar="TIME",
    type=_Parsed("time", partial(next_time, now=datetime.now(UTC))),
    help="Stop submitting at e.g. 06:30 (local) or an ISO instant.",
)
@click.option(
    "--settle",
    metavar="TIME",
    type=_Parsed("time", duration_or_zero),
    default=DEFAULT_SETTLE,
    show_default="5m",
    help="When nothing else is left, wait so long for uncertain submissions and for paid clips "
    "that can't be had just now.",
)
@click.option(
    "--same-failures",
    metavar="N",
    type=int,
    default=DEFAULT_SAME_FAILURES,
    show_default=True,
    help="Stop submitting when N rows in a row fail alike.",
)
@click.option("--keep-going", is_flag=True, help="Go on however many rows fail alike.")
@click.option("--yes", is_flag=True, help="Don't ask before spending.")
@click.option(
    "--accept-price",
    is_flag=True,
    help="With --yes: pay also where fal asks more by now than is known here.",
)
@click.option(
    "--trust-table",
    is_flag=True,
    help="Go on with a table that was put back from a copy or begun anew: first take over what "
    "fal's list shows as paid for.",
)
@click.option("--logs", is_flag=True, help="Show what the model says while it works.")
@manifest_options
@table_options
def command(**options: Any) -> None:
    """Import MANIFESTS and run until nothing is left to do.

    Without one: resume all unfinished work. Needs a key of fal in FAL_KEY, or --rehearse, which
    runs the same against a server on this machine, for nothing.
    """
    streams.never_fail(streams.STDOUT)
    asked = Asked.taken_from(options)
    settings = _settings(options, again=_again() if asked.paths else "")
    read = asked.read(settings.output, writes=True)

    def say(line: str) -> None:
        click.echo(streams.visible_line(line), err=settings.json_output)

    with RunnerLock(settings.db) as lock:
        batch = _look(read, settings)
        _show(batch, settings, say)
        if batch.to_pay and not (settings.trust_table or settings.rehearse):
            restored.refuse_to_pay(settings.db, lock, now=datetime.now(UTC))
        if batch.total:
            if not settings.rehearse:
                Fal.connect(connect_to=settings.connect_to)
            session.check_output(settings.output, batch.names)
            if batch.to_pay:
                session.check_room(_written_to(settings), _room(batch, settings))
                batch = _at_todays_price(batch, read, settings, say)
            _confirm(batch, settings)
        with closing(Store.open(settings.db, create=bool(read))) as store:
            now = datetime.now(UTC)
            ids = [store.import_manifest(each, now=now).manifest_id for each in read] or None
            result = _run(batch, settings, store, lock, ids)
            try:
                _close(result, settings, store, say)
            except (TableBusy, TableUnusable) as error:
                raise table_failed(error) from error
    sys.exit(result.exit_code)


def _written_to(settings: RunSettings) -> list[Path]:
    table = places.sqlite_path(settings.db)
    return [settings.output, *([table.resolve().parent] if table else [])]


def _room(batch: "_Batch", settings: RunSettings) -> disk.Room | None:
    """Return what the clips of this run will take: those in the air, and those it may pay for."""
    paid = batch.to_pay if settings.limit is None else min(batch.to_pay, settings.limit)
    for most_usd in (settings.max_cost, settings.max_cost_per_day):
        if most_usd is not None and batch.usd_to_pay:
            paid = min(paid, ceil(batch.to_pay * most_usd / batch.usd_to_pay))
    return disk.room(
        settings.output,
        paid + batch.at_fal,
        clip_bytes=disk.PREVIEW_BYTES if settings.rehearse else disk.CLIP_BYTES,
    )


def _again() -> str:
    """Return what was typed behind the command, but for the rehearsal."""
    return shlex.join(text for text in sys.argv[2:] if text != "--rehearse")


def _settings(options: dict[str, Any], *, again: str) -> RunSettings:
    rehearse = options["rehearse"]
    db, output = options.pop("db"), options.pop("output")
    try:
        return RunSettings(
            db=places.rehearsal_db(db) if rehearse else db,
            output=(places.rehearsal_output(output) if rehearse else output).absolute(),
            connect_to=None if rehearse else os.environ.get("TWEENBATCH_CONNECT_TO"),
            json_output=options.pop("as_json"),
            again=again,
            **options,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option} is {first['input']}: {first['msg']}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What lies before the run."""

    title: str
    lines: Sequence[str]
    to_pay: int
    usd_to_pay: Decimal
    endpoints: frozenset[str]
    """Those that something is to be paid for."""
    names: frozenset[str]
    """Those that a person asked for, of clips that are to be paid for."""
    prices: Prices
    at_fal: int
    in_doubt: int
    """Submissions of unknown outcome, to be looked up."""
    resting: str
    """What is neither done nor to be done by a run, in words; empty where all is done."""

    @property
    def total(self) -> int:
        return self.to_pay + self.at_fal + self.in_doubt


def _look(
    manifests: Sequence[Manifest], settings: RunSettings, prices: Prices = AS_KNOWN
) -> _Batch:
    """Hold what was asked for against the table, which need not exist yet."""
    file = places.sqlite_path(settings.db)
    if manifests and file is not None and not file.exists():
        return _planned(manifests, None, settings, prices)
    with closing(Store.open(settings.db, create=False)) as store:
        return (
            _planned(manifests, store, settings, prices)
            if manifests
            else _unfinished(store, prices)
        )


def _at_todays_price(
    batch: _Batch,
    manifests: Sequence[Manifest],
    settings: RunSettings,
    say: Callable[[str], None],
) -> _Batch:
    """Return the batch as fal prices it now, and show it again where that is more.

    Raises ``PriceRisen`` where nobody is there to agree to it, and ``KeyRefused``.
    """
    if settings.rehearse:
        return batch
    asked = asyncio.run(quote.ask(_fal(settings), batch.endpoints))
    if asked.unread is not None:
        say(f"fal's price list can't be read ({asked.unread}); the prices known here are used.")
    if manifests and not asked.risen:
        return batch
    now = _look(manifests, settings, asked.prices)
    if now.usd_to_pay == batch.usd_to_pay:
        return now
    risen = text.risen(asked.risen) or "fal asks more by now than when these rows were imported"
    if settings.yes and not settings.accept_price:
        raise PriceRisen(
            f"{risen}, so that {text.clips(now.to_pay)} would cost {text.usd(now.usd_to_pay)} and "
            f"not {text.usd(batch.usd_to_pay)}; add --accept-price to pay that. "
            "Nothing was submitted"
        )
    say(f"{risen}:")
    _show(now, settings, say)
    return now


def _planned(
    manifests: Sequence[Manifest], store: Store | None, settings: RunSettings, prices: Prices
) -> _Batch:
    # How long fal takes is nothing that a rehearsal could tell.
    concurrency = None if settings.rehearse else settings.concurrency
    made = plan.make(manifests, store, prices=prices, concurrency=concurrency)
    return _Batch(
        title=text.title(made),
        lines=[
            *text.mapped_lines(manifests),
            *text.fitted_lines(manifests),
            *text.plan_lines(made),
            *text.warning_lines(made.warnings),
        ],
        to_pay=made.clips_to_pay,
        usd_to_pay=made.usd_to_pay,
        endpoints=made.endpoints_to_pay,
        names=made.names_to_pay,
        prices=prices,
        at_fal=made.count(plan.Group.AT_FAL),
        in_doubt=made.count(plan.Group.UNCERTAIN),
        resting=_resting(
            failed=made.count(plan.Group.FAILED),
            cancelled=made.count(plan.Group.CANCELLED),
        ),
    )


def _unfinished(store: Store, prices: Prices) -> _Batch:
    counts = store.counts()
    unpaid = store.unpaid()
    usd_to_pay = sum(
        (
            each.jobs * prices.clip_usd(each.endpoint, each.parameters, known=each.price_usd)
            for each in unpaid
        ),
        Decimal(0),
    )
    return _Batch(
        title="resuming all unfinished work",
        lines=text.status_lines(counts, store.money(), []),
        to_pay=sum(each.jobs for each in unpaid),
        usd_to_pay=usd_to_pay,
        endpoints=frozenset(each.endpoint for each in unpaid),
        names=frozenset(),
        prices=prices,
        at_fal=sum(counts[state] for state in IDENTIFIED),
        in_doubt=counts[State.UNCERTAIN] + counts[State.SUBMITTING],
        resting=_resting(
            failed=counts[State.FAILED],
            cancelled=counts[State.CANCELLED],
        ),
    )


def _resting(**counts: int) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _show(batch: _Batch, settings: RunSettings, say: Callable[[str], None]) -> None:
    say(batch.title)
    for line in batch.lines:
        say(line)
    if not batch.total:
        say(f"Nothing to do: {batch.resting or 'everything is already there'}; nothing is spent.")
        return
    if batch.in_doubt:
        say(f"To look up at fal: {batch.in_doubt} of unknown outcome, which are not sent again.")
    where = f"Videos go to {places.short(settings.output)}."
    amount = text.usd(batch.usd_to_pay)
    if not batch.to_pay:
        say(f"Nothing to submit; {text.clips(batch.at_fal)} to collect. {where}")
    elif settings.rehearse:
        made = f"Rehearsal: {text.clips(batch.to_pay)} to make here, for $0"
        say(f"{made}; on fal this would cost {amount}. {where}")
    else:
        say(f"To submit: {text.clips(batch.to_pay)} for {amount}. {where}")


def _confirm(batch: _Batch, settings: RunSettings) -> None:
    """Ask before money is spent; raises ``UsageError`` unless somebody agrees."""
    if settings.yes or settings.rehearse or not batch.to_pay:
        return
    amount = text.usd(batch.usd_to_pay)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{text.clips(batch.to_pay)} for {amount} would be submitted and there is no terminal "
            "to ask on; add --yes to agree. Nothing was submitted"
        )
    answer = click.prompt(f"Type {amount} to spend it", default="", show_default=False, err=True)
    if answer.strip().removeprefix("$") != amount.removeprefix("$"):
        raise UsageError("not confirmed; nothing was imported and nothing was submitted")


def _run(
    batch: _Batch,
    settings: RunSettings,
    store: Store,
    lock: RunnerLock,
    manifests: Collection[int] | None,
) -> session.Result:
    with ExitStack() as stack:
        progress = Progress(
            total=batch.total,
            running=batch.at_fal,
            uncertain=batch.in_doubt,
            free=settings.rehearse,
        )
        connect = None
        if batch.total:
            connect = _rehearsal(settings, stack) if settings.rehearse else _fal(settings)
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
            clock=SystemClock(),
            prices=batch.prices,
            lock=lock,
        )
        return asyncio.run(going)


def _fal(settings: RunSettings) -> Callable[[], Fal]:
    return partial(Fal.connect, connect_to=settings.connect_to)


def _rehearsal(settings: RunSettings, stack: ExitStack) -> Callable[[], Fal]:
    """Start the emulator, for as long as the stack lasts."""
    from tweenbatch.emulator.process import emulator

    state = settings.output.parent / "emulator"
    url = stack.enter_context(emulator(state=state))
    return partial(Fal.connect, connect_to=url, key=REHEARSAL_KEY)


def _close(
    result: session.Result, settings: RunSettings, store: Store, say: Callable[[str], None]
) -> None:
    written = places.short(settings.output / places.RESULTS)
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
        write = partial(results.csv, extra=store.extra_columns())
        results.write_file(store.export(), settings.output / places.RESULTS, write)
        where = str(written)
    except OSError as error:
        where = f"not written to {written} ({error.strerror}); `tweenbatch export` makes it again"
    money, attention = store.money(), store.attention()
    if settings.json_output:
        shape = shapes.status(result.counts, money, attention)
        click.echo(json.dumps({**shape, "exit_code": int(result.exit_code)}))
    for line in summary.lines(result, money, attention, rehearsal=settings.rehearse):
        say(line)
    say(f"  videos   {places.short(settings.output)}")
    say(f"  results  {where}")
    say(f"  next     {summary.next_command(result, settings)}")
