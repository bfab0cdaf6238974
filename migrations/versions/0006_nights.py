"""Which night of which job file a run belongs to, so that its limit holds over all its starts."""

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
