"""egress pools, mailbox providers, streams and weights

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-21 19:10:14.722565

"""
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('mail_domain',
    sa.Column('domain', sa.String(length=253), nullable=False),
    sa.Column('provider', sa.String(length=40), nullable=False),
    sa.Column('mx_host', sa.String(length=253), server_default='', nullable=False),
    sa.Column('looked_up_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('domain', name=op.f('pk_mail_domain'))
    )
    op.create_index(op.f('ix_mail_domain_expires_at'), 'mail_domain', ['expires_at'], unique=False)
    op.create_table('egress_pool',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_egress_pool_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_egress_pool')),
    sa.UniqueConstraint('relay_id', 'name', name=op.f('uq_egress_pool_relay_id_name'))
    )
    op.create_table('provider_limits',
    sa.Column('provider', sa.String(length=40), nullable=False),
    sa.Column('messages_per_minute', sa.Integer(), nullable=False),
    sa.Column('connections', sa.Integer(), nullable=False),
    sa.Column('messages_per_connection', sa.Integer(), nullable=False),
    sa.Column('warm_up_caps', postgresql.ARRAY(sa.Integer()), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_by_id', sa.Integer(), nullable=True),
    sa.CheckConstraint('messages_per_minute >= 1 AND connections >= 1 AND messages_per_connection >= 1', name=op.f('ck_provider_limits_limits')),
    sa.ForeignKeyConstraint(['updated_by_id'], ['user_account.id'], name=op.f('fk_provider_limits_updated_by_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('provider', name=op.f('pk_provider_limits'))
    )
    op.create_table('egress_assignment',
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('stream', sa.Enum('bulk', 'urgent', name='mail_stream', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('pool_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_egress_assignment_panel_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['pool_id'], ['egress_pool.id'], name=op.f('fk_egress_assignment_pool_id')),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_egress_assignment_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('relay_id', 'panel_id', 'stream', name=op.f('pk_egress_assignment'))
    )
    op.create_index(op.f('ix_egress_assignment_pool_id'), 'egress_assignment', ['pool_id'], unique=False)
    op.create_table('egress_ip',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('pool_id', sa.Integer(), nullable=False),
    sa.Column('address', sa.String(length=45), nullable=False),
    sa.Column('helo_name', sa.String(length=253), nullable=False),
    sa.Column('weight', sa.Integer(), server_default='1', nullable=False),
    sa.Column('rate_per_hour', sa.Integer(), nullable=True),
    sa.Column('state', sa.Enum('warming', 'active', 'quarantined', name='egress_state', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('state_reason', sa.String(length=300), server_default='', nullable=False),
    sa.Column('state_since', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('warm_up_started_on', sa.Date(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('rate_per_hour >= 1', name=op.f('ck_egress_ip_rate_per_hour')),
    sa.CheckConstraint('weight BETWEEN 1 AND 1000', name=op.f('ck_egress_ip_weight')),
    sa.ForeignKeyConstraint(['pool_id'], ['egress_pool.id'], name=op.f('fk_egress_ip_pool_id')),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_egress_ip_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_egress_ip')),
    sa.UniqueConstraint('relay_id', 'address', name=op.f('uq_egress_ip_relay_id_address'))
    )
    op.create_index(op.f('ix_egress_ip_pool_id'), 'egress_ip', ['pool_id'], unique=False)
    op.create_table('egress_use',
    sa.Column('egress_ip_id', sa.Integer(), nullable=False),
    sa.Column('provider', sa.String(length=40), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('submitted', sa.Integer(), server_default='0', nullable=False),
    sa.Column('deferred', sa.Integer(), server_default='0', nullable=False),
    sa.Column('bounced', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['egress_ip_id'], ['egress_ip.id'], name=op.f('fk_egress_use_egress_ip_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('egress_ip_id', 'provider', 'day', name=op.f('pk_egress_use'))
    )
    op.create_table('provider_hold',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('egress_ip_id', sa.Integer(), nullable=True),
    sa.Column('provider', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.Enum('slow', 'suspended', name='hold_kind', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('factor', sa.Float(), server_default='1', nullable=False),
    sa.Column('rule', sa.String(length=60), nullable=False),
    sa.Column('reply', sa.String(length=500), server_default='', nullable=False),
    sa.Column('times', sa.Integer(), server_default='1', nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lifted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lifted_by_id', sa.Integer(), nullable=True),
    sa.CheckConstraint('factor > 0 AND factor <= 1', name=op.f('ck_provider_hold_factor')),
    sa.ForeignKeyConstraint(['egress_ip_id'], ['egress_ip.id'], name=op.f('fk_provider_hold_egress_ip_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['lifted_by_id'], ['user_account.id'], name=op.f('fk_provider_hold_lifted_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_provider_hold_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_provider_hold'))
    )
    op.create_index('ix_provider_hold_open', 'provider_hold', ['relay_id', 'provider'], unique=False, postgresql_where=sa.text('lifted_at IS NULL'))
    op.add_column('batch', sa.Column('provider', sa.String(length=40), server_default='other', nullable=False))
    op.add_column('campaign', sa.Column('stream', sa.Enum('bulk', 'urgent', name='mail_stream', native_enum=False, create_constraint=True, length=20), server_default='bulk', nullable=False))
    op.add_column('delivery', sa.Column('egress_ip_id', sa.Integer(), nullable=True))
    op.add_column('panel', sa.Column('weight', sa.Integer(), server_default='1', nullable=False))
    op.add_column('panel', sa.Column('rate_per_hour', sa.Integer(), nullable=True))
    op.add_column('relay', sa.Column('rate_per_hour', sa.Integer(), nullable=True))
    op.create_check_constraint(op.f('ck_panel_weight'), 'panel', 'weight BETWEEN 1 AND 100')
    op.create_check_constraint(op.f('ck_panel_rate_per_hour'), 'panel', 'rate_per_hour >= 1')
    op.create_check_constraint(op.f('ck_relay_rate_per_hour'), 'relay', 'rate_per_hour >= 1')


def downgrade():
    op.drop_column('relay', 'rate_per_hour')
    op.drop_column('panel', 'rate_per_hour')
    op.drop_column('panel', 'weight')
    op.drop_column('delivery', 'egress_ip_id')
    op.drop_column('campaign', 'stream')
    op.drop_column('batch', 'provider')
    op.drop_index('ix_provider_hold_open', table_name='provider_hold', postgresql_where=sa.text('lifted_at IS NULL'))
    op.drop_table('provider_hold')
    op.drop_table('egress_use')
    op.drop_index(op.f('ix_egress_ip_pool_id'), table_name='egress_ip')
    op.drop_table('egress_ip')
    op.drop_index(op.f('ix_egress_assignment_pool_id'), table_name='egress_assignment')
    op.drop_table('egress_assignment')
    op.drop_table('provider_limits')
    op.drop_table('egress_pool')
    op.drop_index(op.f('ix_mail_domain_expires_at'), table_name='mail_domain')
    op.drop_table('mail_domain')
