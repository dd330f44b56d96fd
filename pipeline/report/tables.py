"""The series and the surges as rows of plain values, in the columns that others rely on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.model import Observation, Surge

SERIES_COLUMNS = (
    "site", "scene_id", "observed_at", "sensor", "gsd_m", "outcome", "railcars", "railcars_low", "railcars_high",
    "detection_limit", "clear_fraction", "flags", "method", "method_version", "config_digest", "observation_id",
)  # fmt: skip
SURGE_COLUMNS = (
    "surge_id", "site", "tier", "status", "onset_earliest", "onset_latest", "first_alarm_at", "peak_at",
    "peak_railcars", "expected", "expected_low", "expected_high", "ratio", "alarm_rate_per_year", "ended_at",
    "verdict",
)  # fmt: skip
Row = dict[str, Any]


def zulu(at: datetime) -> str:
    """Return a time as ISO 8601 in UTC with Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def series_row(observation: Observation) -> Row:
    """Return one row of the series; numbers of railcars are None without a count, never zero."""
    count = observation.count
    return {
        "site": observation.site,
        "scene_id": observation.scene_id,
        "observed_at": zulu(observation.observed_at),
        "sensor": observation.sensor,
        "gsd_m": observation.gsd_m,
        "outcome": observation.outcome.value,
        "railcars": None if count is None else count.railcars,
        "railcars_low": None if count is None else count.low,
        "railcars_high": None if count is None else count.high,
        "detection_limit": None if count is None else count.detection_limit,
        "clear_fraction": observation.clear_fraction,
        "flags": "|".join(observation.flags),
        "method": observation.method,
        "method_version": observation.method_version,
        "config_digest": observation.config_digest,
        "observation_id": observation.observation_id,
    }


def surge_row(surge: Surge) -> Row:
    """Return one row of the surges."""
    return {
        "surge_id": surge.surge_id,
        "site": surge.site,
        "tier": surge.tier.value,
        "status": surge.status.value,
        "onset_earliest": zulu(surge.onset_earliest),
        "onset_latest": zulu(surge.onset_latest),
        "first_alarm_at": zulu(surge.first_alarm_at),
        "peak_at": zulu(surge.peak_at),
        "peak_railcars": surge.peak_railcars,
        "expected": surge.expected,
        "expected_low": surge.expected_low,
        "expected_high": surge.expected_high,
        "ratio": surge.ratio,
        "alarm_rate_per_year": surge.alarm_rate_per_year,
        "ended_at": None if surge.ended_at is None else zulu(surge.ended_at),
        "verdict": surge.verdict,
    }


def as_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Return rows as CSV with a header; None is an empty field.

    A text that a spreadsheet would take for a formula is kept as it is: the file is data, and a changed scene id
    would not be found again.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if row[name] is None else row[name] for name in columns})
    return out.getvalue()
