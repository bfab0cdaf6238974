"""The tables with their checks, which come from ``states`` and ``attempts``."""

from collections.abc import Container
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tweenbatch.records import Billed
from tweenbatch.states import AT_FAL, FINAL, State
from tweenbatch.store import attempts as attempt_states
from tweenbatch.store.attempts import AttemptOutcome
from tweenbatch.store.types import Dollars, ForeignText, Instant, Word

W = TypeVar("W", bound=StrEnum)

VERSION_TABLE = "tweenbatch_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows only in a column declared INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, words: type[W], chosen: Container[W] | None = None) -> str:
    """Return the condition that the column is one of these words.

    It does not use ``IN``, whose list SQLite sorts for every row that it checks.
    """
    tests = [f"{column} = '{word}'" for word in words if chosen is None or word in chosen]
    return f"({' OR '.join(tests)})"


manifests = Table(
    "manifests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
    Column("sha256", String(64), nullable=False),
    Column("imported_at", Instant, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("reading", String(64)),
    # The manifest of these retakes; such rows come from no file.
    Column("retakes_of", Id),
    # The settings of the file's last run, as JSON.
    Column("run_settings", Text),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("heartbeat_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("exit_code", Integer),
    Column("note", Text, nullable=False, server_default=""),
    Column("max_cost_micro", Dollars),
    Column("committed_micro", Dollars, nullable=False, server_default="0"),
    Column("job", Text),
    Column("night", Date),
    Column("asked", Text),
    Column("notified_at", Instant),
    CheckConstraint(
        "committed_micro >= 0 AND (max_cost_micro IS NULL OR committed_micro <= max_cost_micro)",
        name="within_max_cost",
    ),
)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Id, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("lifted_at", Instant),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("endpoint", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("start_source", Text, nullable=False),
    Column("start_sha256", String(64)),
    Column("end_source", Text),
    Column("end_sha256", String(64)),
    Column("parameters", JSON, nullable=False),
    Column("take", Integer, nullable=False),
    Column("price_micro", Dollars, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("output_name", Text, nullable=False),
    Column("output_folded", Text, nullable=False, unique=True),
    Column("state", Word(State), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("leased_by", Id, ForeignKey("runs.id")),
    Column("lease_until", Instant),
    Column("not_before", Instant),
    Column("error_type", ForeignText),
    Column("error_message", ForeignText),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("finished_at", Instant),
    CheckConstraint(_one_of("state", State), name="state_known"),
    CheckConstraint(
        f"attempt >= 1 OR NOT {_one_of('state', State, AT_FAL | {State.SUCCEEDED})}",
        name="at_fal_has_attempt",
    ),
    CheckConstraint(
        f"{_one_of('state', State, FINAL)} = (finished_at IS NOT NULL)", name="final_is_finished"
    ),
    CheckConstraint("(leased_by IS NULL) = (lease_until IS NULL)", name="lease_is_whole"),
    CheckConstraint(
        f"leased_by IS NULL OR NOT {_one_of('state', State, FINAL)}", name="final_is_free"
    ),
    # A submission in progress belongs to a run, which is needed to resolve it.
    CheckConstraint(
        f"leased_by IS NOT NULL OR state <> '{State.SUBMITTING}'", name="submitting_is_leased"
    ),
    CheckConstraint(
        f"error_type IS NOT NULL OR state <> '{State.FAILED}'", name="failed_has_reason"
    ),
    CheckConstraint("tries >= 0 AND tries <= attempt AND fence >= 0", name="counters"),
    CheckConstraint("take >= 1", name="take_counts_from_one"),
    CheckConstraint("price_micro >= 0", name="price_not_negative"),
    CheckConstraint("length(key) = 64", name="key_is_digest"),
    CheckConstraint("end_source IS NOT NULL OR end_sha256 IS NULL", name="end_is_whole"),
)


rows = Table(
    "rows",
    metadata,
    Column("manifest_id", Id, ForeignKey("manifests.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("take", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("start_image", Text, nullable=False),
    Column("end_image", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("extra", JSON, nullable=False),
    PrimaryKeyConstraint("manifest_id", "number", "take"),
    UniqueConstraint("manifest_id", "position"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("payload_sha256", String(64), nullable=False),
    Column("key_fingerprint", Text, nullable=False),
    Column("price_micro", Dollars, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    Column("finished_at", Instant),
    Column("request_id", Text, unique=True),
    Column("status_url", Text),
    Column("response_url", Text),
    Column("cancel_url", Text),
    Column("video_url", Text),
    Column("video_bytes", BigInteger),
    Column("video_content_type", ForeignText),
    Column("outcome", Word(AttemptOutcome), nullable=False),
    Column("billed", Word(Billed)),
    Column("http_status", Integer),
    Column("error_type", ForeignText),
    Column("error_message", ForeignText),
    Column("unfetched_since", Instant),
    UniqueConstraint("job_id", "number"),
    CheckConstraint(_one_of("outcome", AttemptOutcome), name="outcome_known"),
    CheckConstraint(f"billed IS NULL OR {_one_of('billed', Billed)}", name="billed_known"),
    CheckConstraint(
        f"{_one_of('outcome', AttemptOutcome, attempt_states.CONCLUDED)}"
        " = (finished_at IS NOT NULL)",
        name="concluded_is_finished",
    ),
    CheckConstraint("finished_at IS NULL OR billed IS NOT NULL", name="concluded_is_answered"),
    CheckConstraint(
        f"NOT {_one_of('outcome', AttemptOutcome, attempt_states.IDENTIFIED)}"
        " OR (request_id IS NOT NULL AND accepted_at IS NOT NULL AND response_url IS NOT NULL)",
        name="identified_has_request",
    ),
    CheckConstraint(
        f"NOT {_one_of('outcome', AttemptOutcome, attempt_states.GENERATED)}"
        # A check that is NULL would accept the row.
        f" OR (video_url IS NOT NULL AND billed IS NOT NULL AND billed = '{Billed.YES}')",
        name="generated_is_billed",
    ),
    CheckConstraint(
        f"NOT {_one_of('outcome', AttemptOutcome, attempt_states.NEVER_BILLED)}"
        f" OR billed = '{Billed.NO}'",
        name="refused_is_free",
    ),
    CheckConstraint("number >= 1", name="number_counts_from_one"),
    CheckConstraint("price_micro >= 0", name="price_not_negative"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("attempt_id", Id, ForeignKey("attempts.id"), nullable=False, unique=True),
    Column("path", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("sha256", String(64), nullable=False),
    Column("key_fingerprint", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    PrimaryKeyConstraint("sha256", "key_fingerprint"),
)

frames = Table(
    "frames",
    metadata,
    Column("path", Text, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    # Some file systems have inode numbers beyond a BIGINT.
    Column("inode", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("facts", JSON, nullable=False),
    Column("looker", Integer, nullable=False),
)
