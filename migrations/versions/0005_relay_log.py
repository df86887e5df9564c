"""what the relay's log tells

Revision ID: 0005
Revises: 0011
Create Date: 2026-11-21 20:08:00.000000

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0005'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('relay_outcome',
    sa.Column('frozen_on', sa.Date(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('queue_id', sa.String(length=30), nullable=False),
    sa.Column('status', sa.String(length=10), nullable=False),
    sa.Column('dsn', sa.String(length=12), server_default='', nullable=False),
    sa.Column('remote_host', sa.String(length=253), server_default='', nullable=False),
    sa.Column('remote_address', sa.String(length=45), server_default='', nullable=False),
    sa.Column('egress_ip_id', sa.Integer(), nullable=True),
    sa.Column('delay_ms', sa.Integer(), nullable=True),
    sa.Column('reply', sa.Text(), server_default='', nullable=False),
    sa.Column('is_applied', sa.Boolean(), server_default='true', nullable=False),
    sa.PrimaryKeyConstraint('frozen_on', 'campaign_id', 'seq', 'at', 'queue_id', 'status', name=op.f('pk_relay_outcome')),
    postgresql_partition_by='RANGE (frozen_on)'
    )
    op.create_index('ix_relay_outcome_waiting', 'relay_outcome', ['campaign_id', 'seq'], unique=False, postgresql_where=sa.text('NOT is_applied'))
    op.create_table('relay_log',
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('complete_since', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('read_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('heard_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('foreign_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('malformed_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_relay_log_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('relay_id', name=op.f('pk_relay_log'))
    )
    op.create_table('relay_api_key',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('key_hash', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_relay_api_key_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_relay_api_key')),
    sa.UniqueConstraint('key_hash', name=op.f('uq_relay_api_key_key_hash'))
    )
    op.create_index(op.f('ix_relay_api_key_relay_id'), 'relay_api_key', ['relay_id'], unique=False)
    # One partition beside each that the ledger has: campaigns that are under way go on.
    op.execute(
        """
        DO $$
        DECLARE part record;
        BEGIN
            FOR part IN
                SELECT replace(c.relname, 'delivery_', 'relay_outcome_') AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'delivery'::regclass AND c.relname ~ '^delivery_[0-9]{4}_[0-9]{2}$'
            LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF relay_outcome %s', part.name, part.bound);
            END LOOP;
        END $$
        """
    )


def downgrade():
    op.drop_table('relay_api_key')
    op.drop_table('relay_log')
    op.drop_table('relay_outcome')
