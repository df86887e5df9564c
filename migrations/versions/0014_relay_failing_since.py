"""since when a campaign's relay has failed: a short outage needs nobody to come

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-21 23:40:00

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('campaign', sa.Column('relay_failing_since', sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column('campaign', 'relay_failing_since')
