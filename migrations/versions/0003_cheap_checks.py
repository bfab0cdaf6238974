"""Rewrite the checks of states so that SQLite does not sort a list for every written row.

They refuse the same rows as before. On SQLite only their text is replaced, as
https://www.sqlite.org/lang_altertable.html#otheralter describes for changed constraints, so a
table of a million rows is not copied.
"""
# ruff: noqa: E501 - a constraint stands here as it was written to the database

import re

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHECKS = (
    (
        "jobs",
        "ck_jobs_final_is_finished",
        "(state = 'succeeded' OR state = 'failed' OR state = 'cancelled') = (finished_at IS NOT NULL)",
    ),
    (
        "jobs",
        "ck_jobs_at_fal_has_attempt",
        "attempt >= 1 OR NOT (state = 'submitting' OR state = 'uncertain' OR state = 'submitted' OR state = 'ready' OR state = 'succeeded')",
    ),
    (
        "jobs",
        "ck_jobs_final_is_free",
        "leased_by IS NULL OR NOT (state = 'succeeded' OR state = 'failed' OR state = 'cancelled')",
    ),
    (
        "jobs",
        "ck_jobs_state_known",
        "(state = 'pending' OR state = 'submitting' OR state = 'uncertain' OR state = 'submitted' OR state = 'ready' OR state = 'succeeded' OR state = 'failed' OR state = 'cancelled')",
    ),
    (
        "attempts",
        "ck_attempts_concluded_is_finished",
        "(outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'not_sent' OR outcome = 'absent' OR outcome = 'cancelled') = (finished_at IS NOT NULL)",
    ),
    (
        "attempts",
        "ck_attempts_identified_has_request",
        "NOT (outcome = 'accepted' OR outcome = 'generated' OR outcome = 'succeeded') OR (request_id IS NOT NULL AND accepted_at IS NOT NULL AND response_url IS NOT NULL)",
    ),
    (
        "attempts",
        "ck_attempts_generated_is_billed",
        "NOT (outcome = 'generated' OR outcome = 'succeeded') OR (video_url IS NOT NULL AND billed IS NOT NULL AND billed = 'yes')",
    ),
    (
        "attempts",
        "ck_attempts_refused_is_free",
        "NOT (outcome = 'not_sent' OR outcome = 'absent') OR billed = 'no'",
    ),
    (
        "attempts",
        "ck_attempts_billed_known",
        "billed IS NULL OR (billed = 'yes' OR billed = 'no' OR billed = 'unknown')",
    ),
    (
        "attempts",
        "ck_attempts_outcome_known",
        "(outcome = 'open' OR outcome = 'unknown' OR outcome = 'accepted' OR outcome = 'generated' OR outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'not_sent' OR outcome = 'absent' OR outcome = 'cancelled')",
    ),
)

LISTS = re.compile(
    r"\((?P<in>\w+) IN \((?P<of>[^()]*)\)\)(?= = )|(?P<bare_in>\w+) IN \((?P<bare_of>[^()]*)\)"
)


def spelled_out(match: re.Match[str]) -> str:
    column = match["in"] or match["bare_in"]
    words = (match["of"] or match["bare_of"]).split(", ")
    return f"({' OR '.join(f'{column} = {word}' for word in words)})"


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        for table, name, condition in CHECKS:
            op.drop_constraint(op.f(name), table, type_="check")
            op.create_check_constraint(op.f(name), table, condition)
        return
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    for table in ("jobs", "attempts"):
        where = {"name": table}
        query = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
        made = connection.execute(query, where).scalar_one()
        connection.execute(
            text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :name"),
            {**where, "sql": LISTS.sub(spelled_out, made)},
        )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
