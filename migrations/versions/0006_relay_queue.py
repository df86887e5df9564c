"""the relay's queue, and campaigns that follow another one up

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-21 20:10:00.000000

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('relay_queue',
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('total', sa.Integer(), server_default='0', nullable=False),
    sa.Column('unreadable', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_relay_queue_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('relay_id', name=op.f('pk_relay_queue'))
    )
    op.create_table('relay_queue_mail',
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('queue_id', sa.String(length=20), nullable=False),
    sa.Column('queue', sa.String(length=20), nullable=False),
    sa.Column('arrived_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('sender', sa.String(length=320), nullable=False),
    sa.Column('recipient', sa.String(length=320), nullable=False),
    sa.Column('recipients', sa.Integer(), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('reason_kind', sa.String(length=40), nullable=False),
    sa.Column('provider', sa.String(length=40), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=True),
    sa.Column('campaign_id', sa.Integer(), nullable=True),
    sa.Column('seq', sa.Integer(), nullable=True),
    sa.Column('egress_ip_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_relay_queue_mail_relay_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('relay_id', 'queue_id', name=op.f('pk_relay_queue_mail'))
    )
    op.create_index('ix_relay_queue_mail_campaign_id', 'relay_queue_mail', ['campaign_id'], unique=False)
    op.create_table('relay_queue_command',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=False),
    sa.Column('action', sa.Enum('hold', 'release', 'requeue', 'delete', name='queue_action', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('status', sa.Enum('proposed', 'waiting', 'done', 'withdrawn', name='queue_command_status', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('mails', sa.Integer(), server_default='0', nullable=False),
    sa.Column('requested_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('requested_by_id', sa.Integer(), nullable=True),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_relay_queue_command_relay_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['requested_by_id'], ['user_account.id'], name=op.f('fk_relay_queue_command_requested_by_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_relay_queue_command'))
    )
    op.create_index(op.f('ix_relay_queue_command_relay_id'), 'relay_queue_command', ['relay_id'], unique=False)
    op.create_table('relay_queue_command_mail',
    sa.Column('command_id', sa.Integer(), nullable=False),
    sa.Column('queue_id', sa.String(length=20), nullable=False),
    sa.Column('arrived_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=True),
    sa.Column('seq', sa.Integer(), nullable=True),
    sa.Column('outcome', sa.Enum('held', 'done', 'gone', 'busy', name='queue_outcome', native_enum=False, create_constraint=True, length=20), nullable=True),
    sa.ForeignKeyConstraint(['command_id'], ['relay_queue_command.id'], name=op.f('fk_relay_queue_command_mail_command_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('command_id', 'queue_id', name=op.f('pk_relay_queue_command_mail'))
    )
    op.add_column('campaign', sa.Column('follow_up_of_id', sa.Integer(), nullable=True))
    op.create_foreign_key(op.f('fk_campaign_follow_up_of_id'), 'campaign', 'campaign', ['follow_up_of_id'], ['id'])
    op.create_index('ix_campaign_follow_up_of_id', 'campaign', ['follow_up_of_id'], unique=True, postgresql_where=sa.text("status <> 'cancelled'"))


def downgrade():
    op.drop_index('ix_campaign_follow_up_of_id', table_name='campaign')
    op.drop_constraint(op.f('fk_campaign_follow_up_of_id'), 'campaign', type_='foreignkey')
    op.drop_column('campaign', 'follow_up_of_id')
    op.drop_table('relay_queue_command_mail')
    op.drop_index(op.f('ix_relay_queue_command_relay_id'), table_name='relay_queue_command')
    op.drop_table('relay_queue_command')
    op.drop_index('ix_relay_queue_mail_campaign_id', table_name='relay_queue_mail')
    op.drop_table('relay_queue_mail')
    op.drop_table('relay_queue')
