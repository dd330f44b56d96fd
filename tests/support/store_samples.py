"""Rows to store, alike in every store test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from shapely.geometry import LineString, Polygon, box

from pipeline.model import (
    COUNT_MAX,
    Alarm,
    Count,
    Item,
    Observation,
    Outcome,
    Railcar,
    RailcarKind,
    Scene,
    Site,
    Surge,
    SurgeStatus,
    Tier,
    Track,
    Verdict,
)

DAY = datetime(2023, 10, 6, 2, 20, 11, 345678, tzinfo=UTC)


def count(seed: int = 0) -> Count:
    rng = np.random.default_rng(seed)
    peak = rng.uniform(0, 90)
    curve = np.exp(-0.5 * ((np.arange(COUNT_MAX + 1) - peak) / 6.3) ** 2)
    likelihood = tuple(float(f"{value:.6g}") for value in curve / curve.max())
    car = Railcar(
        Polygon([(rng.uniform(), 0.1), (13.9, 0.1), (13.9, 3.1), (0.0, 3.1)]),
        "t1",
        float(rng.uniform(0, 900)),
        13.92,
        RailcarKind.BOX,
        0.931,
    )
    return Count(
        railcars=float(peak),
        low=float(peak - 5),
        high=float(peak + 5),
        detection_limit=11.5,
        likelihood=likelihood,
        method="occupancy",
        method_version="2",
        flags=("CANOPY",),
        by_kind={"box car": 3.0},
        by_track={"t1": float(peak)},
        apron=1 / 3,
        railcar_list=(car,),
        measures={"scale": 0.1 + 0.2},
    )


def observation(number: int = 0, **changes: object) -> Observation:
    row = Observation(
        observation_id=f"id-{number}",
        site="yard",
        scene_id=f"S2A_{number:08d}_R103",
        observed_at=DAY + timedelta(days=number),
        sensor="sentinel-2",
        platform="S2A",
        orbit="R103",
        gsd_m=10.0,
        outcome=Outcome.FLAGGED,
        clear_fraction=0.75,
        flags=("PARTLY_CLEAR",),
        method="occupancy",
        method_version="2",
        config_digest="abc",
        detail="<b>'\"; DROP TABLE observations; --",
        count=count(number),
        item_ids=("a", "b"),
        source="demo",
        processing="05.09",
        chip_path="yard/2023/x.tif",
        chip_sha256="ff",
        history_digest="h",
        sun_elevation_deg=33.3,
        measures={"ndsi": -0.1},
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def surge(name: str = "5f2c-1", **changes: object) -> Surge:
    made = Surge(
        surge_id=name,
        site="yard",
        tier=Tier.HIGH,
        status=SurgeStatus.CONFIRMED,
        onset_earliest=DAY,
        onset_latest=DAY + timedelta(days=5),
        first_alarm_at=DAY + timedelta(days=5),
        peak_at=DAY + timedelta(days=9),
        peak_railcars=73.2,
        expected=8.1,
        expected_low=0.0,
        expected_high=19.0,
        ratio=9.04,
        alarm_rate_per_year=0.004,
        observation_ids=("id-1", "id-2"),
        sentence="Up.",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def alarm(number: int = 0, rate: float = 0.01) -> Alarm:
    return Alarm("yard", f"id-{number}", DAY + timedelta(days=number), Tier.ALERT, "look", rate, 4.0)


def verdict(number: int = 0, **changes: object) -> Verdict:
    made = Verdict(
        f"v-{number}", "yard", "surge", "5f2c-1", "confirm", "Ada", "seen \u202e it", DAY + timedelta(hours=number)
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def site(**changes: object) -> Site:
    track = Track("t1", "one", LineString([(0, 0), (900, 0)]), "yard")
    made = Site("yard", "Yard", "EPSG:32652", box(-100, -100, 1000, 100), (track,))
    return replace(made, **changes)  # type: ignore[arg-type]


def scene(*items: tuple[str, str]) -> Scene:
    made = tuple(Item(name, "c", "demo", processing, DAY, ()) for name, processing in items)
    return Scene("S2A_20231006_R103", "demo", "sentinel-2", "S2A", DAY, 10.0, made)
