"""Add an index that alone gives the sum of a day's attempts."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_attempts_started", "attempts", ["started_at", "billed", "price_micro"], unique=False
    )
