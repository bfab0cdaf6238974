"""The schema itself refuses impossible rows, whoever writes them."""

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from support.jobtable import Table, row
from tweenbatch.states import State
from tweenbatch.store.migrate import HEAD, REVISIONS, script_location


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (State.PENDING, "state = 'paid'"),
        (State.PENDING, "finished_at = created_at"),
        (State.SUCCEEDED, "finished_at = NULL"),
        (State.FAILED, "error_type = NULL"),
        *((state, "attempt = 0, tries = 0") for state in sorted(State) if state not in
          {State.PENDING, State.FAILED, State.CANCELLED}),
        (State.SUBMITTING, "leased_by = NULL, lease_until = NULL"),
        (State.READY, "leased_by = NULL"),
        (State.READY, "lease_until = NULL"),
        (State.READY, "leased_by = 99"),
        (State.SUCCEEDED, "leased_by = 1, lease_until = created_at"),
        (State.READY, "tries = 2"),
        (State.READY, "tries = -1"),
        (State.READY, "fence = -1"),
        (State.PENDING, "price_micro = -1"),
        (State.PENDING, "take = 0"),
        (State.PENDING, "key = 'short'"),
        (State.PENDING, "end_sha256 = key"),
    ],
)  # fmt: skip
def test_an_impossible_job_is_refused(table: Table, state: State, change: str) -> None:
    table.load(row())
    table.put_in(state)
    refused(table, f"UPDATE jobs SET {change}")


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (State.SUBMITTED, "outcome = 'paid'"),
        (State.SUBMITTED, "billed = 'perhaps'"),
        (State.SUBMITTED, "finished_at = started_at"),
        (State.SUCCEEDED, "finished_at = NULL"),
        (State.FAILED, "billed = NULL"),
        (State.SUBMITTED, "request_id = NULL"),
        (State.SUBMITTED, "accepted_at = NULL"),
        (State.READY, "video_url = NULL"),
        (State.READY, "billed = 'no'"),
        (State.READY, "billed = NULL"),
        (State.SUBMITTING, "outcome = 'not_sent', billed = 'yes', finished_at = started_at"),
        (State.SUBMITTING, "number = 0"),
        (State.SUBMITTING, "price_micro = -1"),
        (State.SUBMITTING, "run_id = 99"),
    ],
)
def test_an_impossible_attempt_is_refused(table: Table, state: State, change: str) -> None:
    table.load(row())
    table.put_in(state)
    refused(table, f"UPDATE attempts SET {change}")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE jobs SET key = (SELECT min(key) FROM jobs)",
        "UPDATE jobs SET output_folded = 'x'",
        "UPDATE attempts SET request_id = 'x'",
        "UPDATE attempts SET job_id = 1",
        "UPDATE rows SET number = 7",
        "UPDATE runs SET max_cost_micro = 1",
        "UPDATE runs SET committed_micro = -1",
        "DELETE FROM jobs",
    ],
)
def test_what_must_be_one_of_a_kind_or_belong_together_stays_so(table: Table, sql: str) -> None:
    table.load(row(2), row(3))
    table.put_in(State.SUBMITTED)
    table.put_in(State.SUBMITTED)
    refused(table, sql)


def refused(table: Table, sql: str) -> None:
    def write(connection: Connection) -> None:
        connection.exec_driver_sql(sql)

    with pytest.raises(IntegrityError):
        table.store._database.write(write)


def test_the_newest_migration_is_the_one_that_the_program_looks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(script_location()))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert tuple(step.revision for step in scripts.walk_revisions())[::-1] == REVISIONS
