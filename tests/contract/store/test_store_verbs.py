"""What a person may ask of the table: pauses, cancelled jobs, further takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from support.jobtable import NOON, Table, manifest, row
from tweenbatch.errors import LeaseLost
from tweenbatch.states import State
from tweenbatch.store import Store

MANIFEST = Path("/jobs/manifest.csv")


def test_a_pause_is_one_until_it_is_lifted(table: Table) -> None:
    store = table.store
    assert store.runs.paused_since() is None
    assert store.runs.pause(now=NOON) == NOON
    assert store.runs.pause(now=table.later(60)) == NOON
    assert store.runs.paused_since() == NOON
    assert store.runs.lift_pause(now=table.now)
    assert not store.runs.lift_pause(now=table.now)
    assert store.runs.paused_since() is None
    assert store.runs.pause(now=table.later(60)) == table.now


def test_what_waits_is_cancelled_whoever_makes_it_ready(table: Table) -> None:
    table.load(row(2), row(3), row(4))
    held, sent = table.claim(limit=2)
    table.begin(sent)
    assert table.store.jobs.cancel([held.id, sent.id, 99], now=table.now) == {held.id}
    with pytest.raises(LeaseLost):
        table.begin(held)
    counts = table.store.views.counts()
    assert (counts[State.CANCELLED], counts[State.SUBMITTING], counts[State.PENDING]) == (1, 1, 1)


def test_what_was_cancelled_stays_so_when_its_manifest_comes_again(table: Table) -> None:
    table.load(row(2), row(3))
    (first, _) = table.claim()
    table.store.jobs.cancel([first.id], now=table.now)
    table.load(row(2), row(3), row(4))
    assert table.store.views.counts()[State.CANCELLED] == 1


def succeeded(table: Table) -> int:
    table.load(row(2))
    return table.put_in(State.SUCCEEDED).id


def test_a_retake_is_asked_for_beside_the_manifest(table: Table) -> None:
    job = succeeded(table)
    (made,) = table.store.jobs.retake([job], now=table.now)
    assert (made.state, made.spec.take, made.output_name) == (State.PENDING, 2, "clip-2-t2")
    (retakes,) = table.store.manifests.retakes_of([MANIFEST])
    assert [each.id for each in table.claim()] == [made.id]
    assert [each.jobs for each in table.store.views.pending([retakes])] == [1]
    table.load(row(3))
    assert table.store.views.counts()[State.CANCELLED] == 0
    told = [(each.manifest, each.row, each.take) for each in table.store.views.export()]
    assert told == [(str(MANIFEST), 3, 1), (f"{MANIFEST} (retakes)", 2, 2)]


def test_rows_that_change_places_never_share_a_take(table: Table) -> None:
    first = succeeded(table)
    table.store.jobs.retake([first], now=table.now)
    table.put_in(State.SUCCEEDED)
    table.load(row(2, prompt="another"))
    second = table.put_in(State.SUCCEEDED).id
    (made,) = table.store.jobs.retake([second], now=table.now)
    assert made.spec.take == 3


def test_what_has_no_clip_or_no_row_is_left_out(table: Table) -> None:
    table.load(row(2), row(3))
    (failed, gone) = (table.put_in(State.FAILED).id, table.put_in(State.SUCCEEDED).id)
    table.load(row(4))
    assert table.store.jobs.retake([failed, gone, 99], now=table.now) == []


def test_a_retake_is_no_import(table: Table, store: Store) -> None:
    store.manifests.put(replace(manifest(row(2)), reading="a" * 64), now=NOON)
    job = table.put_in(State.SUCCEEDED)
    before = store.manifests.last_import()
    assert before is not None
    store.jobs.retake([job.id], now=table.later(60))
    assert store.manifests.last_import() == before
