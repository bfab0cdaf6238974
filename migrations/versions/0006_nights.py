"""Record the job file and night of a run, so that all runs of a night share one limit."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("job", sa.Text()))
    op.add_column("runs", sa.Column("night", sa.Date()))
    op.create_index("ix_runs_night", "runs", ["job", "night"])
