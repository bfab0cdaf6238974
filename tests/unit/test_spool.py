"""Rows that were put away come back as they were, however many there are."""

from collections.abc import Sequence
from decimal import Decimal

from support.jobtable import changed, columns_of, row
from tweenbatch.manifest.spool import IN_MEMORY, PART, Spool
from tweenbatch.records import Frame
from tweenbatch.records.manifest import Row

SOME = 700


def added(spool: Spool, rows: Sequence[Row]) -> None:
    """Add rows, a few at a time."""
    for first in range(0, len(rows), SOME):
        spool.extend(columns_of(rows[first : first + SOME]))


def rows(count: int) -> list[Row]:
    """Rows in which every field has something in it, some with an end and some without."""
    full = row(2, end=Frame(source="/frames/end.png", sha256="e" * 64), start_image="ä.png")
    full = changed(
        full, tags=("a", "b"), extra_json='{"shot":"3","note":""}', output="x/y", priority=7
    )
    return [
        changed(full if number % 2 else row(number), number=number, price_usd=Decimal("0.01"))
        for number in range(2, count + 2)
    ]


def test_rows_beyond_what_stays_in_memory_come_back_in_their_order() -> None:
    expected = rows(2 * IN_MEMORY + 3)
    spool = Spool()
    added(spool, expected)
    assert len(spool) == len(expected)
    assert list(spool) == expected
    assert list(spool) == expected


def test_two_readers_do_not_disturb_each_other() -> None:
    spool = Spool()
    added(spool, rows(3 * IN_MEMORY))
    assert all(one == other for one, other in zip(spool, spool, strict=True))
    assert [each.number for each, _ in zip(spool, spool, strict=False)][-1] == 3 * IN_MEMORY + 1


def test_rows_that_are_added_after_a_look_come_last() -> None:
    expected = rows(3 * IN_MEMORY)
    spool = Spool()
    added(spool, expected[:IN_MEMORY])
    added(spool, expected[IN_MEMORY : 2 * IN_MEMORY])
    assert next(iter(spool)) == expected[0]
    added(spool, expected[2 * IN_MEMORY :])
    assert list(spool) == expected


def test_however_many_rows_are_added_at_once_few_come_back_together() -> None:
    expected = rows(2 * IN_MEMORY)
    spool = Spool()
    spool.extend(columns_of(expected))
    assert {len(columns["key"]) for columns in spool.columns()} == {PART}
    assert list(spool) == expected
