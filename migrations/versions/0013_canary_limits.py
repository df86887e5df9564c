"""what holds the rest of a campaign is chosen by campaign and panel; complaints are events

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-21 22:15:00

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

LIMITS = {'bounced': '5', 'deferred': '20', 'complained': '0.3'}
IN_RANGE = ' AND '.join(f'canary_{what}_percent BETWEEN 0 AND 100' for what in LIMITS)


def upgrade():
    op.add_column('panel', sa.Column('canary_minutes', sa.Integer(), server_default='30', nullable=False))
    op.create_check_constraint(op.f('ck_panel_canary_minutes'), 'panel', 'canary_minutes BETWEEN 1 AND 1440')
    for what, percent in LIMITS.items():
        op.add_column('panel', sa.Column(f'canary_{what}_percent', sa.Float(), server_default=percent, nullable=False))
        op.add_column('campaign', sa.Column(f'canary_{what}_percent', sa.Float(), nullable=True))
    for table in ('panel', 'campaign'):
        op.create_check_constraint(op.f(f'ck_{table}_canary_limits'), table, IN_RANGE)
    op.alter_column('campaign', 'canary_minutes', nullable=True, server_default=None)
    _kinds('open', 'click', 'unsubscribe', 'complaint')
    op.create_index('ix_event_complaint', 'event', ['campaign_id', 'seq'], postgresql_where=sa.text("kind = 'complaint'"))


def downgrade():
    op.drop_index('ix_event_complaint', 'event')
    op.execute("DELETE FROM event WHERE kind = 'complaint'")
    _kinds('open', 'click', 'unsubscribe')
    op.execute('UPDATE campaign SET canary_minutes = 30 WHERE canary_minutes IS NULL')
    op.alter_column('campaign', 'canary_minutes', nullable=False, server_default='30')
    for table in ('panel', 'campaign'):
        op.drop_constraint(op.f(f'ck_{table}_canary_limits'), table)
        for what in LIMITS:
            op.drop_column(table, f'canary_{what}_percent')
    op.drop_constraint(op.f('ck_panel_canary_minutes'), 'panel')
    op.drop_column('panel', 'canary_minutes')


def _kinds(*kinds):
    op.drop_constraint(op.f('ck_event_event_kind'), 'event')
    listed = ', '.join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f('ck_event_event_kind'), 'event', f'kind IN ({listed})')
