"""first schema

Revision ID: 0001
Revises: 
Create Date: 2026-11-21 12:43:30.655888

"""
from datetime import datetime, timedelta, timezone

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


# revision identifiers, used by Alembic.
revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('attempt',
    sa.Column('frozen_on', sa.Date(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('attempt', sa.SmallInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('stage', sa.String(length=20), nullable=False),
    sa.Column('reply_code', sa.SmallInteger(), nullable=True),
    sa.Column('reply_text', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('frozen_on', 'campaign_id', 'seq', 'attempt', 'at', name=op.f('pk_attempt')),
    postgresql_partition_by='RANGE (frozen_on)'
    )
    op.create_table('delivery',
    sa.Column('frozen_on', sa.Date(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('status', sa.Enum('planned', 'sending', 'accepted', 'delivered', 'deferred', 'bounced', 'failed', 'skipped', 'unknown', name='delivery_status'), nullable=False),
    sa.Column('skip_reason', sa.Enum('unsubscribed', 'suppressed', 'erased', 'cancelled', name='skip_reason', native_enum=False, create_constraint=True, length=20), nullable=True),
    sa.Column('attempts', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('claim', sa.Integer(), server_default='0', nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=True),
    sa.Column('unknown_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('first_attempt_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_attempt_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reply_code', sa.SmallInteger(), nullable=True),
    sa.Column('reply_text', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('frozen_on', 'campaign_id', 'seq', name=op.f('pk_delivery')),
    sa.UniqueConstraint('frozen_on', 'campaign_id', 'contact_id', name=op.f('uq_delivery_frozen_on_campaign_id_contact_id')),
    postgresql_partition_by='RANGE (frozen_on)'
    )
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.create_index('ix_delivery_contact_id', ['contact_id'], unique=False)

    op.create_table('engagement',
    sa.Column('frozen_on', sa.Date(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('opens', sa.Integer(), server_default='0', nullable=False),
    sa.Column('clicks', sa.Integer(), server_default='0', nullable=False),
    sa.Column('first_open_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('first_click_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('unsubscribed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('frozen_on', 'campaign_id', 'seq', name=op.f('pk_engagement')),
    postgresql_partition_by='RANGE (frozen_on)'
    )
    op.create_table('event',
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('source_id', sa.String(length=40), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('open', 'click', 'unsubscribe', name='event_kind', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('link', sa.SmallInteger(), nullable=True),
    sa.Column('ip', postgresql.INET(), nullable=True),
    sa.Column('user_agent', sa.String(length=300), server_default='', nullable=False),
    sa.Column('verdict', sa.String(length=10), nullable=True),
    sa.Column('rule', sa.String(length=60), nullable=True),
    sa.PrimaryKeyConstraint('occurred_at', 'source_id', name=op.f('pk_event')),
    postgresql_partition_by='RANGE (occurred_at)'
    )
    with op.batch_alter_table('event', schema=None) as batch_op:
        batch_op.create_index('ix_event_campaign_id_seq', ['campaign_id', 'seq'], unique=False)

    op.create_table('relay',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('host', sa.String(length=253), nullable=False),
    sa.Column('port', sa.Integer(), nullable=False),
    sa.Column('security', sa.Enum('none', 'starttls', 'tls', name='relay_security', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('verify_certificate', sa.Boolean(), nullable=False),
    sa.Column('username', sa.String(), nullable=False),
    sa.Column('password_encrypted', sa.LargeBinary(), nullable=True),
    sa.Column('connections', sa.Integer(), nullable=False),
    sa.Column('messages_per_connection', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('connections BETWEEN 1 AND 64', name=op.f('ck_relay_connections')),
    sa.CheckConstraint('port BETWEEN 1 AND 65535', name=op.f('ck_relay_port')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_relay')),
    sa.UniqueConstraint('name', name=op.f('uq_relay_name'))
    )
    op.create_table('user_account',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('password_hash', sa.String(), nullable=False),
    sa.Column('password_is_generated', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('is_administrator', sa.Boolean(), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('locale', sa.String(length=5), nullable=False),
    sa.Column('session_epoch', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_login_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_account')),
    sa.UniqueConstraint('email', name=op.f('uq_user_account_email'))
    )
    op.create_table('panel',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('slug', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('colour', sa.String(length=20), nullable=False),
    sa.Column('mode', sa.Enum('practice', 'real', name='panel_mode', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('relay_id', sa.Integer(), nullable=True),
    sa.Column('timezone', sa.String(length=60), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("mode = 'practice' OR relay_id IS NOT NULL", name=op.f('ck_panel_real_has_relay')),
    sa.ForeignKeyConstraint(['relay_id'], ['relay.id'], name=op.f('fk_panel_relay_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_panel')),
    sa.UniqueConstraint('slug', name=op.f('uq_panel_slug'))
    )
    op.create_table('campaign',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=150), nullable=False),
    sa.Column('subject', sa.String(), server_default='', nullable=False),
    sa.Column('preheader', sa.String(), server_default='', nullable=False),
    sa.Column('from_name', sa.String(), server_default='', nullable=False),
    sa.Column('from_email', sa.String(length=254), server_default='', nullable=False),
    sa.Column('reply_to', sa.String(length=254), server_default='', nullable=False),
    sa.Column('html', sa.String(), server_default='', nullable=False),
    sa.Column('text', sa.String(), server_default='', nullable=False),
    sa.Column('status', sa.Enum('draft', 'in_review', 'scheduled', 'preparing', 'sending', 'paused', 'finished', 'cancelled', name='campaign_status', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('status_reason', sa.String(), nullable=True),
    sa.Column('scheduled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('rate_per_hour', sa.Integer(), nullable=True),
    sa.Column('relay_failures', sa.Integer(), server_default='0', nullable=False),
    sa.Column('frozen_on', sa.Date(), nullable=True),
    sa.Column('audience_cursor', sa.Integer(), server_default='0', nullable=False),
    sa.Column('audience_size', sa.Integer(), server_default='0', nullable=False),
    sa.Column('audience_expected', sa.Integer(), server_default='0', nullable=False),
    sa.Column('audience_frozen_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lease_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('rate_per_hour > 0', name=op.f('ck_campaign_rate_per_hour')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_campaign_created_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_campaign_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_campaign'))
    )
    with op.batch_alter_table('campaign', schema=None) as batch_op:
        batch_op.create_index('ix_campaign_panel_id_id', ['panel_id', 'id'], unique=False)
        batch_op.create_index('ix_campaign_status_scheduled_at', ['status', 'scheduled_at'], unique=False)

    op.create_table('contact',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('domain', sa.String(length=253), nullable=False),
    sa.Column('name', sa.String(length=200), server_default='', nullable=False),
    sa.Column('fields', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_contact_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contact')),
    sa.UniqueConstraint('panel_id', 'email', name=op.f('uq_contact_panel_id_email'))
    )
    with op.batch_alter_table('contact', schema=None) as batch_op:
        batch_op.create_index('ix_contact_panel_id_email_prefix', ['panel_id', sa.literal_column('email varchar_pattern_ops')], unique=False)
        batch_op.create_index('ix_contact_panel_id_id', ['panel_id', 'id'], unique=False)
        batch_op.create_index('ix_contact_panel_id_name_key', ['panel_id', sa.literal_column('''(lower(translate(name, 'ÁÉÍÓÚÜÑÀÈÌÒÙÂÊÎÔÛÄËÏÖÃÕÇáéíóúüñàèìòùâêîôûäëïöãõç', 'AEIOUUNAEIOUAEIOUAEIOAOCaeiouunaeiouaeiouaeioaoc')) COLLATE "C")'''), 'id'], unique=False)

    op.create_table('custom_field',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=40), nullable=False),
    sa.Column('label', sa.String(length=100), nullable=False),
    sa.Column('type', sa.Enum('text', 'number', 'date', 'boolean', name='field_type', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("key ~ '^[a-z][a-z0-9_]{0,39}$'", name=op.f('ck_custom_field_key')),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_custom_field_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_custom_field')),
    sa.UniqueConstraint('panel_id', 'key', name=op.f('uq_custom_field_panel_id_key'))
    )
    op.create_table('mailing_list',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('description', sa.String(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_mailing_list_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mailing_list')),
    sa.UniqueConstraint('panel_id', 'name', name=op.f('uq_mailing_list_panel_id_name'))
    )
    op.create_table('membership',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('role', sa.Enum('viewer', 'editor', 'manager', name='role', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_membership_panel_id')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_membership_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'panel_id', name=op.f('pk_membership'))
    )
    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_membership_panel_id'), ['panel_id'], unique=False)

    op.create_table('practice_message',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('message_id', sa.String(length=300), nullable=False),
    sa.Column('mail_from', sa.String(length=320), nullable=False),
    sa.Column('rcpt_to', sa.String(length=320), nullable=False),
    sa.Column('subject', sa.String(length=500), server_default='', nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('size_bytes', sa.Integer(), nullable=False),
    sa.Column('raw', sa.LargeBinary(), nullable=True),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_practice_message_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_practice_message'))
    )
    with op.batch_alter_table('practice_message', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_practice_message_message_id'), ['message_id'], unique=False)
        batch_op.create_index('ix_practice_message_panel_id_id', ['panel_id', 'id'], unique=False)

    op.create_table('removed_field',
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=40), nullable=False),
    sa.Column('emptied_to', sa.BigInteger(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_removed_field_panel_id')),
    sa.PrimaryKeyConstraint('panel_id', 'key', name=op.f('pk_removed_field'))
    )
    op.create_table('sending_domain',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('domain', sa.String(length=253), nullable=False),
    sa.Column('return_path_domain', sa.String(length=253), nullable=False),
    sa.Column('tracking_url', sa.String(length=300), nullable=True),
    sa.Column('dns_states', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('dns_details', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('dns_checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_sending_domain_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sending_domain')),
    sa.UniqueConstraint('panel_id', 'domain', name=op.f('uq_sending_domain_panel_id_domain'))
    )
    op.create_table('suppression',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=True),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('reason', sa.Enum('unsubscribed', 'complaint', 'hard_bounce', 'manual', name='suppression_reason', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('source', sa.String(length=200), server_default='', nullable=False),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_suppression_created_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_suppression_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suppression')),
    sa.UniqueConstraint('panel_id', 'email', name=op.f('uq_suppression_panel_id_email'), postgresql_nulls_not_distinct=True)
    )
    with op.batch_alter_table('suppression', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_suppression_email'), ['email'], unique=False)

    op.create_table('batch',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('frozen_on', sa.Date(), nullable=False),
    sa.Column('first_seq', sa.Integer(), nullable=False),
    sa.Column('last_seq', sa.Integer(), nullable=False),
    sa.Column('status', sa.Enum('ready', 'claimed', 'done', name='batch_status', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('claim', sa.Integer(), server_default='0', nullable=False),
    sa.Column('claimed_by', sa.String(length=100), nullable=True),
    sa.Column('lease_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('rung_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('planned', sa.Integer(), server_default='0', nullable=False),
    sa.Column('sending', sa.Integer(), server_default='0', nullable=False),
    sa.Column('accepted', sa.Integer(), server_default='0', nullable=False),
    sa.Column('delivered', sa.Integer(), server_default='0', nullable=False),
    sa.Column('deferred', sa.Integer(), server_default='0', nullable=False),
    sa.Column('bounced', sa.Integer(), server_default='0', nullable=False),
    sa.Column('failed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('skipped', sa.Integer(), server_default='0', nullable=False),
    sa.Column('unknown', sa.Integer(), server_default='0', nullable=False),
    sa.CheckConstraint('last_seq >= first_seq', name=op.f('ck_batch_range')),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_batch_campaign_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_batch')),
    sa.UniqueConstraint('campaign_id', 'first_seq', name=op.f('uq_batch_campaign_id_first_seq'))
    )
    with op.batch_alter_table('batch', schema=None) as batch_op:
        batch_op.create_index('ix_batch_open', ['campaign_id', 'id'], unique=False, postgresql_where=sa.text("status <> 'done'"))

    op.create_table('campaign_link',
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('url', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_campaign_link_campaign_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('campaign_id', 'position', name=op.f('pk_campaign_link'))
    )
    op.create_table('campaign_list',
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('list_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_campaign_list_campaign_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_list.id'], name=op.f('fk_campaign_list_list_id')),
    sa.PrimaryKeyConstraint('campaign_id', 'list_id', name=op.f('pk_campaign_list'))
    )
    with op.batch_alter_table('campaign_list', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_campaign_list_list_id'), ['list_id'], unique=False)

    op.create_table('campaign_sample',
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('answered', sa.Integer(), nullable=False),
    sa.Column('accepted', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_campaign_sample_campaign_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('campaign_id', 'at', name=op.f('pk_campaign_sample'))
    )
    op.create_table('dkim_key',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('sending_domain_id', sa.Integer(), nullable=False),
    sa.Column('selector', sa.String(length=63), nullable=False),
    sa.Column('algorithm', sa.Enum('rsa-sha256', 'ed25519-sha256', name='dkim_algorithm', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('private_key_encrypted', sa.LargeBinary(), nullable=False),
    sa.Column('public_record', sa.String(), nullable=False),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('is_published', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['sending_domain_id'], ['sending_domain.id'], name=op.f('fk_dkim_key_sending_domain_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dkim_key')),
    sa.UniqueConstraint('sending_domain_id', 'selector', name=op.f('uq_dkim_key_sending_domain_id_selector'))
    )
    with op.batch_alter_table('dkim_key', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_dkim_key_sending_domain_id'), ['sending_domain_id'], unique=False)

    op.create_table('import',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('list_id', sa.Integer(), nullable=True),
    sa.Column('list_name', sa.String(length=100), nullable=True),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('stored_path', sa.String(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('encoding', sa.String(length=40), nullable=False),
    sa.Column('delimiter', sa.String(length=1), nullable=False),
    sa.Column('has_header', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('header', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('mapping', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('status', sa.Enum('uploaded', 'queued', 'analysing', 'ready', 'confirmed', 'applying', 'done', 'failed', 'cancelled', name='import_status', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('counts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('progress_bytes', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('error', sa.String(), nullable=True),
    sa.Column('claim', sa.Integer(), server_default='0', nullable=False),
    sa.Column('lease_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('moved_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_import_created_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_list.id'], name=op.f('fk_import_list_id')),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_import_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import'))
    )
    with op.batch_alter_table('import', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_import_panel_id'), ['panel_id'], unique=False)

    op.create_table('proof',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('panel_id', sa.Integer(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=True),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('status', sa.Enum('queued', 'sending', 'accepted', 'failed', 'unknown', name='proof_status', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('reply', sa.String(), nullable=True),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('lease_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_proof_campaign_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['contact_id'], ['contact.id'], name=op.f('fk_proof_contact_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_proof_created_by_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['panel_id'], ['panel.id'], name=op.f('fk_proof_panel_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_proof'))
    )
    with op.batch_alter_table('proof', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_proof_campaign_id'), ['campaign_id'], unique=False)

    op.create_table('subscription',
    sa.Column('list_id', sa.Integer(), nullable=False),
    sa.Column('contact_id', sa.BigInteger(), nullable=False),
    sa.Column('status', sa.Enum('subscribed', 'unsubscribed', name='subscription_status', native_enum=False, create_constraint=True, length=20), nullable=False),
    sa.Column('source', sa.String(length=200), server_default='', nullable=False),
    sa.Column('subscribed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('unsubscribed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('unsubscribe_source', sa.String(length=200), nullable=True),
    sa.ForeignKeyConstraint(['contact_id'], ['contact.id'], name=op.f('fk_subscription_contact_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['list_id'], ['mailing_list.id'], name=op.f('fk_subscription_list_id')),
    sa.PrimaryKeyConstraint('list_id', 'contact_id', name=op.f('pk_subscription'))
    )
    with op.batch_alter_table('subscription', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_subscription_contact_id'), ['contact_id'], unique=False)
        batch_op.create_index('ix_subscription_unsubscribed', ['list_id', 'contact_id'], unique=False, postgresql_where=sa.text("status = 'unsubscribed'"))

    op.create_table('import_row',
    sa.Column('import_id', sa.Integer(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('name', sa.String(length=200), server_default='', nullable=False),
    sa.Column('fields', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('outcome', sa.Enum('new', 'changed', 'unchanged', 'duplicate', 'invalid', 'suppressed', 'unsubscribed', name='row_outcome', native_enum=False, create_constraint=True, length=20), nullable=True),
    sa.Column('column', sa.Integer(), nullable=True),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('cells', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.PrimaryKeyConstraint('import_id', 'line', name=op.f('pk_import_row'))
    )
    with op.batch_alter_table('import_row', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_import_row_email'), ['email'], unique=False)
        batch_op.create_index('ix_import_row_rejected', ['import_id', 'line'], unique=False, postgresql_where=sa.text('cells IS NOT NULL'))

    first = datetime.now(timezone.utc).date().replace(day=1)
    for _ in range(2):
        following = (first + timedelta(days=32)).replace(day=1)
        for table in ('delivery', 'attempt', 'engagement', 'event'):
            midnight = ' 00:00+00' if table == 'event' else ''
            storage = ' WITH (fillfactor = 60)' if table == 'delivery' else ''
            op.execute(
                f"CREATE TABLE {table}_{first:%Y_%m} PARTITION OF {table} "
                f"FOR VALUES FROM ('{first}{midnight}') TO ('{following}{midnight}'){storage}"
            )
        first = following


def downgrade():
    with op.batch_alter_table('import_row', schema=None) as batch_op:
        batch_op.drop_index('ix_import_row_rejected')
        batch_op.drop_index(batch_op.f('ix_import_row_email'))

    op.drop_table('import_row')
    with op.batch_alter_table('subscription', schema=None) as batch_op:
        batch_op.drop_index('ix_subscription_unsubscribed')
        batch_op.drop_index(batch_op.f('ix_subscription_contact_id'))

    op.drop_table('subscription')
    with op.batch_alter_table('proof', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_proof_campaign_id'))

    op.drop_table('proof')
    with op.batch_alter_table('import', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_import_panel_id'))

    op.drop_table('import')
    with op.batch_alter_table('dkim_key', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_dkim_key_sending_domain_id'))

    op.drop_table('dkim_key')
    with op.batch_alter_table('campaign_list', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_campaign_list_list_id'))

    op.drop_table('campaign_list')
    op.drop_table('campaign_sample')
    op.drop_table('campaign_link')
    with op.batch_alter_table('batch', schema=None) as batch_op:
        batch_op.drop_index('ix_batch_open', postgresql_where=sa.text("status <> 'done'"))

    op.drop_table('batch')
    with op.batch_alter_table('suppression', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_suppression_email'))

    op.drop_table('suppression')
    op.drop_table('sending_domain')
    with op.batch_alter_table('practice_message', schema=None) as batch_op:
        batch_op.drop_index('ix_practice_message_panel_id_id')
        batch_op.drop_index(batch_op.f('ix_practice_message_message_id'))

    op.drop_table('practice_message')
    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_membership_panel_id'))

    op.drop_table('membership')
    op.drop_table('mailing_list')
    op.drop_table('removed_field')
    op.drop_table('custom_field')
    with op.batch_alter_table('contact', schema=None) as batch_op:
        batch_op.drop_index('ix_contact_panel_id_name_key')
        batch_op.drop_index('ix_contact_panel_id_id')
        batch_op.drop_index('ix_contact_panel_id_email_prefix')

    op.drop_table('contact')
    with op.batch_alter_table('campaign', schema=None) as batch_op:
        batch_op.drop_index('ix_campaign_status_scheduled_at')
        batch_op.drop_index('ix_campaign_panel_id_id')

    op.drop_table('campaign')
    op.drop_table('panel')
    op.drop_table('user_account')
    op.drop_table('relay')
    with op.batch_alter_table('event', schema=None) as batch_op:
        batch_op.drop_index('ix_event_campaign_id_seq')

    op.drop_table('event')
    op.drop_table('engagement')
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_index('ix_delivery_contact_id')

    op.drop_table('delivery')
    op.drop_table('attempt')
    op.execute('DROP TYPE delivery_status')
