"""The first schema: looks, judgements, words, rounds, sources, messages, injections.

Alarms and verdicts are append-only, and the database itself holds that.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("alarms", "verdicts")
TABLES = (
    "observations",
    "surges",
    "alarms",
    "verdicts",
    "judgements",
    "rounds",
    "sources",
    "notifications",
    "injections",
)


def upgrade() -> None:
    """Make the schema."""
    op.create_table(
        "observations",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("observation_id", sa.Text(), nullable=False),
        sa.Column("scene_id", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("orbit", sa.Text(), nullable=False),
        sa.Column("gsd_m", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("clear_fraction", sa.Double()),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("method_version", sa.Text(), nullable=False),
        sa.Column("config_digest", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("railcars", sa.Double()),
        sa.Column("railcars_low", sa.Double()),
        sa.Column("railcars_high", sa.Double()),
        sa.Column("detection_limit", sa.Double()),
        sa.Column("count_details", sa.Text()),
        sa.Column("likelihood", sa.LargeBinary()),
        sa.Column("railcar_list", sa.LargeBinary()),
        sa.Column("item_ids", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("processing", sa.Text(), nullable=False),
        sa.Column("chip_path", sa.Text(), nullable=False),
        sa.Column("chip_sha256", sa.Text(), nullable=False),
        sa.Column("history_digest", sa.Text(), nullable=False),
        sa.Column("sun_elevation_deg", sa.Double()),
        sa.Column("measures", sa.Text(), nullable=False),
        sa.Column("superseded_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "observation_id", name="pk_observations"),
    )
    op.create_index("ix_observations_site_observed_at", "observations", ["site", "observed_at"])
    op.create_index(
        "uq_observations_current",
        "observations",
        ["site", "scene_id"],
        unique=True,
        sqlite_where=sa.text("superseded_by = ''"),
        postgresql_where=sa.text("superseded_by = ''"),
    )
    op.create_table(
        "surges",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("surge_id", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("onset_earliest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("onset_latest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_alarm_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("peak_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("peak_railcars", sa.Double(), nullable=False),
        sa.Column("expected", sa.Double(), nullable=False),
        sa.Column("expected_low", sa.Double(), nullable=False),
        sa.Column("expected_high", sa.Double(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=False),
        sa.Column("alarm_rate_per_year", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("observation_ids", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "surge_id", name="pk_surges"),
    )
    op.create_table(
        "alarms",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("observation_id", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("statistic", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate_per_year", sa.Double(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("site", "observation_id", "tier", "statistic", name="pk_alarms"),
    )
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("railcars", sa.Double()),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_site", "verdicts", ["site"])
    op.create_table(
        "judgements",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("site", name="pk_judgements"),
    )
    op.create_table(
        "rounds",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("round_id", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("ledger", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("number", name="pk_rounds"),
        sa.UniqueConstraint("round_id", name="uq_rounds_round_id"),
    )
    op.create_index("ix_rounds_site", "rounds", ["site"])
    op.create_table(
        "sources",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("newest_scene_at", sa.DateTime(timezone=True)),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "source", name="pk_sources"),
    )
    op.create_table(
        "notifications",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_notifications"),
    )
    op.create_table(
        "injections",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("observation_id", sa.Text(), nullable=False),
        sa.Column("injected", sa.Double(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("scene_id", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("method_version", sa.Text(), nullable=False),
        sa.Column("config_digest", sa.Text(), nullable=False),
        sa.Column("detected", sa.Boolean(), nullable=False),
        sa.Column("railcars", sa.Double()),
        sa.Column("railcars_low", sa.Double()),
        sa.Column("railcars_high", sa.Double()),
        sa.PrimaryKeyConstraint("site", "observation_id", "injected", "seed", name="pk_injections"),
    )
    _hold_append_only()


def downgrade() -> None:
    """Remove the schema."""
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION railwatch_append_only()")


def _hold_append_only() -> None:
    """Let the database refuse to change or remove a row of the append-only tables."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION railwatch_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION railwatch_append_only()"
            )
        return
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'table {table} is append-only'); END"
            )
