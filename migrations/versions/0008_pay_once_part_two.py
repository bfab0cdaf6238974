"""Add an index of clip URLs, the time of failed downloads, and the settings of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("manifests", sa.Column("run_settings", sa.Text()))
    op.add_column("attempts", sa.Column("unfetched_since", sa.DateTime(timezone=True)))
    there = sa.text("video_url IS NOT NULL")
    op.create_index(
        "ix_attempts_video_url",
        "attempts",
        ["video_url"],
        sqlite_where=there,
        postgresql_where=there,
    )
