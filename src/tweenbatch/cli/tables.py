"""Which table a run goes on with, and what it keeps of the run before it."""

import json
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from tweenbatch import paths
from tweenbatch.errors import UsageError
from tweenbatch.planning import other_tables
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.planning.table_memory import Note, TableMemory
from tweenbatch.records import Money, canonical_json
from tweenbatch.records.manifest import Manifest
from tweenbatch.report import other_tables as messages
from tweenbatch.settings import RunSettings
from tweenbatch.store import Store
from tweenbatch.store.elsewhere import without_password

Say = Callable[[str], None]

LIMITS: Mapping[str, Callable[[str], Any]] = {
    "max_cost": Decimal,
    "max_cost_per_day": Decimal,
    "max_cost_per_month": Decimal,
    "concurrency": int,
    "max_in_flight": int,
}
"""What a run without manifests keeps of the run that it resumes, beside the output folder."""


def given_options() -> frozenset[str]:
    """Return the options that somebody gave: typed, in a job file, or in the environment."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is not default
    )


# Another table


def meant(db: str, *, new_table: bool, yes: bool) -> str:
    """Return the table to use: this one, or the one whose name somebody says was mistyped.

    Raises ``UsageError`` where a name looks mistyped and nobody says so on a terminal.
    """
    found = None if new_table else other_tables.slip_of(db)
    if found is None:
        return db
    text = messages.slip(db, found)
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        if click.confirm(f"{text[0].upper()}{text[1:]}. Use that one?", err=True):
            return found
        raise UsageError(f"{text}. Nothing was submitted. --new-table begins a new one")
    raise UsageError(
        f"{text}. Nothing was submitted. --db {shlex.quote(found)} goes on with that one; "
        "--new-table begins a new one, which pays for all rows"
    )


def slip(db: str) -> str | None:
    """Say that a table which was named is not there, where another of all but its name is."""
    found = other_tables.slip_of(db) if "db" in given_options() else None
    return None if found is None else messages.slip(db, found)


def others(manifests: Sequence[Manifest], db: str, output: Path) -> list[OtherTable]:
    """Return the tables that have paid for rows which a new table would pay for again."""
    if not manifests or not other_tables.is_new(db):
        return []
    return other_tables.find(manifests, db, output=output, memory=_memory())


def refuse_to_pay_twice(manifests: Sequence[Manifest], settings: RunSettings) -> None:
    """Raise ``UsageError`` where a new table would pay for what another one has paid for."""
    if settings.rehearse or settings.new_table:
        return
    found = others(manifests, settings.db, settings.output)
    if settings.trust_table:
        # What was paid for is looked up at fal, as nothing is left here to go by.
        found = [each for each in found if not each.gone]
    if found:
        raise UsageError(messages.refusal(found, settings.db))


def note_start(manifests: Sequence[Manifest], settings: RunSettings) -> None:
    """Note that a run of these manifests, or of unfinished work, may pay from now on."""
    if settings.rehearse:
        return
    table, now = without_password(settings.db), datetime.now(UTC).isoformat(timespec="seconds")
    memory = _memory()
    memory.add(
        [
            Note(manifest=str(each.path), sha256=each.sha256, table=table, at=now)
            for each in manifests
        ]
    )
    memory.note_paid(table, None)


def note_end(money: Money, settings: RunSettings) -> None:
    """Note what the table has paid or reserved by now."""
    if not settings.rehearse:
        paid = money.spent + money.reserved + money.uncertain
        _memory().note_paid(without_password(settings.db), f"{paid.normalize():f}")


def _memory() -> TableMemory:
    return TableMemory(paths.state_folder())


# The run before


def resumed(
    settings: RunSettings, manifests: Collection[Path], given: Collection[str], say: Say
) -> RunSettings:
    """Return the settings with what the table keeps of the last run; an option given goes first.

    The output folder is kept for the manifests named, or without any for all unfinished work;
    limits only for the latter.
    """
    kept = list(_kept(settings.db, manifests))
    if not kept:
        return settings
    update: dict[str, Any] = {}
    folders = list(dict.fromkeys(each["output"] for each in kept if each["output"]))
    if folders:
        update |= _output(settings, folders, given, say)
    if not manifests:
        update |= _limits(kept, settings, given, say)
    return settings.model_copy(update=update)


def keep(store: Store, settings: RunSettings, manifest_ids: Collection[int] | None) -> None:
    """Let the table remember what a run goes by."""
    facts = {name: getattr(settings, name) for name in LIMITS}
    written = {name: None if value is None else str(value) for name, value in facts.items()}
    written["output"] = _seen_from_table(settings.db, settings.output)
    store.keep_run_settings(manifest_ids, canonical_json(written))


def _kept(db: str, manifests: Collection[Path]) -> Iterator[dict[str, Any]]:
    store = Store.find(db)
    if store is None:
        return
    try:
        texts = store.run_settings(manifests or None)
    finally:
        store.close()
    for text in texts:
        try:
            read = json.loads(text)
            limits = {
                name: None if read[name] is None else parse(read[name])
                for name, parse in LIMITS.items()
            }
            output = _folder(db) / read["output"]
        except (ValueError, TypeError, KeyError, ArithmeticError):
            continue  # written by another release
        inside = not Path(read["output"]).is_absolute()
        yield {**limits, "output": output if inside or output.is_dir() else None}


def _output(
    settings: RunSettings, folders: Sequence[Path], given: Collection[str], say: Say
) -> dict[str, Any]:
    kept = folders[0]
    if settings.output == kept:
        return {}
    shown = paths.short(kept)
    if "output" in given:
        say(f"Clips of the last run are in {shown}; those of this run go where --output says.")
        return {}
    more = f" (others of this work are in {paths.short(folders[1])})" if len(folders) > 1 else ""
    say(f"Clips go to {shown}, as in the last run{more}; --output chooses another folder.")
    return {"output": kept}


def _limits(
    kept: Sequence[Mapping[str, Any]], settings: RunSettings, given: Collection[str], say: Say
) -> dict[str, Any]:
    update = {}
    for name in LIMITS:
        values = [each[name] for each in kept if each[name] is not None]
        if values and name not in given and min(values) != getattr(settings, name):
            update[name] = min(values)
    if update:
        options = (f"--{name.replace('_', '-')} {value}" for name, value in update.items())
        say(f"As in the last run: {' '.join(options)}; name an option to change it.")
    return update


def _folder(db: str) -> Path:
    path = paths.sqlite_path(db)
    return Path("/") if path is None else path.resolve().parent


def _seen_from_table(db: str, output: Path) -> str:
    """Return a folder below that of the table as seen from there: the two may be moved together."""
    output, folder = output.resolve(), _folder(db)
    inside = paths.sqlite_path(db) is not None and output.is_relative_to(folder)
    return str(output.relative_to(folder) if inside else output)
