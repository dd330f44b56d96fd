"""Backtest: what the store holds of a site against its published record."""

from __future__ import annotations

from typing import Any

from pipeline.report.tables import zulu
from pipeline.round.workspace import Workspace
from pipeline.traffic.backtest import AlarmCheck, Backtest, CountCheck, backtest
from pipeline.traffic.published import PublishedReading


def backtest_site(ws: Workspace, site_name: str) -> Backtest:
    """Score the stored series and surges of a site against its published record; nothing is stored.

    Raises
    ------
    ConfigError
        When there is no such site, or a row of its record holds no number where it should.
    """
    return backtest(ws.site(site_name), ws.store.observations(site_name), ws.store.surges(site_name))


def as_record(found: Backtest) -> dict[str, Any]:
    """Return a back-test as plain values for JSON: keys are stable, days are ISO dates, missing is None."""
    return {
        "site": found.site,
        "first_look": zulu(found.first_look) if found.first_look else None,
        "last_look": zulu(found.last_look) if found.last_look else None,
        "compared": found.compared,
        "agreeing": found.agreeing,
        "counts": [_count(check) for check in found.counts],
        "alarms": [_alarm(check) for check in found.alarms],
        "unexplained": [
            {
                "surge_id": surge.surge_id,
                "tier": surge.tier.value,
                "first_alarm_at": zulu(surge.first_alarm_at),
                "peak_at": zulu(surge.peak_at),
                "peak_railcars": surge.peak_railcars,
            }
            for surge in found.unexplained
        ],
        "not_compared": [{**_row(reading), "why": reading.why} for reading in found.silent],
        "summary": list(found.summary()),
    }


def _row(reading: PublishedReading) -> dict[str, Any]:
    row = reading.row
    return {
        "start": row.start.isoformat(),
        "end": row.end.isoformat(),
        "kind": row.kind,
        "value": row.value,
        "unit": row.unit,
        "publisher": row.publisher,
        "confidence": row.confidence,
        "source": row.source,
    }


def _said(reading: PublishedReading) -> dict[str, Any]:
    return {
        **_row(reading),
        "says": reading.says,
        "railcars": reading.railcars,
        "sd": reading.sd,
        "read_as": reading.why,
    }


def _count(check: CountCheck) -> dict[str, Any]:
    return {
        **_said(check.published),
        "looks": check.looks,
        "looks_agreeing": check.agreeing,
        "agrees": check.agrees,
        "ours": check.ours,
        "ours_low": check.ours_low,
        "ours_high": check.ours_high,
        "scene_id": check.scene_id or None,
        "nearest_look_days": check.nearest_days,
        "calibrated_with_it": check.leaned_on,
    }


def _alarm(check: AlarmCheck) -> dict[str, Any]:
    return {
        **_said(check.published),
        "level_before": check.level,
        "surge_id": check.surge_id or None,
        "tier": check.tier or None,
        "first_alarm_at": zulu(check.first_alarm_at) if check.first_alarm_at else None,
        "lag_days": check.lag_days,
        "first_look_at": zulu(check.first_look_at) if check.first_look_at else None,
        "peak_railcars": check.peak_railcars,
    }
