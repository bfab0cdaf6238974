"""Rows that were put away come back as they were, however many there are."""

from decimal import Decimal

from support.jobtable import changed, row
from tweenbatch.manifest.spool import IN_MEMORY, Spool
from tweenbatch.records import Frame, Row


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
    for each in expected:
        spool.extend([each])
    assert len(spool) == len(expected)
    assert list(spool) == expected
    assert list(spool) == expected


def test_two_readers_do_not_disturb_each_other() -> None:
    spool = Spool()
    for each in rows(3 * IN_MEMORY):
        spool.extend([each])
    assert all(one == other for one, other in zip(spool, spool, strict=True))
    assert [each.number for each, _ in zip(spool, spool, strict=False)][-1] == 3 * IN_MEMORY + 1


def test_rows_that_are_added_after_a_look_come_last() -> None:
    expected = rows(3 * IN_MEMORY)
    spool = Spool()
    spool.extend(expected[:IN_MEMORY])
    spool.extend(expected[IN_MEMORY : 2 * IN_MEMORY])
    assert next(iter(spool)) == expected[0]
    spool.extend(expected[2 * IN_MEMORY :])
    assert list(spool) == expected
