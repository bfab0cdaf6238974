"""Contents that differ only in signatures or line ends share one job."""

from dataclasses import replace
from itertools import permutations

import pytest
from sqlalchemy import update

from support.jobtable import Table, changed, manifest, row
from tweenbatch.models import AS_KNOWN
from tweenbatch.planning import planner
from tweenbatch.records import Frame, Imported
from tweenbatch.records.manifest import Row
from tweenbatch.records.plan import Group, Plan
from tweenbatch.states import State
from tweenbatch.store.schema import jobs

PLACE = "https://bucket.example.com"


def signed(name: str, day: int, *, real: str = "") -> str:
    return f"{PLACE}/{name}.png?{real}ex={day}&is={day}&hm={day}"


def asked(number: int, day: int | None, **changes: object) -> Row:
    """A row with two addresses, signed on some day; None: not signed."""
    start, end = (
        f"{PLACE}/{name}.png" if day is None else signed(name, day)
        for name in (f"s{number}", f"e{number}")
    )
    facts = {"start": Frame(source=start), "end": Frame(source=end), **changes}
    return row(number, **{"start_image": start, "end_image": end, **facts})


def planned(table: Table, *rows: Row) -> Plan:
    return planner.make([manifest(*rows)], table.store, prices=AS_KNOWN)


def sources(table: Table) -> list[tuple[str, str | None]]:
    found = table.store.jobs.get(range(1, 1 + sum(table.store.views.counts().values())))
    return [(job.spec.start.source, job.spec.end.source if job.spec.end else None) for job in found]


@pytest.mark.parametrize("days", [(1, 2, 1, 3), (1, None, 2, None), (None, 1, None, 2)])
@pytest.mark.parametrize("state", State)
def test_however_often_it_is_signed_anew_a_content_keeps_its_one_job(
    table: Table, state: State, days: tuple[int | None, ...]
) -> None:
    first, *others = (asked(2, day) for day in days)
    table.load(first)
    table.put_in(state)
    for each in others:
        made = planned(table, each)
        assert made.count() == 1
        assert made.count(Group.NEW, Group.CHANGED) == 0
        assert made.removed.rows == 0
        assert table.load(each).new == 0
        assert table.store.views.counts()[state] == 1
    assert sum(table.store.views.counts().values()) == 1


def test_every_row_gets_its_own_job_and_the_plan_says_how_many(table: Table) -> None:
    table.load(*(asked(number, 1) for number in range(2, 8)))
    again = [asked(number, 2) for number in range(7, 1, -1)]
    made = planned(table, *again)
    assert (made.renewed, made.count(Group.WAITING), made.repeated) == (6, 6, 0)
    assert table.load(*again) == Imported(manifest_id=1, new=0, known=6, requeued=0, withdrawn=0)
    assert sources(table) == [(signed(f"s{n}", 2), signed(f"e{n}", 2)) for n in range(2, 8)]
    assert planned(table, *again).renewed == 6


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "another"},
        {"take": 2},
        {"start": Frame(source=signed("s2", 2, real="v=3&"))},
        {"start": Frame(source=signed("s3", 2))},
        {"end": Frame(source=signed("e2", 2, real="v=3&"))},
        {"end": None},
        {"start": Frame(source=signed("s2", 2), sha256="f" * 64)},
    ],
)
def test_what_differs_in_more_is_another_content(table: Table, other: dict[str, object]) -> None:
    table.load(asked(2, 1))
    made = planned(table, asked(2, 2, **other))
    assert (made.renewed, made.count(Group.NEW, Group.CHANGED)) == (0, 1)
    assert table.load(asked(2, 2, **other)).new == 1


def test_another_duration_or_endpoint_is_another_content(table: Table) -> None:
    first = asked(2, 1)
    table.load(first)
    for number, kind in enumerate(
        (
            replace(first.kind, parameters={"duration": "10"}),
            replace(first.kind, endpoint="another"),
        ),
        start=1,
    ):
        spec = replace(asked(2, 2).spec, parameters=kind.parameters, endpoint=kind.endpoint)
        other = asked(2, 2)._replace(kind=kind, key=spec.key)
        assert table.load(other, path=f"/jobs/{number}.csv").new == 1


@pytest.mark.parametrize(("before", "now"), list(permutations(["\r\n", "\n", "\r"], 2)))
def test_line_ends_make_no_other_clip_and_are_kept_as_they_were_sent(
    table: Table, before: str, now: str
) -> None:
    table.load(row(2, prompt=f"one{before}two{before}three"), row(3))
    after = row(2, prompt=f"one{now}two{now}three"), row(3)
    assert planned(table, *after).renewed == 1
    assert table.load(*after).new == 0
    (job, _) = table.store.jobs.get([1, 2])
    assert job.spec.prompt == f"one{before}two{before}three"
    assert table.load(row(2, prompt=f"one{now}two{now}{now}three"), row(3)).new == 1


def test_two_rows_of_one_manifest_share_a_clip_whatever_signs_them(table: Table) -> None:
    others = changed(asked(2, 2), number=4), changed(asked(3, None), number=5)
    rows = (asked(2, 1), asked(3, 1), *others)
    assert planned(table, *rows).count() == 2
    assert planned(table, *rows).repeated == 2
    assert planner.make([manifest(*rows)], None, prices=AS_KNOWN).count() == 2
    assert table.load(*rows).new == 2
    assert table.store.views.counts()[State.PENDING] == 2
    assert planned(table, *rows).count(Group.WAITING) == 2
    assert table.load(*rows).new == 0


@pytest.mark.parametrize("order", list(permutations([State.SUCCEEDED, State.FAILED])))
def test_of_several_jobs_with_one_content_the_paid_one_is_meant(
    table: Table, order: tuple[State, ...]
) -> None:
    """An earlier program made a job of every signature."""
    for day, state in enumerate(order, start=1):
        table.load(asked(2, day, prompt=f"of day {day}"))
        table.put_in(state)
        with_prompt(table, day, asked(2, day))
    made = planned(table, asked(2, 3))
    assert made.count(Group.DONE) == 1
    assert table.load(asked(2, 3)).new == 0
    assert planned(table, asked(2, 3)).count(Group.DONE) == 1


def with_prompt(table: Table, job_id: int, row: Row) -> None:
    """Let a job be that of the row."""
    become = update(jobs).where(jobs.c.id == job_id).values(prompt=row.prompt, key=row.key)
    table.store._database.write(lambda connection: connection.execute(become))


def test_a_waiting_job_that_no_row_asks_for_any_more_comes_back_under_another_signature(
    table: Table,
) -> None:
    table.load(asked(2, 1), asked(3, 1))
    assert table.load(asked(3, 2)).withdrawn == 1
    assert table.load(asked(2, 3), asked(3, 2)).requeued == 1
    assert table.store.views.counts()[State.PENDING] == 2


@pytest.mark.parametrize("state", State)
def test_a_job_keeps_its_key_while_something_at_fal_may_be_known_by_it(
    table: Table, state: State
) -> None:
    first = asked(2, 1)
    table.load(first)
    table.put_in(state)
    table.load(asked(2, None))
    (job,) = table.store.jobs.get([1])
    kept = state not in {State.PENDING, State.FAILED, State.CANCELLED}
    assert job.key == (first.key if kept else asked(2, None).key)
    assert job.spec.start.source == (first.spec.start.source if kept else f"{PLACE}/s2.png")


def test_a_retry_sends_the_newest_address(table: Table) -> None:
    table.load(asked(2, 1))
    table.put_in(State.FAILED)
    table.load(asked(2, 2))
    table.store.jobs.requeue([1], now=table.now)
    assert table.claim_one().spec.start.source == signed("s2", 2)


def test_an_edited_row_is_said_to_differ_in_what_was_edited_alone(table: Table) -> None:
    table.load(asked(2, 1))
    (told,) = planned(table, asked(2, 2, prompt="prompt 2, edited")).listed
    assert told.reason == "prompt changed"
    address = signed("s9", 2)
    (told,) = planned(table, asked(2, 2, start=Frame(source=address), start_image=address)).listed
    assert told.reason == f"start frame changed ({PLACE}/s2.png → {PLACE}/s9.png)"
