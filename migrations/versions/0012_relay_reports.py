"""who reports for a relay, how its readers fare, and whom a refusal judges

Revision ID: 0012
Revises: 0006
Create Date: 2026-11-21 22:15:00

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '0012'
down_revision = '0006'
branch_labels = None
depends_on = None

KEY_COLUMNS = ('name', 'created_by_id', 'last_used_from', 'revoked_at', 'revoked_by_id')
LOG_COLUMNS = ('lines_count', 'lost_count', 'behind_bytes', 'problem', 'problem_detail')
QUEUE_COLUMNS = ('heard_at', 'turn', 'problem', 'problem_detail')


def upgrade():
    op.add_column('relay_api_key', sa.Column('name', sa.String(100), server_default='', nullable=False))
    op.add_column('relay_api_key', sa.Column('created_by_id', sa.Integer(), nullable=True))
    op.add_column('relay_api_key', sa.Column('last_used_from', sa.String(45), server_default='', nullable=False))
    op.add_column('relay_api_key', sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('relay_api_key', sa.Column('revoked_by_id', sa.Integer(), nullable=True))
    for column in ('created_by_id', 'revoked_by_id'):
        op.create_foreign_key(
            op.f(f'fk_relay_api_key_{column}'), 'relay_api_key', 'user_account', [column], ['id'],
            ondelete='SET NULL',
        )
    for column in ('lines_count', 'lost_count', 'behind_bytes'):
        op.add_column('relay_log', sa.Column(column, sa.BigInteger(), server_default='0', nullable=False))
    for table in ('relay_log', 'relay_queue'):
        op.add_column(table, sa.Column('problem', sa.String(40), server_default='', nullable=False))
        op.add_column(table, sa.Column('problem_detail', sa.String(300), server_default='', nullable=False))
    op.alter_column('relay_queue', 'seen_at', nullable=True)
    op.add_column('relay_queue', sa.Column('heard_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False))
    op.add_column('relay_queue', sa.Column('turn', sa.String(32), server_default='', nullable=False))
    op.add_column('relay_outcome', sa.Column('is_about_us', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('egress_use', sa.Column('delivered', sa.Integer(), server_default='0', nullable=False))


def downgrade():
    op.drop_column('egress_use', 'delivered')
    op.drop_column('relay_outcome', 'is_about_us')
    op.execute("DELETE FROM relay_queue WHERE seen_at IS NULL")
    op.alter_column('relay_queue', 'seen_at', nullable=False)
    for table, columns in (('relay_queue', QUEUE_COLUMNS), ('relay_log', LOG_COLUMNS), ('relay_api_key', KEY_COLUMNS)):
        for column in columns:
            op.drop_column(table, column)
