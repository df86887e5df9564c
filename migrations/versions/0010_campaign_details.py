"""the parts of a report that take reading a whole ledger

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-21 20:40:00

"""
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('campaign_details',
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('content', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('fingerprint', sa.String(), server_default='', nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('took_ms', sa.Integer(), server_default='0', nullable=False),
    sa.Column('wanted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_campaign_details_campaign_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('campaign_id', name=op.f('pk_campaign_details'))
    )
    op.create_index('ix_campaign_details_wanted_at', 'campaign_details', ['wanted_at'], unique=False, postgresql_where=sa.text('wanted_at IS NOT NULL'))


def downgrade():
    op.drop_table('campaign_details')
