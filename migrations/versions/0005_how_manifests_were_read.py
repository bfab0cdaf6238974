"""Record how a manifest was read, so that an unchanged file is not read again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("manifests", sa.Column("reading", sa.String(length=64)))
