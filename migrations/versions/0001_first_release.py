"""Create the tables of the first release."""
# ruff: noqa: E501 - a constraint stands here as it was written to the database

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "manifests",
        sa.Column("id", Id, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifests")),
        sa.UniqueConstraint("path", name=op.f("uq_manifests_path")),
    )
    op.create_table(
        "runs",
        sa.Column("id", Id, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("max_cost_micro", sa.BigInteger(), nullable=True),
        sa.Column("committed_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "committed_micro >= 0 AND (max_cost_micro IS NULL OR committed_micro <= max_cost_micro)",
            name=op.f("ck_runs_within_max_cost"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "uploads",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "key_fingerprint", name=op.f("pk_uploads")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", Id, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("start_source", sa.Text(), nullable=False),
        sa.Column("start_sha256", sa.String(length=64), nullable=True),
        sa.Column("end_source", sa.Text(), nullable=True),
        sa.Column("end_sha256", sa.String(length=64), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("price_micro", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("output_name", sa.Text(), nullable=False),
        sa.Column("output_folded", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leased_by", Id, nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_final_is_finished"),
        ),
        sa.CheckConstraint(
            "attempt >= 1 OR NOT state IN ('submitting', 'uncertain', 'submitted', 'ready', 'succeeded')",
            name=op.f("ck_jobs_at_fal_has_attempt"),
        ),
        sa.CheckConstraint(
            "error_type IS NOT NULL OR state <> 'failed'", name=op.f("ck_jobs_failed_has_reason")
        ),
        sa.CheckConstraint(
            "leased_by IS NOT NULL OR state <> 'submitting'",
            name=op.f("ck_jobs_submitting_is_leased"),
        ),
        sa.CheckConstraint(
            "leased_by IS NULL OR NOT state IN ('succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_final_is_free"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'submitting', 'uncertain', 'submitted', 'ready', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state_known"),
        ),
        sa.CheckConstraint(
            "(leased_by IS NULL) = (lease_until IS NULL)", name=op.f("ck_jobs_lease_is_whole")
        ),
        sa.CheckConstraint(
            "end_source IS NOT NULL OR end_sha256 IS NULL", name=op.f("ck_jobs_end_is_whole")
        ),
        sa.CheckConstraint("length(key) = 64", name=op.f("ck_jobs_key_is_digest")),
        sa.CheckConstraint("price_micro >= 0", name=op.f("ck_jobs_price_not_negative")),
        sa.CheckConstraint("take >= 1", name=op.f("ck_jobs_take_counts_from_one")),
        sa.CheckConstraint(
            "tries >= 0 AND tries <= attempt AND fence >= 0", name=op.f("ck_jobs_counters")
        ),
        sa.ForeignKeyConstraint(["leased_by"], ["runs.id"], name=op.f("fk_jobs_leased_by_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("key", name=op.f("uq_jobs_key")),
        sa.UniqueConstraint("output_folded", name=op.f("uq_jobs_output_folded")),
    )
    op.create_index(
        "ix_jobs_due",
        "jobs",
        ["state", sa.literal_column("priority DESC"), "id"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_jobs_leased",
        "jobs",
        ["leased_by"],
        unique=False,
        sqlite_where=sa.text("leased_by IS NOT NULL"),
        postgresql_where=sa.text("leased_by IS NOT NULL"),
    )
    op.create_index("ix_jobs_state", "jobs", ["state"], unique=False)
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["state", "not_before"],
        unique=False,
        sqlite_where=sa.text("not_before IS NOT NULL AND finished_at IS NULL"),
        postgresql_where=sa.text("not_before IS NOT NULL AND finished_at IS NULL"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", Id, nullable=False),
        sa.Column("job_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", Id, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("payload_sha256", sa.String(length=64), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=False),
        sa.Column("price_micro", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("status_url", sa.Text(), nullable=True),
        sa.Column("response_url", sa.Text(), nullable=True),
        sa.Column("cancel_url", sa.Text(), nullable=True),
        sa.Column("video_url", sa.Text(), nullable=True),
        sa.Column("video_bytes", sa.BigInteger(), nullable=True),
        sa.Column("video_content_type", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("billed", sa.String(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(outcome IN ('succeeded', 'failed', 'not_sent', 'absent', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_attempts_concluded_is_finished"),
        ),
        sa.CheckConstraint(
            "NOT outcome IN ('accepted', 'generated', 'succeeded') OR (request_id IS NOT NULL AND accepted_at IS NOT NULL AND response_url IS NOT NULL)",
            name=op.f("ck_attempts_identified_has_request"),
        ),
        sa.CheckConstraint(
            "NOT outcome IN ('generated', 'succeeded') OR (video_url IS NOT NULL AND billed IS NOT NULL AND billed = 'yes')",
            name=op.f("ck_attempts_generated_is_billed"),
        ),
        sa.CheckConstraint(
            "NOT outcome IN ('not_sent', 'absent') OR billed = 'no'",
            name=op.f("ck_attempts_refused_is_free"),
        ),
        sa.CheckConstraint(
            "billed IS NULL OR billed IN ('yes', 'no', 'unknown')",
            name=op.f("ck_attempts_billed_known"),
        ),
        sa.CheckConstraint(
            "outcome IN ('open', 'unknown', 'accepted', 'generated', 'succeeded', 'failed', 'not_sent', 'absent', 'cancelled')",
            name=op.f("ck_attempts_outcome_known"),
        ),
        sa.CheckConstraint(
            "finished_at IS NULL OR billed IS NOT NULL",
            name=op.f("ck_attempts_concluded_is_answered"),
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_attempts_number_counts_from_one")),
        sa.CheckConstraint("price_micro >= 0", name=op.f("ck_attempts_price_not_negative")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id_jobs")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_attempts_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_attempts_job_id_number")),
        sa.UniqueConstraint("request_id", name=op.f("uq_attempts_request_id")),
    )
    op.create_index(
        "ix_attempts_money", "attempts", ["billed", "outcome", "price_micro"], unique=False
    )
    op.create_table(
        "rows",
        sa.Column("manifest_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_id", Id, nullable=False),
        sa.Column("start_image", sa.Text(), nullable=False),
        sa.Column("end_image", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_rows_job_id_jobs")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifests.id"], name=op.f("fk_rows_manifest_id_manifests")
        ),
        sa.PrimaryKeyConstraint("manifest_id", "number", "take", name=op.f("pk_rows")),
        sa.UniqueConstraint("manifest_id", "position", name=op.f("uq_rows_manifest_id_position")),
    )
    op.create_index("ix_rows_job", "rows", ["job_id", "manifest_id"], unique=False)
    op.create_table(
        "artifacts",
        sa.Column("id", Id, nullable=False),
        sa.Column("job_id", Id, nullable=False),
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_artifacts_attempt_id_attempts")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_artifacts_attempt_id")),
    )
    op.create_index("ix_artifacts_job", "artifacts", ["job_id"], unique=False)
