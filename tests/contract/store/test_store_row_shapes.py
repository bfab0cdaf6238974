"""Every statement selects the columns that its readers need: the type checker can't tell."""

import dataclasses
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest
from sqlalchemy import ReturnsRows

from tweenbatch.records import (
    AskedBy,
    Attempt,
    ExportRow,
    HighWaterMark,
    JobNeedingAttention,
    OwnRequest,
    Run,
    Selection,
)
from tweenbatch.states import State
from tweenbatch.store import row_shapes
from tweenbatch.store.statements import cache, compared, digests, runs, views, work

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

SHAPES: dict[type, list[Any]] = {
    row_shapes.JobWithAttemptShape: [
        work.jobs_with_attempt(),
        work.jobs_in(State.UNCERTAIN),
        work.waiting("e", ["p"]),
    ],
    row_shapes.AttemptShape: [work.latest_request(1), work.record_attempt(1, {})[0]],
    row_shapes.StagedWithJobShape: [
        compared.failed(limit=1),
        compared.fresh(limit=1),
        compared.paid_elsewhere([State.SUCCEEDED], limit=1),
        compared.rows_of([1]),
    ],
    row_shapes.EarlierRowShape: [compared.removed(limit=1), compared.earlier_rows_of([1])],
    row_shapes.ClipDurationShape: [views.latest_clips(limit=1)],
    row_shapes.NamedClipDurationShape: [digests.clips(NOW, NOW)],
    row_shapes.CachedFrameShape: [cache.cached_frames(["f"])],
    row_shapes.PendingGroupShape: [views.unpaid(None)],
    row_shapes.MoneyShape: [views.money_by_fate(), digests.money_of(1)],
}

RECORDS: dict[type, list[Any]] = {
    Run: [digests.latest(limit=1), digests.one(1), digests.latest_of("j"), digests.unnotified("j")],
    HighWaterMark: [runs.high_water_mark()],
    OwnRequest: [work.requests_since("e", NOW)],
    JobNeedingAttention: [
        views.needing_a_person(),
        views.selected(Selection(states=frozenset({State.FAILED}))),
    ],
    AskedBy: [views.asking_rows(1)],
    Attempt: [views.attempts_of(1)],
}


def columns(statement: ReturnsRows) -> list[str]:
    """Return the names of the columns that a statement gives, in their order."""
    return [column.name for column in statement.exported_columns]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_rows_have_the_columns_of_their_shape(shape: type) -> None:
    needed = set(get_type_hints(shape))
    assert needed
    for statement in SHAPES[shape]:
        assert needed <= set(columns(statement)), statement


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_rows_have_exactly_the_fields_of_their_record(record: Any) -> None:
    fields = {field.name for field in dataclasses.fields(record)}
    for statement in RECORDS[record]:
        assert fields == set(columns(statement)), statement


def test_an_export_page_is_a_position_and_the_columns_of_the_export() -> None:
    statement, _ = views.export_page(1, -1, limit=1)
    assert columns(statement) == ["position", *ExportRow._fields]
