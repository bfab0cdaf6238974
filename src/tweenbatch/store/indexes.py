"""The indexes that the migrations make, beside those of keys.

No statement names them: only who compares a table with its description has to load them, and
the PostgreSQL dialect with them.
"""

from sqlalchemy import Index, text

from tweenbatch.store.schema import artifacts, attempts, jobs, manifests, metadata, rows, runs

__all__ = ["metadata"]

Index("ix_manifests_retakes_of", manifests.c.retakes_of, unique=True)
Index("ix_runs_night", runs.c.job, runs.c.night)

_UNFINISHED = text("finished_at IS NULL")
Index("ix_jobs_state", jobs.c.state)
Index(
    "ix_jobs_due",
    jobs.c.state,
    jobs.c.priority.desc(),
    jobs.c.id,
    sqlite_where=_UNFINISHED,
    postgresql_where=_UNFINISHED,
)
_WAITING = text("not_before IS NOT NULL AND finished_at IS NULL")
Index(
    "ix_jobs_waiting",
    jobs.c.state,
    jobs.c.not_before,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
_LEASED = text("leased_by IS NOT NULL")
Index("ix_jobs_leased", jobs.c.leased_by, sqlite_where=_LEASED, postgresql_where=_LEASED)
Index("ix_rows_job", rows.c.job_id, rows.c.manifest_id)
Index("ix_attempts_money", attempts.c.billed, attempts.c.outcome, attempts.c.price_micro)
# A day's sum is part of every intent: it is read from the index alone.
Index("ix_attempts_started", attempts.c.started_at, attempts.c.billed, attempts.c.price_micro)
Index("ix_artifacts_job", artifacts.c.job_id)
