"""a part of a campaign goes out before the rest

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-21 20:30:00

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('batch', sa.Column('is_canary', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('campaign', sa.Column('canary_percent', sa.Integer(), nullable=True))
    op.add_column('campaign', sa.Column('canary_minutes', sa.Integer(), server_default='30', nullable=False))
    op.add_column('campaign', sa.Column('canary_stage', sa.Enum('sending', 'watching', 'passed', 'held', name='canary_stage', native_enum=False, create_constraint=True, length=20), nullable=True))
    op.add_column('campaign', sa.Column('canary_until', sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f('ck_campaign_canary'), 'campaign', 'canary_percent BETWEEN 1 AND 50 AND canary_minutes BETWEEN 1 AND 1440')


def downgrade():
    op.drop_constraint(op.f('ck_campaign_canary'), 'campaign')
    for column in ('canary_until', 'canary_stage', 'canary_minutes', 'canary_percent'):
        op.drop_column('campaign', column)
    op.drop_column('batch', 'is_canary')
