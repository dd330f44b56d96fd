"""Words of the model to rows and back, without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import shapely
from sqlalchemy import RowMapping

from pipeline.model import (
    Alarm,
    Count,
    Ledger,
    LedgerEntry,
    Observation,
    Outcome,
    Railcar,
    RailcarKind,
    Surge,
    SurgeStatus,
    Tier,
    Verdict,
)

Row = RowMapping

_PLAIN = (
    "observation_id",
    "site",
    "scene_id",
    "observed_at",
    "sensor",
    "platform",
    "orbit",
    "method",
    "method_version",
    "config_digest",
    "detail",
    "source",
    "processing",
    "chip_path",
    "chip_sha256",
    "history_digest",
    "superseded_by",
)
_SURGE_PLAIN = (
    "surge_id",
    "site",
    "onset_earliest",
    "onset_latest",
    "first_alarm_at",
    "peak_at",
    "ended_at",
    "verdict",
    "sentence",
)
_SURGE_NUMBERS = (
    "peak_railcars",
    "expected",
    "expected_low",
    "expected_high",
    "ratio",
    "alarm_rate_per_year",
)


def observation_to_row(observation: Observation) -> dict[str, Any]:
    """Return the columns of an observation."""
    row: dict[str, Any] = {name: getattr(observation, name) for name in _PLAIN}
    row |= {
        "gsd_m": float(observation.gsd_m),
        "outcome": observation.outcome.value,
        "clear_fraction": _number(observation.clear_fraction),
        "flags": list(observation.flags),
        "item_ids": list(observation.item_ids),
        "sun_elevation_deg": _number(observation.sun_elevation_deg),
        "measures": _numbers(observation.measures),
        "railcars": None,
        "railcars_low": None,
        "railcars_high": None,
        "detection_limit": None,
        "count_details": None,
        "likelihood": None,
        "railcar_list": None,
    }
    count = observation.count
    if count is not None:
        row |= {
            "railcars": float(count.railcars),
            "railcars_low": float(count.low),
            "railcars_high": float(count.high),
            "detection_limit": float(count.detection_limit),
            "count_details": {
                "method": count.method,
                "method_version": count.method_version,
                "flags": list(count.flags),
                "by_kind": _numbers(count.by_kind),
                "by_track": _numbers(count.by_track),
                "apron": _number(count.apron),
                "measures": _numbers(count.measures),
            },
            "likelihood": [float(value) for value in count.likelihood],
            "railcar_list": [_railcar_to_json(car) for car in count.railcar_list] or None,
        }
    return row


def observation_from_row(row: Row) -> Observation:
    """Return the observation of a row."""
    details = row["count_details"]
    count = None
    if details is not None:
        count = Count(
            railcars=row["railcars"],
            low=row["railcars_low"],
            high=row["railcars_high"],
            detection_limit=row["detection_limit"],
            likelihood=tuple(row["likelihood"]),
            method=details["method"],
            method_version=details["method_version"],
            flags=tuple(details["flags"]),
            by_kind=details["by_kind"],
            by_track=details["by_track"],
            apron=details["apron"],
            railcar_list=tuple(_railcar_from_json(car) for car in row["railcar_list"] or ()),
            measures=details["measures"],
        )
    return Observation(
        **{name: row[name] for name in _PLAIN},
        gsd_m=row["gsd_m"],
        outcome=Outcome(row["outcome"]),
        clear_fraction=row["clear_fraction"],
        flags=tuple(row["flags"]),
        count=count,
        item_ids=tuple(row["item_ids"]),
        sun_elevation_deg=row["sun_elevation_deg"],
        measures=row["measures"],
    )


def surge_to_row(surge: Surge) -> dict[str, Any]:
    """Return the columns of a surge."""
    return {
        **{name: getattr(surge, name) for name in _SURGE_PLAIN},
        **{name: float(getattr(surge, name)) for name in _SURGE_NUMBERS},
        "tier": surge.tier.value,
        "status": surge.status.value,
        "observation_ids": list(surge.observation_ids),
    }


def surge_from_row(row: Row) -> Surge:
    """Return the surge of a row."""
    return Surge(
        **{name: row[name] for name in (*_SURGE_PLAIN, *_SURGE_NUMBERS)},
        tier=Tier(row["tier"]),
        status=SurgeStatus(row["status"]),
        observation_ids=tuple(row["observation_ids"]),
    )


def alarm_to_row(alarm: Alarm) -> dict[str, Any]:
    """Return the columns of an alarm."""
    return {
        "site": alarm.site,
        "observation_id": alarm.observation_id,
        "observed_at": alarm.observed_at,
        "tier": alarm.tier.value,
        "statistic": alarm.statistic,
        "rate_per_year": float(alarm.rate_per_year),
        "ratio": float(alarm.ratio),
    }


def alarm_from_row(row: Row) -> Alarm:
    """Return the alarm of a row."""
    return Alarm(**{**row, "tier": Tier(row["tier"])})


def verdict_to_row(verdict: Verdict) -> dict[str, Any]:
    """Return the columns of a verdict."""
    names = ("verdict_id", "site", "subject", "subject_id", "decision", "by", "note", "at", "reason")
    return {**{name: getattr(verdict, name) for name in names}, "railcars": _number(verdict.railcars)}


def verdict_from_row(row: Row) -> Verdict:
    """Return the verdict of a row."""
    return Verdict(**row)


def ledger_to_json(ledger: Ledger) -> list[list[str]]:
    """Return a ledger as JSON."""
    return [[entry.step, entry.subject, entry.outcome, entry.detail] for entry in ledger.entries]


def ledger_from_json(value: list[list[Any]] | None) -> Ledger:
    """Return the ledger of a JSON value, the empty one for None."""
    return Ledger(tuple(LedgerEntry(*parts) for parts in value or ()))


def _railcar_to_json(car: Railcar) -> list[Any]:
    """Return a railcar; the outline as WKB keeps every bit of its coordinates."""
    return [
        shapely.to_wkb(car.polygon, hex=True),
        car.track_id,
        float(car.position_m),
        float(car.length_m),
        car.kind.value,
        float(car.score),
    ]


def _railcar_from_json(value: list[Any]) -> Railcar:
    outline, track_id, position, length, kind, score = value
    polygon = shapely.from_wkb(outline)
    return Railcar(polygon, track_id, position, length, RailcarKind(kind), score)


def _number(value: float | None) -> float | None:
    """Return a Python float: drivers do not take numpy's."""
    return None if value is None else float(value)


def _numbers(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
