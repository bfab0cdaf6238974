"""Add pauses, the rows of retakes, and the time of a run's digest."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("id", Id, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    op.add_column("runs", sa.Column("asked", sa.Text()))
    op.add_column("runs", sa.Column("told_at", sa.DateTime(timezone=True)))
    op.add_column("manifests", sa.Column("retakes_of", Id))
    op.create_index("ix_manifests_retakes_of", "manifests", ["retakes_of"], unique=True)
