"""batches count their skipped deliveries by reason

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-21 20:50:00

"""
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('batch', sa.Column('skipped_by', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False))
    op.execute("""
        UPDATE batch SET skipped_by = n.skipped_by FROM (
            SELECT id, jsonb_object_agg(skip_reason, number) AS skipped_by FROM (
                SELECT b.id, d.skip_reason, count(*) AS number
                FROM batch b JOIN delivery d ON d.frozen_on = b.frozen_on AND d.campaign_id = b.campaign_id
                     AND d.seq BETWEEN b.first_seq AND b.last_seq
                WHERE b.skipped > 0 AND d.status = 'skipped' AND d.skip_reason IS NOT NULL GROUP BY 1, 2
            ) reasons GROUP BY id
        ) n WHERE batch.id = n.id
    """)


def downgrade():
    op.drop_column('batch', 'skipped_by')
