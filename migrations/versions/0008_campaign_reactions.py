"""sums over a campaign's engagement

Revision ID: 0008
Revises: 0003
Create Date: 2026-11-21 20:20:00

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0008'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('campaign_reactions',
    sa.Column('campaign_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('openers', sa.Integer(), server_default='0', nullable=False),
    sa.Column('opens', sa.Integer(), server_default='0', nullable=False),
    sa.Column('clickers', sa.Integer(), server_default='0', nullable=False),
    sa.Column('clicks', sa.Integer(), server_default='0', nullable=False),
    sa.Column('leavers', sa.Integer(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('campaign_id', name=op.f('pk_campaign_reactions'))
    )
    # What was counted before: no tracker may write meanwhile.
    op.execute('LOCK TABLE engagement IN SHARE ROW EXCLUSIVE MODE')
    op.execute("""
        INSERT INTO campaign_reactions (campaign_id, openers, opens, clickers, clicks, leavers)
        SELECT campaign_id, count(*) FILTER (WHERE opens > 0 OR clicks > 0), sum(opens),
               count(*) FILTER (WHERE clicks > 0), sum(clicks), count(unsubscribed_at)
        FROM engagement GROUP BY campaign_id
    """)


def downgrade():
    op.drop_table('campaign_reactions')
