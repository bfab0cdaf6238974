"""Rename ``told_at`` to ``notified_at``, and add an index for the clips of a digest."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As text: Alembic would copy the whole table on SQLite.
    op.execute("ALTER TABLE runs RENAME COLUMN told_at TO notified_at")
    op.drop_index("ix_artifacts_job", "artifacts")
    op.create_index("ix_artifacts_created", "artifacts", ["created_at"])
