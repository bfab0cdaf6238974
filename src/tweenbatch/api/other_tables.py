"""Finds other tables that paid for the same rows, so that no new table pays for them again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tweenbatch import paths
from tweenbatch.errors import UsageError
from tweenbatch.planning import other_tables
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.planning.table_memory import TableMemory, UsedTable
from tweenbatch.records import Money
from tweenbatch.records.manifest import Manifest
from tweenbatch.report import other_tables as messages
from tweenbatch.settings import RunSettings
from tweenbatch.store import Store
from tweenbatch.store.other_tables import without_password


def others(
    manifests: Sequence[Manifest], db: str, store: Store | None, output: Path
) -> list[OtherTable]:
    """Return the other tables that paid for these rows, if this table is new."""
    if not manifests or not other_tables.is_new(db, store):
        return []
    return other_tables.find(manifests, db, output=output, memory=_memory())


def refuse_to_pay_twice(
    manifests: Sequence[Manifest], settings: RunSettings, store: Store | None
) -> None:
    """Raise ``UsageError`` if a new table would pay for rows that another table paid for."""
    if settings.rehearse or settings.new_table:
        return
    paid = others(manifests, settings.db, store, settings.output)
    if settings.trust_table:
        # The run looks up at fal what a deleted table had paid for.
        paid = [table for table in paid if not table.gone]
    if paid:
        raise UsageError(messages.refusal(paid, settings.db))


def note_start(manifests: Sequence[Manifest], settings: RunSettings) -> None:
    """Record that this table may pay for these manifests from now on."""
    if settings.rehearse:
        return
    table, now = without_password(settings.db), datetime.now(UTC).isoformat(timespec="seconds")
    memory = _memory()
    memory.add(
        [
            UsedTable(manifest=str(each.path), sha256=each.sha256, table=table, at=now)
            for each in manifests
        ]
    )
    memory.note_paid(table, None)


def note_end(money: Money, settings: RunSettings) -> None:
    """Record how much the table has paid or reserved."""
    if not settings.rehearse:
        paid = money.spent + money.reserved + money.uncertain
        _memory().note_paid(without_password(settings.db), f"{paid.normalize():f}")


def _memory() -> TableMemory:
    return TableMemory(paths.state_folder())
