"""Occupancy at 10 m over simulated sites: error, coverage, detection limit, gates.

Run as `python tests/benchmarks/bench_occupancy_sites.py [SITES] [FIRST_SEED]`.
Sites of seeds from 1000 on were not looked at in tuning; tuning used seeds 1 to 6.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import scipy
import skimage
from shapely.geometry import box

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.occupancy import METHOD_VERSION, count
from pipeline.model import Count, KnownCount, Look, Refusal, Scene, Site
from pipeline.simulate.coarse import SimplePlan, SimulatedLook, render_look, simulate_series
from pipeline.simulate.coarse_world import build_world
from pipeline.simulate.kinds import BANDS
from pipeline.simulate.yard import make_tracks, place_cars

HISTORY, TESTS, KNOWN, BAD = 64, 12, 12, 2
NUMBERS = (0, 0, 5, 10, 15, 20, 40, 60, 80, 100, 120)
SUN = (("low", 0, 35), ("mid", 35, 52), ("high", 52, 90))


@dataclass
class Row:
    seed: int
    case: str
    sky: str
    sun: float
    truth: int
    result: Count | Refusal


def make_site(seed: int) -> Site:
    rng = np.random.default_rng([seed, 77])
    cx, cy = 634000 + rng.integers(-500, 500) * 10.0, 4695000 + rng.integers(-500, 500) * 10.0
    number, length = int(rng.integers(5, 13)), float(rng.uniform(600, 1100))
    azimuth, shape = float(rng.uniform(0, 180)), str(rng.choice(["parallel", "curved", "ladder"]))
    tracks = make_tracks(
        shape, tracks=number, length_m=length, centre=(cx, cy), azimuth_deg=azimuth,
        radius_m=float(rng.uniform(700, 2000)),
    )  # fmt: skip
    east = abs(np.sin(np.deg2rad(azimuth))) * length / 2 + 330
    north = abs(np.cos(np.deg2rad(azimuth))) * length / 2 + 330
    return Site(f"s{seed}", f"s{seed}", "EPSG:32652", box(cx - east, cy - north, cx + east, cy + north), tracks)


def to_look(one: SimulatedLook, site: Site) -> Look:
    clear = np.isin(one.classes, (2, 4, 5, 6, 7, 11))
    when = one.plan.observed_at
    scene = Scene(
        f"S2A_{when:%Y%m%d}_{one.plan.orbit}", "sim", "sentinel-2", "S2A", when, 10.0, (), one.plan.orbit,
        one.sun_elevation_deg, one.sun_azimuth_deg,
    )  # fmt: skip
    return Look(site.name, scene, one.grid, BANDS, one.reflectance(), clear, float(clear.mean()))


def run_site(seed: int, case: str) -> list[Row]:
    """case: known (12 known dates), none (no known date), busy (20-60 cars at all times, 12 known dates)."""
    site, rng = make_site(seed), np.random.default_rng([seed, 78])
    when = datetime(2020, 1, 3, 2, 20, tzinfo=UTC)
    plans = []
    told = set(rng.choice(np.arange(4, HISTORY), KNOWN, replace=False).tolist())
    for index in range(HISTORY + TESTS):
        when += timedelta(days=int(rng.choice([5, 5, 10, 10, 15, 20])) if index < HISTORY else 30)
        cars = int(rng.integers(0, 21)) if rng.random() < 0.5 else 0
        if case == "busy":
            cars = int(rng.integers(20, 61))
        elif index in told or index >= HISTORY:
            cars = int(rng.choice(NUMBERS))
        if case == "busy" and index >= HISTORY:
            cars = int(rng.choice([20, 30, 40, 60, 80, 120]))
        shift = rng.normal(0, 0.25, 2)
        plans.append(SimplePlan(when, cars, "clear", (float(shift[0]), float(shift[1]))))
    simulated = list(simulate_series(site, plans, seed))
    looks = [to_look(one, site) for one in simulated]
    known = [] if case == "none" else [
        KnownCount(looks[i].scene.observed_at, simulated[i].railcars, 0.5, "published") for i in sorted(told)
    ]  # fmt: skip
    settings, quality = CountingSettings(), QualitySettings()
    rows = []
    for one, look in zip(simulated[HISTORY:], looks[HISTORY:], strict=True):
        answer = count(look, looks[:HISTORY], site, known, settings, quality)
        rows.append(Row(seed, case, "clear", one.sun_elevation_deg, one.railcars, answer))
    if case == "known":
        world = build_world(site, seed)
        for number, sky in enumerate(("snow", "shadow", "haze") * BAD):
            plan = plans[HISTORY + number]
            winter = plan.observed_at if sky != "snow" else plan.observed_at.replace(month=1, day=5 + number)
            cars = int(rng.choice(NUMBERS))
            bad = render_look(
                world, SimplePlan(winter, cars, sky, plan.shift_px), place_cars(site.tracks, cars, rng),
                np.random.default_rng([seed, 99, number]),
            )  # fmt: skip
            answer = count(to_look(bad, site), looks[:HISTORY], site, known, settings, quality)
            rows.append(Row(seed, case, sky, bad.sun_elevation_deg, cars, answer))
    return rows


def figures(rows: list[Row]) -> str:
    counted = [(row.truth, row.result) for row in rows if isinstance(row.result, Count)]
    if not counted:
        return f"looks {len(rows)} counted 0"
    truth = np.array([t for t, _ in counted], float)
    error = np.array([c.railcars for _, c in counted]) - truth
    inside = np.mean([c.low <= t <= c.high for t, c in counted])
    few, many = truth <= 20, truth >= 60
    rms = lambda v: float(np.sqrt(np.mean(v**2))) if v.size else float("nan")  # noqa: E731
    return (
        f"looks {len(rows)} refused {len(rows) - len(counted)} bias {error.mean():+.2f} RMSE {rms(error):.1f} "
        f"RMSE<=20 {rms(error[few]):.2f} (n {few.sum()}) relative RMSE>=60 {rms(error[many] / truth[many]):.1%} "
        f"(n {many.sum()}) coverage {inside:.1%} "
        f"detection limit {np.median([c.detection_limit for _, c in counted]):.0f}"
    )


def pooled_limit(rows: list[Row]) -> float:
    """Smallest number found with 95 % power at 1 % false alarm, all sites together, from the errors seen."""
    counted = [(row.truth, row.result) for row in rows if isinstance(row.result, Count)]
    x = np.array([(c.measures["uncalibrated"] - c.measures["zero"]) / c.measures["scale"] for _, c in counted])
    truth = np.array([t for t, _ in counted], float)
    if (truth == 0).sum() < 5:
        return float("nan")
    empty = x[truth == 0]
    threshold = empty.mean() + 2.326 * empty.std(ddof=1)
    filled = truth > 0
    ratio = np.std((x[filled] - truth[filled]) / truth[filled], ddof=1)
    for n in range(1, 200):
        if n - 1.645 * np.hypot(empty.std(ddof=1), ratio * n) >= threshold:
            return float(n)
    return float("inf")


def main() -> None:
    sites, first = int(sys.argv[1]) if len(sys.argv) > 1 else 12, int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    print(f"occupancy {METHOD_VERSION}; python {platform.python_version()}, numpy {np.__version__}, scipy "
          f"{scipy.__version__}, skimage {skimage.__version__}, {os.cpu_count()} CPUs; "
          f"{sites} sites from seed {first}; "
          f"{HISTORY} history looks, {TESTS} looks counted, {KNOWN} known dates")  # fmt: skip
    start = time.perf_counter()
    half = max(sites // 2, 1)
    for case, number in (("known", sites), ("none", half), ("busy", half)):
        rows: list[Row] = []
        for seed in range(first, first + number):
            rows += run_site(seed, case)
            print(
                f"  {case} site {seed}: {figures([r for r in rows if r.seed == seed and r.sky == 'clear'])}",
                flush=True,
            )
        good = [row for row in rows if row.sky == "clear"]
        print(f"{case}: {figures(good)}")
        for name, low, high in SUN:
            part = [row for row in good if low <= row.sun < high]
            if part:
                print(f"  {case} {name} sun: {figures(part)} pooled limit {pooled_limit(part):.0f}")
        for sky in ("snow", "shadow", "haze"):
            part = [row for row in rows if row.sky == sky]
            if part:
                print(f"  {case} {sky}: {figures(part)}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
