"""A request id that the table can't take is on the disk all the same, and found again."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from support.jobtable import NOON, Table, row
from tweenbatch.records import Job, Request
from tweenbatch.recovery.witness import (
    SIZE,
    AcceptedRequest,
    Witness,
    abandoned,
    adopt,
    discard,
    path_of,
    read_notes,
)
from tweenbatch.states import Event, State
from tweenbatch.store import Store

AT = "https://queue.fal.run/fal-ai/kling-video/requests/r-1"
REQUEST = Request(
    request_id="r-1",
    status_url=f"{AT}/status",
    response_url=AT,
    cancel_url=f"{AT}/cancel",
)
NOTE = AcceptedRequest(key="k" * 64, attempt=1, endpoint="kling", request=REQUEST, accepted_at=NOON)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tweenbatch.db.witness"


def kept(path: Path, *notes: AcceptedRequest) -> None:
    with Witness(path) as witness:
        witness.prepare(notes=1)
        for note in notes:
            witness.keep(note)


def test_what_a_witness_keeps_is_heard_as_it_was_said(path: Path) -> None:
    notes = [NOTE, replace(NOTE, attempt=2)]
    kept(path, *notes)
    assert read_notes(path) == notes


def test_a_witness_that_has_nothing_to_say_goes(path: Path) -> None:
    kept(path)
    assert not path.exists()


def test_its_blocks_are_there_before_there_is_anything_to_write(path: Path) -> None:
    with Witness(path) as witness:
        witness.prepare(notes=1)
        found = path.stat()
        assert (found.st_size, stat.S_IMODE(found.st_mode)) == (SIZE, 0o600)
        assert found.st_blocks * 512 >= SIZE
        witness.keep(NOTE)
        assert (path.stat().st_size, path.stat().st_blocks) == (SIZE, found.st_blocks)


def test_there_is_room_for_a_note_from_each_slot(path: Path) -> None:
    with Witness(path) as witness:
        witness.prepare(notes=1000)
        size = path.stat().st_size
        for attempt in range(1000):
            witness.keep(replace(NOTE, attempt=attempt))
        assert path.stat().st_size == size
    assert len(read_notes(path)) == 1000


def traced(monkeypatch: pytest.MonkeyPatch, name: str, steps: list[str]) -> None:
    real: Callable[..., int] = getattr(os, name)

    def call(file: int, *arguments: object) -> int:
        kind = "folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file"
        steps.append(f"{name} {kind}")
        return real(file, *arguments)

    monkeypatch.setattr(os, name, call)


def test_blocks_and_name_are_synced_before_and_each_note_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    traced(monkeypatch, "pwrite", steps)
    traced(monkeypatch, "fsync", steps)
    with Witness(path) as witness:
        witness.prepare(notes=1)
        assert steps == ["pwrite file", "fsync file", "fsync folder"]
        witness.keep(NOTE)
        assert steps[3:] == ["pwrite file", "fsync file"]


def test_after_a_sync_that_failed_no_note_is_called_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Witness(path) as witness:
        witness.prepare(notes=1)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="Input/output"):
                witness.keep(NOTE)
        with pytest.raises(OSError, match="Input/output"):
            witness.keep(replace(NOTE, attempt=2))
    assert [note.attempt for note in read_notes(path)] == [1, 2]


def test_a_witness_that_was_never_prepared_takes_no_note(path: Path) -> None:
    with Witness(path) as witness, pytest.raises(FileNotFoundError, match="never created"):
        witness.keep(NOTE)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\0" * SIZE,
        b"not JSON\n",
        b'{"key": 1}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        NOTE.line().encode()[:-1],
        NOTE.line().encode().replace(b'"attempt":1', b'"attempt":"x"'),
        NOTE.line().encode().replace(b'"r-1"', b"7"),
    ],
)
def test_what_is_damaged_says_nothing_and_hides_nothing(path: Path, damage: bytes) -> None:
    line = NOTE.line().encode()
    path.write_bytes(damage + b"\n" + line + b"\n" + damage)
    assert read_notes(path) == [NOTE]


@pytest.mark.parametrize("kind", ["missing", "folder", "link", "pipe"])
def test_what_is_no_witness_breaks_nothing(path: Path, tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_text("mine")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    assert read_notes(path) == []
    assert abandoned(path, shared=False) == []
    if kind != "missing":
        with pytest.raises(OSError), Witness(path) as witness:  # noqa: PT011 - of any kind
            witness.prepare(notes=1)


def test_every_byte_of_a_half_written_note_is_survived(path: Path) -> None:
    line = NOTE.line().encode()
    for k in range(len(line)):
        path.write_bytes(b"\n" + line[:k] + b"\0" * 10 + b"\n" + line + b"\n")
        assert read_notes(path) == [NOTE]


# Whose they are


def test_two_names_of_a_table_lead_to_one_witness(tmp_path: Path) -> None:
    table = tmp_path / "tweenbatch.db"
    table.touch()
    (tmp_path / "link.db").symlink_to(table)
    assert path_of(tmp_path / "link.db", tmp_path / "videos", 1) == path_of(table, tmp_path, 2)


def test_the_witness_of_a_run_that_lives_is_left_to_it(tmp_path: Path) -> None:
    first, second = (path_of(None, tmp_path, run_id) for run_id in (1, 2))
    with Witness(first) as witness:
        witness.prepare(notes=1)
        witness.keep(NOTE)
        assert abandoned(second, shared=True) == []
    assert abandoned(second, shared=True) == [first]


# Adoption


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with closing(Store.open(f"sqlite:///{tmp_path / 'tweenbatch.db'}")) as store:
        run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)
        made = Table(store=store, run_id=run_id)
        made.load(row(2))
        yield made


def about(job: Job) -> AcceptedRequest:
    return AcceptedRequest(
        key=job.key,
        attempt=job.attempt,
        endpoint=job.spec.endpoint,
        request=REQUEST,
        accepted_at=NOON,
    )


def test_an_uncertain_job_is_given_the_request_that_was_noted(table: Table) -> None:
    job = table.walk(Event.SUBMIT_STARTED, Event.OUTCOME_UNKNOWN)
    [adopted] = adopt([about(job), about(job)], table.store, now=NOON)
    assert (adopted.state, adopted.request) == (State.SUBMITTED, REQUEST)
    assert table.store.jobs.uncertain() == []


@pytest.mark.parametrize(
    "changes",
    [{"attempt": 2}, {"attempt": 0}, {"key": "0" * 64}, {"endpoint": "another"}],
    ids=["later attempt", "earlier attempt", "another job", "another endpoint"],
)
def test_a_note_about_something_else_is_not_taken(table: Table, changes: dict[str, object]) -> None:
    job = table.walk(Event.SUBMIT_STARTED, Event.OUTCOME_UNKNOWN)
    note = replace(about(job), **changes)  # type: ignore[arg-type]
    assert adopt([note], table.store, now=NOON) == []
    assert [found.id for found in table.store.jobs.uncertain()] == [job.id]


def test_a_note_about_an_attempt_that_was_followed_by_another_is_not_taken(table: Table) -> None:
    twice = (Event.SUBMIT_STARTED, Event.NOT_ACCEPTED, Event.SUBMIT_STARTED, Event.OUTCOME_UNKNOWN)
    job = table.walk(*twice)
    assert job.attempt == 2
    assert adopt([replace(about(job), attempt=1)], table.store, now=NOON) == []
    assert len(adopt([about(job)], table.store, now=NOON)) == 1


@pytest.mark.parametrize(
    "events",
    [
        (Event.SUBMIT_STARTED,),
        (Event.SUBMIT_STARTED, Event.ACCEPTED),
        (Event.SUBMIT_STARTED, Event.NOT_ACCEPTED),
        (Event.SUBMIT_STARTED, Event.OUTCOME_UNKNOWN, Event.GAVE_UP),
    ],
)
def test_a_job_whose_outcome_is_known_is_left_as_it_is(
    table: Table, events: tuple[Event, ...]
) -> None:
    job = table.walk(*events)
    assert adopt([about(job)], table.store, now=NOON) == []
    assert table.store.jobs.get([job.id]) == [job]


def test_a_request_that_another_job_has_is_not_given_away_twice(table: Table) -> None:
    table.load(row(2), row(3))
    first, second = table.claim(limit=2)
    taken = table.walk(Event.SUBMIT_STARTED, Event.ACCEPTED, job=first)
    job = table.walk(Event.SUBMIT_STARTED, Event.OUTCOME_UNKNOWN, job=second)
    assert taken.request is not None
    assert adopt([replace(about(job), request=taken.request)], table.store, now=NOON) == []
    assert [found.id for found in table.store.jobs.uncertain()] == [job.id]


def test_a_witness_that_was_heard_goes(table: Table, path: Path) -> None:
    job = table.walk(Event.SUBMIT_STARTED, Event.OUTCOME_UNKNOWN)
    kept(path, about(job))
    adopt(read_notes(path), table.store, now=NOON)
    discard(path, read_notes(path), table.store)
    assert not path.exists()


def test_a_witness_stays_while_its_submission_may_be_in_the_air(table: Table, path: Path) -> None:
    job = table.walk(Event.SUBMIT_STARTED)
    kept(path, about(job))
    discard(path, read_notes(path), table.store)
    assert path.exists()
