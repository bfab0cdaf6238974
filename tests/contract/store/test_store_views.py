"""What people and scripts read from the table."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.jobtable import CLIP, NOON, PATHS, PRICE, Table, row
from tweenbatch.records import (
    Billed,
    ExportRow,
    Failure,
    Money,
    Outcome,
    PendingGroup,
    Selection,
)
from tweenbatch.states import Event, State

COLUMNS = (
    "manifest,row,name,state,take,endpoint,prompt,start_image,end_image,duration,request_id,"
    "video_path,video_url,bytes,sha256,seconds,width,height,attempts,cost_usd,billed,error_type,"
    "error_message,finished_at"
)


def test_counts_name_every_state(table: Table) -> None:
    assert table.store.views.counts() == dict.fromkeys(State, 0)
    table.load(row(2), row(3))
    table.put_in(State.FAILED)
    assert table.store.views.counts() == dict.fromkeys(State, 0) | {
        State.PENDING: 1,
        State.FAILED: 1,
    }


SPENT = Money(spent=PRICE, reserved=Decimal(0), uncertain=Decimal(0))
RESERVED = Money(spent=Decimal(0), reserved=PRICE, uncertain=Decimal(0))
UNCERTAIN = Money(spent=Decimal(0), reserved=Decimal(0), uncertain=PRICE)
NOTHING = Money(spent=Decimal(0), reserved=Decimal(0), uncertain=Decimal(0))


@pytest.mark.parametrize(
    ("events", "money"),
    [
        ((), NOTHING),
        (PATHS[State.SUBMITTING], RESERVED),
        ((Event.SUBMIT_STARTED, Event.NOT_ACCEPTED), NOTHING),
        ((Event.SUBMIT_STARTED, Event.GAVE_UP), SPENT),
        (PATHS[State.UNCERTAIN], UNCERTAIN),
        ((*PATHS[State.UNCERTAIN], Event.PROVEN_ABSENT), NOTHING),
        ((*PATHS[State.UNCERTAIN], Event.ACCEPTED), RESERVED),
        ((*PATHS[State.UNCERTAIN], Event.GAVE_UP), SPENT),
        ((*PATHS[State.UNCERTAIN], Event.CANCELLED), SPENT),
        (PATHS[State.SUBMITTED], RESERVED),
        ((*PATHS[State.SUBMITTED], Event.OUTCOME_UNKNOWN), UNCERTAIN),
        ((*PATHS[State.SUBMITTED], Event.CANCELLED), SPENT),
        ((*PATHS[State.SUBMITTED], Event.RETRY), SPENT),
        (PATHS[State.FAILED], SPENT),
        (PATHS[State.READY], SPENT),
        ((*PATHS[State.READY], Event.GAVE_UP, Event.MISSED), SPENT),
        ((*PATHS[State.READY], Event.GAVE_UP), SPENT),
        ((*PATHS[State.READY], Event.CANCELLED), SPENT),
        (PATHS[State.SUCCEEDED], SPENT),
        ((*PATHS[State.SUCCEEDED], Event.MISSED), SPENT),
        ((*PATHS[State.SUCCEEDED], Event.MISSED, Event.FETCHED), SPENT),
        ((*PATHS[State.SUCCEEDED], Event.MISSED, Event.UNAVAILABLE), SPENT),
        ((*PATHS[State.SUCCEEDED], Event.MISSED, Event.CANCELLED), SPENT),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_every_life_path_leaves_its_price_in_the_right_pot(
    table: Table, events: tuple[Event, ...], money: Money
) -> None:
    table.load(row())
    table.walk(*events)
    assert table.store.views.money() == money


def test_a_failure_that_fal_did_not_bill_costs_nothing(table: Table) -> None:
    table.load(row())
    failure = Failure(type="internal_error", message="", http_status=500, billed=Billed.NO)
    outcome = Outcome(event=Event.GAVE_UP, failure=failure)
    table.step(table.put_in(State.SUBMITTED), Event.GAVE_UP, outcome)
    assert table.store.views.money() == NOTHING


def test_failed_and_uncertain_jobs_are_shown_with_their_price(table: Table) -> None:
    table.load(row(2), row(3), row(4))
    failed = table.walk(*PATHS[State.FAILED])
    doubted = table.walk(*PATHS[State.UNCERTAIN])
    first, second = table.store.views.attention()
    assert (first.job_id, first.state, first.name) == (failed.id, State.FAILED, "clip-2")
    assert (first.error_type, first.error_message) == ("broken", "It broke.")
    assert (first.request_id, first.price_usd, first.since) == ("request-1", PRICE, NOON)
    assert (second.job_id, second.state, second.request_id) == (doubted.id, State.UNCERTAIN, None)


def test_the_export_has_exactly_the_promised_columns() -> None:
    assert ",".join(ExportRow._fields) == f"{COLUMNS},extra"


def test_the_export_tells_all_about_a_clip(table: Table) -> None:
    table.load(row())
    table.put_in(State.SUCCEEDED)
    (line,) = table.store.views.export()
    assert tuple(line) == (
        *("/jobs/manifest.csv", 2, "clip 2", State.SUCCEEDED, 1, "kling", "prompt 2"),
        *("2.png", "", "5", "request-1", str(CLIP.path), CLIP.url, 7, "c" * 64, 5.0, 1280, 720),
        *(1, PRICE, Billed.YES, None, None, NOON, {}),
    )


def test_the_export_of_untouched_work_is_empty_where_nothing_is_known(table: Table) -> None:
    table.load(row())
    (line,) = table.store.views.export()
    assert tuple(line)[10:] == (*[None] * 8, 0, Decimal(0), *[None] * 4, {})


def test_the_export_adds_up_what_all_attempts_cost_or_may_have_cost(table: Table) -> None:
    table.load(row())
    table.walk(*PATHS[State.SUBMITTED], Event.RETRY, *PATHS[State.UNCERTAIN], Event.PROVEN_ABSENT)
    table.walk(*PATHS[State.UNCERTAIN])
    (line,) = table.store.views.export()
    assert (line.attempts, line.cost_usd) == (3, 2 * PRICE)
    assert line.billed is Billed.UNKNOWN


def test_the_own_columns_of_all_manifests_are_known_before_the_first_row_is_read(
    table: Table,
) -> None:
    table.load(
        *(row(2, extra={"Note": "n", "Act": "1"}), row(3, extra={"Note": "", "Act": ""})),
        path="/jobs/b.csv",
    )
    table.load(row(4, extra={"shot": "7", "Note": "m"}), path="/jobs/a.csv")
    table.load(row(5), path="/jobs/c.csv")
    extras = [line.extra for line in table.store.views.export()]
    assert extras == [
        {"shot": "7", "Note": "m"},
        {"Note": "n", "Act": "1"},
        {"Note": "", "Act": ""},
        {},
    ]


def test_own_columns_keep_the_order_of_the_manifests_first_seen_first(table: Table) -> None:
    table.load(row(2, extra={"Note": "n", "act": "1"}), path="/jobs/b.csv")
    table.load(row(4, extra={"shot": "7", "Note": "m", "Beat": "2"}), path="/jobs/a.csv")
    table.load(row(5), path="/jobs/c.csv")
    assert table.store.views.extra_columns() == ["shot", "Note", "Beat", "act"]
    for line in table.store.views.export():
        assert list(line.extra) in (["shot", "Note", "Beat"], ["Note", "act"], [])


def test_the_export_follows_the_manifests_and_their_rows(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tweenbatch.store.views.PAGE", 2)
    table.load(*(row(n) for n in (6, 5, 4, 3, 2)), path="/jobs/b.csv")
    table.load(row(9), row(8), path="/jobs/a.csv")
    lines = [(line.manifest, line.row) for line in table.store.views.export()]
    assert lines == [
        *(("/jobs/a.csv", n) for n in (9, 8)),
        *(("/jobs/b.csv", n) for n in (6, 5, 4, 3, 2)),
    ]


def test_an_export_that_takes_its_time_stops_nobody(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tweenbatch.store.views.PAGE", 1)
    table.load(row(2), row(3))
    lines = table.store.views.export()
    next(lines)
    table.put_in(State.SUBMITTED)
    assert next(lines).row == 3


def test_an_upload_is_remembered_for_its_key_and_the_newest_address_counts(table: Table) -> None:
    store, digest = table.store, "a" * 64
    assert store.cache.upload_url(digest, "key", since=NOON) is None
    for address in ("https://v3.fal.media/1", "https://v3.fal.media/2"):
        store.cache.remember_upload(
            sha256=digest, key_fingerprint="key", url=address, bytes=3, now=NOON
        )
    assert store.cache.upload_url(digest, "key", since=NOON) == "https://v3.fal.media/2"
    assert store.cache.upload_url(digest, "another key", since=NOON) is None


def test_an_upload_of_long_ago_is_not_relied_upon(table: Table) -> None:
    table.store.cache.remember_upload(
        sha256="a" * 64, key_fingerprint="key", url="https://v3.fal.media/1", bytes=3, now=NOON
    )
    assert table.store.cache.upload_url("a" * 64, "key", since=table.later(1)) is None


def test_what_waits_is_priced_as_far_as_a_row_asks_for_it(table: Table) -> None:
    assert table.store.views.pending() == []
    one = table.load(row(2), row(3), path="/jobs/one.csv").manifest_id
    table.load(row(4), path="/jobs/two.csv")
    table.walk(*PATHS[State.SUBMITTED])
    alike = PendingGroup(endpoint="kling", parameters={"duration": "5"}, price_usd=PRICE, jobs=2)
    assert table.store.views.pending() == [alike]
    assert table.store.views.pending([one]) == [replace(alike, jobs=1)]


@pytest.mark.parametrize(
    ("part", "numbers"),
    [
        ({"tag": "red"}, {2, 3}),
        ({"tag": 'a "quote" 100%'}, {3}),
        ({"tag": "Grün"}, {4}),
        ({"name": "CLIP-2*"}, {2, 20}),
        ({"name": "clip_2"}, set()),
        ({"row": 4}, {4}),
        ({"manifests": frozenset({Path("/jobs/other.csv")})}, {20}),
        ({"manifests": frozenset({Path("/jobs/manifest.csv")}), "tag": "red"}, {2, 3}),
        ({"error": "broken"}, {2, 3, 4, 20}),
        ({"error": "whole"}, set()),
    ],
)
def test_jobs_are_selected_by_what_is_said_of_them(
    table: Table, part: dict[str, Any], numbers: set[int]
) -> None:
    table.load(
        row(2, tags=("red",)), row(3, tags=("red", 'a "quote" 100%')), row(4, tags=("Grün",))
    )
    table.load(row(20), path="/jobs/other.csv")
    for _ in range(4):
        table.put_in(State.FAILED)
    table.load(row(30, tags=("red",)), path="/jobs/waiting.csv")
    found = table.store.views.selected(Selection(states=frozenset({State.FAILED}), **part))
    assert {job.name for job in found} == {f"clip-{number}" for number in numbers}


@pytest.mark.parametrize("state", State)
def test_the_story_of_a_job_is_reported_in_every_state(table: Table, state: State) -> None:
    table.load(row(2))
    table.load(row(2), path="/jobs/other.csv")
    job = table.put_in(state)
    story = table.store.views.history(job.id)
    assert story == table.store.views.history(job.output_name.upper())
    assert story is not None
    assert story.job.state is state
    assert [row.manifest for row in story.asked_by] == ["/jobs/manifest.csv", "/jobs/other.csv"]
    assert [each.number for each in story.attempts] == list(range(1, job.attempt + 1))
    assert [each.path is not None for each in story.attempts] == [state is State.SUCCEEDED] * len(
        story.attempts
    )
