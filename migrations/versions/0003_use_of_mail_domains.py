"""when a campaign last had recipients at a mail domain

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-21 19:23:10.401217

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('mail_domain', sa.Column('used_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False))


def downgrade():
    op.drop_column('mail_domain', 'used_at')
