"""A small site for the desk's tests: a quiet past, a surge, chips at 10 m and at 1 m, and names that bite."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from shapely.geometry import LineString, Polygon, box

from pipeline.model import (
    COUNT_MAX,
    Asset,
    Count,
    Item,
    Look,
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

EAST, NORTH = 633_000.0, 4_697_000.0
HOSTILE = (
    '<script>window.pwned=1</script><img src=x onerror="window.pwned=1">\'"&quot;`${1}{{7*7}}'
    "\u202eevil\u200f../../etc " + "A" * 10_000
)


def _id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"desk-test:{text}"))


def the_site(hostile: bool = False) -> Site:
    tracks = tuple(
        Track(
            f"t{i}" if not hostile else f"t{i}{HOSTILE}",
            f"Yard {i}" if not hostile else f"Yard {i} {HOSTILE}",
            LineString([(EAST, NORTH + 5 * i), (EAST + 500, NORTH + 12 + 5 * i), (EAST + 1000, NORTH + 5 * i)]),
            "yard",
            provisional=i == 0,
        )
        for i in range(6)
    )
    title = "Tumangang" if not hostile else f"Tumangang {HOSTILE}"
    return Site("tumangang", title, "EPSG:32652", box(EAST - 100, NORTH - 120, EAST + 1100, NORTH + 160), tracks)


def a_look(site: Site, scene_id: str, at: datetime, gsd: float, cars: Sequence[Railcar], seed: int) -> Look:
    rng = np.random.default_rng(seed)
    grid = site.grid(gsd)
    values = (
        np.repeat(rng.normal(0.12, 0.012, (1, *grid.shape)), 3, axis=0) * np.array([1.05, 1.0, 0.9])[:, None, None]
    )
    rows, cols = np.mgrid[0 : grid.height, 0 : grid.width]
    x, y = grid.to_xy(cols + 0.5, rows + 0.5)
    values[:, np.abs(y - NORTH - 20) < 35] *= 1.35  # ballast
    for car in cars:
        west, south, east, north = car.polygon.bounds
        values[:, (x > west) & (x < east) & (y > south) & (y < north)] = 0.34 if car.kind is RailcarKind.BOX else 0.05
    item = Item(scene_id, "c", "s", "", at, (Asset("red", "red.tif"),))
    scene = Scene(scene_id, "s", "vhr" if gsd < 5 else "sentinel-2", "S2A", at, gsd, (item,))
    clear = np.ones(grid.shape, dtype=bool)
    return Look(site.name, scene, grid, ("red", "green", "blue"), values.astype(np.float32), clear, 1.0)


def some_cars(site: Site, number: int) -> tuple[Railcar, ...]:
    out = []
    for i in range(number):
        track = site.tracks[i % len(site.tracks)]
        at = 60.0 + 15.0 * (i // len(site.tracks))
        middle = track.line.interpolate(at)
        shape = Polygon(box(middle.x - 6.5, middle.y - 1.6, middle.x + 6.5, middle.y + 1.6).exterior.coords)
        kind = RailcarKind.BOX if i % 3 else RailcarKind.TANK
        out.append(Railcar(shape, track.track_id, at, 13.0, kind, 0.9))
    return tuple(out)


@dataclass
class MemoryDeskData:
    """The record in memory, with the one promise that the desk needs: a word is never lost or changed."""

    site: Site
    surge_list: tuple[Surge, ...]
    observation_list: tuple[Observation, ...]
    looks: dict[str, Look]
    said: list[Verdict] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def surges(self) -> Sequence[Surge]:
        return self.surge_list

    def observations(self) -> Sequence[Observation]:
        return self.observation_list

    def verdicts(self) -> Sequence[Verdict]:
        with self.lock:
            return tuple(self.said)

    def add_verdict(self, verdict: Verdict) -> None:
        with self.lock:
            if all(v.verdict_id != verdict.verdict_id for v in self.said):
                self.said.append(verdict)

    def look_for(self, scene_id: str) -> Look | None:
        return self.looks.get(scene_id)


def a_world(hostile: bool = False) -> MemoryDeskData:
    """Return a fresh record over the same looks."""
    built = _built(hostile)
    return replace(built, looks=dict(built.looks), said=[], lock=threading.Lock())


@cache
def _built(hostile: bool) -> MemoryDeskData:
    site = the_site(hostile)
    start = datetime(2023, 9, 1, 2, 20, tzinfo=UTC)
    numbers = [4, 0, 6, 3, None, 5, 48, 73, 66, 12, 4]
    observations, looks = [], {}
    for i, n in enumerate(numbers):
        at = start + timedelta(days=5 * i)
        fine = n is not None and n >= 40
        scene_id = f"S2A_{at:%Y%m%d}_R103" + (HOSTILE + str(i) if hostile else "")
        cars = some_cars(site, n) if fine and n is not None else ()
        count = None
        if n is not None:
            likelihood = tuple(float(np.exp(-0.5 * ((k - n) / 4) ** 2)) for k in range(COUNT_MAX + 1))
            count = Count(
                n,
                max(0, n - 6),
                n + 6,
                9.0,
                likelihood,
                "resolved" if fine else "occupancy",
                "1",
                (),
                railcar_list=cars,
            )
        why = "Only 20 % of the track area was clear." + (HOSTILE if hostile else "")
        observations.append(
            Observation(
                observation_id=_id(f"o{i}"),
                site=site.name,
                scene_id=scene_id,
                observed_at=at,
                sensor="vhr" if fine else "sentinel-2",
                platform="S2A",
                orbit="R103",
                gsd_m=1.0 if fine else 10.0,
                outcome=Outcome.REJECTED if count is None else Outcome.FLAGGED if i == 6 else Outcome.COUNTED,
                clear_fraction=0.2 if count is None else 1.0,
                flags=("CLOUDY",) if count is None else ("TRACKS_PROVISIONAL",) if i == 6 else (),
                method=count.method if count else "occupancy",
                method_version="1",
                config_digest="d" * 8,
                detail=why if count is None else "",
                count=count,
                item_ids=(scene_id,),
                source="earth-search",
            )
        )
        looks[scene_id] = a_look(site, scene_id, at, 1.0 if fine else 10.0, cars or some_cars(site, n or 0), i)
    o = observations
    surge = Surge(
        _id("surge"), site.name, Tier.HIGH, SurgeStatus.CONFIRMED, o[5].observed_at, o[6].observed_at,
        o[6].observed_at, o[7].observed_at, 73, 6.0, 0.0, 14.0, 12.2, 0.05, None, "",
        tuple(x.observation_id for x in o[6:9]),
        "2023-10-06: saw 73 (67–79). Expected 6 (90 %: 0–14). Ratio 12 (8–20)." + (HOSTILE if hostile else ""),
    )  # fmt: skip
    past = Surge(
        _id("past"), site.name, Tier.WATCH, SurgeStatus.ENDED, o[1].observed_at, o[2].observed_at, o[2].observed_at,
        o[2].observed_at, 16, 3.0, 0.0, 8.0, 5.3, 1.4, o[3].observed_at, "", (o[2].observation_id,), "",
    )  # fmt: skip
    return MemoryDeskData(site, (past, surge), tuple(observations), looks)
