"""Additional indexes; no statement names them."""

from sqlalchemy import Index, MetaData, text

from tweenbatch.store.schema import artifacts, attempts, jobs, manifests, metadata, rows, runs

Index("ix_manifests_retakes_of", manifests.c.retakes_of, unique=True)
Index("ix_runs_night", runs.c.job, runs.c.night)
Index("ix_jobs_state", jobs.c.state)
Index("ix_rows_job", rows.c.job_id, rows.c.manifest_id)
Index("ix_attempts_money", attempts.c.billed, attempts.c.outcome, attempts.c.price_micro)
# Every intent needs the sum of a day, which is read from this index alone.
Index("ix_attempts_started", attempts.c.started_at, attempts.c.billed, attempts.c.price_micro)
# A digest reads the clips of one night.
Index("ix_artifacts_created", artifacts.c.created_at)

_PARTIAL = {
    Index("ix_jobs_due", jobs.c.state, jobs.c.priority.desc(), jobs.c.id): "finished_at IS NULL",
    Index("ix_jobs_waiting", jobs.c.state, jobs.c.not_before): (
        "not_before IS NOT NULL AND finished_at IS NULL"
    ),
    Index("ix_jobs_leased", jobs.c.leased_by): "leased_by IS NOT NULL",
    # Every clip needs the owner of its URL.
    Index("ix_attempts_video_url", attempts.c.video_url): "video_url IS NOT NULL",
}
"""Partial indexes with their conditions."""


def described(dialect: str) -> MetaData:
    """Return the tables with their indexes for a dialect."""
    for index, rows_of in _PARTIAL.items():
        index.dialect_options[dialect]["where"] = text(rows_of)
    return metadata
