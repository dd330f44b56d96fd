"""The schema, one for SQLite and PostgreSQL; changed only together with a migration."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, MetaData, Table, text

from pipeline.store.types import JsonText, PackedJson, SafeText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

observations = Table(
    "observations",
    metadata,
    # The site belongs to the key: two sites of equal geometry share an observation_id, but never a row.
    Column("site", SafeText, primary_key=True),
    Column("observation_id", SafeText, primary_key=True),
    Column("scene_id", SafeText, nullable=False),
    Column("observed_at", UtcDateTime, nullable=False),
    Column("sensor", SafeText, nullable=False),
    Column("platform", SafeText, nullable=False),
    Column("orbit", SafeText, nullable=False),
    Column("gsd_m", Double, nullable=False),
    Column("outcome", SafeText, nullable=False),
    Column("clear_fraction", Double),
    Column("flags", JsonText, nullable=False),
    Column("method", SafeText, nullable=False),
    Column("method_version", SafeText, nullable=False),
    Column("config_digest", SafeText, nullable=False),
    Column("detail", SafeText, nullable=False),
    Column("railcars", Double),
    Column("railcars_low", Double),
    Column("railcars_high", Double),
    Column("detection_limit", Double),
    Column("count_details", JsonText),
    Column("likelihood", PackedJson),
    Column("railcar_list", PackedJson),
    Column("item_ids", JsonText, nullable=False),
    Column("source", SafeText, nullable=False),
    Column("processing", SafeText, nullable=False),
    Column("chip_path", SafeText, nullable=False),
    Column("chip_sha256", SafeText, nullable=False),
    Column("history_digest", SafeText, nullable=False),
    Column("sun_elevation_deg", Double),
    Column("measures", JsonText, nullable=False),
    Column("superseded_by", SafeText, nullable=False),
)
Index("ix_observations_site_observed_at", observations.c.site, observations.c.observed_at)
Index(
    "uq_observations_current",  # a pass has one current row, whoever writes at the same time
    observations.c.site,
    observations.c.scene_id,
    unique=True,
    sqlite_where=text("superseded_by = ''"),
    postgresql_where=text("superseded_by = ''"),
)

surges = Table(
    "surges",
    metadata,
    Column("site", SafeText, primary_key=True),
    Column("surge_id", SafeText, primary_key=True),
    Column("tier", SafeText, nullable=False),
    Column("status", SafeText, nullable=False),
    Column("onset_earliest", UtcDateTime, nullable=False),
    Column("onset_latest", UtcDateTime, nullable=False),
    Column("first_alarm_at", UtcDateTime, nullable=False),
    Column("peak_at", UtcDateTime, nullable=False),
    Column("peak_railcars", Double, nullable=False),
    Column("expected", Double, nullable=False),
    Column("expected_low", Double, nullable=False),
    Column("expected_high", Double, nullable=False),
    Column("ratio", Double, nullable=False),
    Column("alarm_rate_per_year", Double, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("verdict", SafeText, nullable=False),
    Column("observation_ids", JsonText, nullable=False),
    Column("sentence", SafeText, nullable=False),
)

alarms = Table(  # append-only, held by a trigger
    "alarms",
    metadata,
    Column("site", SafeText, primary_key=True),
    Column("observation_id", SafeText, primary_key=True),
    Column("tier", SafeText, primary_key=True),
    Column("statistic", SafeText, primary_key=True),
    Column("observed_at", UtcDateTime, nullable=False),
    Column("rate_per_year", Double, nullable=False),
    Column("ratio", Double, nullable=False),
)

verdicts = Table(  # append-only, held by a trigger
    "verdicts",
    metadata,
    Column("verdict_id", SafeText, primary_key=True),
    Column("site", SafeText, nullable=False, index=True),
    Column("subject", SafeText, nullable=False),
    Column("subject_id", SafeText, nullable=False),
    Column("decision", SafeText, nullable=False),
    Column("by", SafeText, nullable=False),
    Column("note", SafeText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("railcars", Double),
)

judgements = Table(
    "judgements",
    metadata,
    Column("site", SafeText, primary_key=True),
    Column("state", PackedJson, nullable=False),
)

rounds = Table(  # a diary: its times are those of runs, so it is not part of a dump
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("round_id", SafeText, nullable=False, unique=True),
    Column("site", SafeText, nullable=False, index=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("exit_code", Integer),
    Column("ledger", PackedJson),
)

sources = Table(
    "sources",
    metadata,
    Column("site", SafeText, primary_key=True),
    Column("source", SafeText, primary_key=True),
    Column("newest_scene_at", UtcDateTime),
    Column("checked_at", UtcDateTime, nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    Column("key", SafeText, primary_key=True),
    Column("state", SafeText, nullable=False),  # sending, sent, failed
    Column("why", SafeText, nullable=False),
)

injections = Table(
    "injections",
    metadata,
    Column("site", SafeText, primary_key=True),
    Column("observation_id", SafeText, primary_key=True),  # of the look the cars were put into
    Column("injected", Double, primary_key=True),
    Column("seed", Integer, primary_key=True),
    Column("scene_id", SafeText, nullable=False),
    Column("observed_at", UtcDateTime, nullable=False),
    Column("method", SafeText, nullable=False),
    Column("method_version", SafeText, nullable=False),
    Column("config_digest", SafeText, nullable=False),
    Column("detected", Boolean, nullable=False),
    Column("railcars", Double),
    Column("railcars_low", Double),
    Column("railcars_high", Double),
)
