"""A manifest becomes jobs: content decides, nothing else."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.jobtable import NOON, PATHS, PRICE, Table, changed, manifest, row
from tweenbatch.records import Frame
from tweenbatch.records.manifest import Row
from tweenbatch.states import Event, State
from tweenbatch.store import Store
from tweenbatch.store.staging import CHUNK

THREE = (row(2), row(3), row(4))


def test_each_row_becomes_one_waiting_job(table: Table) -> None:
    imported = table.load(*THREE)
    assert (imported.new, imported.known) == (3, 0)
    assert table.store.views.counts()[State.PENDING] == 3


@pytest.mark.parametrize(
    "again",
    [
        THREE,
        THREE[::-1],
        tuple(changed(row, name="another name") for row in THREE),
        tuple(changed(row, number=row.number + 7) for row in THREE),
        tuple(changed(row, extra_json='{"note": "new column"}', tags=("a",)) for row in THREE),
        tuple(changed(row, priority=9) for row in THREE),
    ],
    ids=["unchanged", "reordered", "renamed", "moved down", "column added", "priority"],
)
def test_the_same_content_is_never_a_new_job(table: Table, again: tuple[Row, ...]) -> None:
    table.load(*THREE)
    imported = table.load(*again)
    assert (imported.new, imported.known, imported.withdrawn) == (0, 3, 0)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(2, 9), min_size=1, max_size=12), st.randoms())
def test_any_mix_of_rows_makes_one_job_for_each_content(
    tmp_path_factory: pytest.TempPathFactory, contents: list[int], random: object
) -> None:
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('mix') / 'tweenbatch.db'}")
    rows = [changed(row(content), number=place) for place, content in enumerate(contents, 2)]
    first = store.manifests.put(manifest(*rows), now=NOON)
    random.shuffle(rows)  # type: ignore[attr-defined]
    second = store.manifests.put(manifest(*rows), now=NOON)
    store.close()
    assert (first.new, first.known) == (len(set(contents)), 0)
    assert (second.new, second.known) == (0, len(set(contents)))
    assert second.withdrawn == 0


def test_an_edited_row_is_a_new_job_and_the_old_one_is_withdrawn(table: Table) -> None:
    table.load(*THREE)
    imported = table.load(row(2, prompt="edited"), *THREE[1:])
    assert (imported.new, imported.known, imported.withdrawn) == (1, 2, 1)
    known = table.store.manifests.lookup([THREE[0].spec.key])[THREE[0].spec.key]
    assert (known.state, known.error_type) == (State.CANCELLED, "withdrawn")


def test_a_withdrawn_job_waits_again_when_its_row_comes_back(table: Table) -> None:
    table.load(*THREE)
    table.load(*THREE[1:])
    imported = table.load(*THREE)
    assert (imported.new, imported.known, imported.requeued) == (0, 3, 1)
    assert table.store.views.counts()[State.PENDING] == 3


def test_a_job_that_a_person_cancelled_stays_so_when_imported_again(table: Table) -> None:
    table.load(row())
    table.walk(Event.CANCELLED)
    assert table.load(row()).requeued == 0
    assert table.store.views.counts()[State.CANCELLED] == 1


def test_work_under_way_is_never_withdrawn(table: Table) -> None:
    table.load(*THREE)
    leased = table.claim(limit=1)
    assert table.load().withdrawn == 2
    assert table.begin(leased[0]).state is State.SUBMITTING


def test_a_row_in_another_manifest_keeps_its_job_wanted(table: Table) -> None:
    table.load(row(), path="/jobs/one.csv")
    table.load(row(), path="/jobs/two.csv")
    assert table.load(path="/jobs/one.csv").withdrawn == 0
    assert len(table.claim()) == 1


def test_the_same_content_twice_is_one_job_that_both_rows_show(table: Table) -> None:
    imported = table.load(row(2), changed(row(2), number=3))
    assert (imported.new, imported.known) == (1, 0)
    assert [line.row for line in table.store.views.export()] == [2, 3]
    assert len(table.claim()) == 1


def test_another_take_of_the_same_content_is_another_job(table: Table) -> None:
    assert table.load(row(2), row(2, prompt="prompt 2", take=2)).new == 2
    assert [job.output_name for job in table.claim()] == ["clip-2", "clip-2-t2"]


def test_a_waiting_job_follows_its_newest_row(table: Table) -> None:
    table.load(row(2), row(3))
    moved = row(
        3,
        priority=5,
        price_usd=Decimal("0.60"),
        start=Frame(source="/new/3.png", sha256=f"{3:064x}"),
    )
    table.load(row(2), moved)
    first, second = table.claim()
    assert (first.spec.start.source, first.price_usd) == ("/new/3.png", Decimal("0.60"))
    assert second.spec.start.source == "/frames/2.png"


def test_a_known_job_keeps_its_state_and_its_name(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.SUBMITTED)
    table.load(row(name="another name", priority=3))
    known = table.store.manifests.lookup([job.key])[job.key]
    assert (known.state, known.output_name) == (State.SUBMITTED, "clip-2")


def names(table: Table) -> list[str]:
    """Return the names of the jobs that wait, in the order in which they were made."""
    return [job.output_name for job in sorted(table.claim(), key=lambda job: job.id)]


def test_a_job_that_was_never_submitted_takes_the_name_of_its_newest_row(table: Table) -> None:
    table.load(row(2), row(3))
    table.load(row(2, name="Dawn"), row(3, output="Spring/0003"))
    assert names(table) == ["Dawn", "Spring/0003"]


def test_two_that_were_never_submitted_may_exchange_their_names(table: Table) -> None:
    table.load(row(2, name="dawn"), row(3, name="dusk"))
    table.load(row(2, name="dusk"), row(3, name="dawn"))
    assert names(table) == ["dusk", "dawn"]


def test_a_new_name_that_another_job_has_is_told_apart(table: Table) -> None:
    table.load(row(2, name="Dawn"), path="/jobs/other.csv")
    table.load(row(3, name="dusk"))
    table.load(row(3, name="dawn"))
    told_apart = ["Dawn", f"dawn-{row(3).spec.key[:8]}"]
    table.load(row(3, name="dawn"))
    assert names(table) == told_apart


def test_a_job_that_a_run_has_in_its_hands_keeps_its_name(table: Table) -> None:
    table.load(row())
    job = table.claim_one()
    table.load(row(name="another name"))
    assert table.store.manifests.lookup([job.key])[job.key].output_name == job.output_name


def test_a_job_that_was_submitted_and_waits_again_keeps_its_name(table: Table) -> None:
    table.load(row())
    table.walk(*PATHS[State.SUBMITTED], Event.RETRY)
    table.load(row(name="another name"))
    assert names(table) == ["clip-2"]


def test_two_jobs_never_share_a_file_name_whatever_case_a_disk_ignores(table: Table) -> None:
    table.load(row(2, name="Sunrise"), row(3, name="sunrise"))
    table.load(row(4, name="SUNRISE"), path="/jobs/other.csv")
    names = [job.output_name for job in sorted(table.claim(), key=lambda job: job.id)]
    assert names == ["Sunrise", f"sunrise-{row(3).spec.key[:8]}", f"SUNRISE-{row(4).spec.key[:8]}"]


def test_a_row_without_a_usable_name_is_named_after_its_number(table: Table) -> None:
    table.load(row(7, name="日の出"))
    assert table.claim_one().output_name == "row-0007"


def test_an_import_of_many_chunks_loses_and_doubles_nothing(table: Table) -> None:
    numbers = range(2, CHUNK + 20)
    imported = table.load(*(changed(row(2 + n % CHUNK), number=n) for n in numbers))
    assert (imported.new, imported.known) == (CHUNK, 0)
    assert [line.row for line in table.store.views.export()] == list(numbers)


def test_what_a_row_lacks_its_job_lacks_too(table: Table) -> None:
    open_ended = row(2, start=Frame(source="https://cdn.example.com/start.png"), end=None)
    table.load(open_ended)
    assert table.claim_one().spec == open_ended.spec


def test_an_import_that_fails_changes_nothing(table: Table) -> None:
    table.load(*THREE)
    with pytest.raises(ValueError, match="smallest amount"):
        table.load(*THREE, row(5), row(6, price_usd=Decimal("0.0000001")))
    assert table.store.views.counts()[State.PENDING] == 3
    assert [each.row for each in table.store.views.export()] == [2, 3, 4]


def test_lookup_names_only_what_is_known(table: Table) -> None:
    table.load(row())
    found = table.store.manifests.lookup([row().spec.key, "0" * 64])
    assert list(found) == [row().spec.key]
    assert found[row().spec.key].price_usd == PRICE


def test_of_rows_with_the_same_content_the_first_names_the_job_and_the_last_ranks_it(
    table: Table,
) -> None:
    table.load(row(2), row(3, name="first"), changed(row(3, name="second", priority=1), number=4))
    job = table.claim_one()
    assert (job.spec.prompt, job.output_name) == ("prompt 3", "first")


def test_a_job_that_comes_back_follows_its_new_row(table: Table) -> None:
    table.load(row(2), row(3))
    table.load(row(2))
    table.load(row(2), row(3, priority=1))
    assert table.claim_one().spec.prompt == "prompt 3"


def test_a_clip_has_the_name_that_was_asked_for_with_its_folders(table: Table) -> None:
    table.load(row(2, output="Spring/0002-a"))
    assert table.claim_one().output_name == "Spring/0002-a"


def test_a_name_that_a_clip_of_an_earlier_run_has_is_told_apart(table: Table) -> None:
    table.load(row(2, output="spring/a"))
    new = row(3, output="Spring/A")
    table.load(new, path="/jobs/other.csv")
    assert [job.output_name for job in table.claim()] == [
        "spring/a",
        f"Spring/A-{new.spec.key[:8]}",
    ]
