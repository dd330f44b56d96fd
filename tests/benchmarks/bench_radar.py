"""Radar: coverage of the 90 % interval and detection limits on simulated yards; speckle against real data.

Usage: python tests/benchmarks/bench_radar.py [--tune] [--sites N]. Tuning looked at seeds 0 to 99 only; the figures
reported are of seeds 500 and up. The simulated worlds are drawn anew for each seed: geometry, orientation, looks,
resolution, moisture, season, brightness of cars.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from scipy.optimize import brentq
from scipy.special import polygamma

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.config.schema import CountingSettings, QualitySettings
from pipeline.counting.radar import METHOD_VERSION, count
from pipeline.model import Count, KnownCount, Look, Scene, Site
from pipeline.simulate.radar import RadarConditions, RadarLook, RadarPlan, RadarView, radar_looks
from pipeline.simulate.yard import make_site, make_tracks

START = datetime(2022, 1, 5, 21, 30, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[1] / "data" / "sentinel1"
SETTINGS, QUALITY = CountingSettings(), QualitySettings()


def as_look(site: Site, one: RadarLook) -> Look:
    """Wrap simulated backscatter as the look that imagery would hand over."""
    view = one.plan.view
    name = f"{view.platform}_{one.plan.observed_at:%Y%m%d}_{view.orbit}"
    scene = Scene(
        name, "sim", "sentinel-1", view.platform, one.plan.observed_at, one.grid.gsd_m, (), orbit=view.orbit
    )
    clear = np.ones(one.grid.shape, dtype=bool)
    return Look(site.name, scene, one.grid, ("vv", "vh"), one.values, clear, 1.0)


def world(seed: int) -> tuple[Site, RadarConditions, list[RadarPlan]]:
    """Draw a yard, a sensor's conditions and three years of passes of one orbit."""
    rng = np.random.default_rng([seed, 77])
    tracks = make_tracks(
        ("parallel", "curved", "ladder")[int(rng.integers(3))],
        tracks=int(rng.integers(6, 16)),
        length_m=float(rng.uniform(700, 1300)),
        centre=(500000.0 + float(rng.uniform(0, 10)), 4700000.0),
        azimuth_deg=float(rng.uniform(0, 180)),
    )
    site = make_site(tracks, "EPSG:32652", margin_m=450.0)
    how = RadarConditions(
        looks=float(rng.uniform(3.8, 5.5)),
        resolution_m=float(rng.uniform(16, 24)),
        moisture_db=float(rng.uniform(0.4, 1.0)),
        unlike_db=float(rng.uniform(0.1, 0.35)),
        season_db=float(rng.uniform(0.5, 1.5)),
        worked_share=float(rng.uniform(0.05, 0.3)),
        car_db=float(rng.uniform(0.8, 2.0)),
    )
    view = RadarView("S1A", "R061", float(rng.choice([80.0, 280.0])))
    usual = float(rng.uniform(4, 20))
    cars: list[int] = []
    level = usual
    for k in range(80):
        level = 0.6 * level + 0.4 * float(rng.gamma(1.2, usual / 1.2))
        surge = 0
        if k >= 40 and rng.random() < 0.5:
            surge = int(rng.integers(0, 120))
        cars.append(min(round(level) + surge, 130))
    plans = [RadarPlan(START + timedelta(days=12 * k), n, view) for k, n in enumerate(cars)]
    return site, how, plans


@lru_cache(maxsize=64)
def rendered(seed: int) -> tuple[Site, list[RadarPlan], list[Look]]:
    """Render a world's passes."""
    site, how, plans = world(seed)
    return site, plans, [as_look(site, one) for one in radar_looks(site, plans, seed, how)]


def run(seed: int, known_dates: int) -> list[tuple[int, Count, float, float]]:
    """Count the later half of a series; returns (truth, count, mean truth of six, detected above 1 %)."""
    site, plans, looks = rendered(seed)
    rng = np.random.default_rng([seed, 78])
    spots = sorted(int(k) for k in rng.choice(np.arange(4, 76), known_dates, replace=False)) if known_dates else []
    known = [
        KnownCount(plans[k].observed_at, float(max(plans[k].railcars + rng.normal(0, 2), 0)), 2.0, "resolved")
        for k in spots
    ]
    out: list[tuple[int, Count, float, float]] = []
    for k in range(33, 80, 4):
        if k in spots:
            continue
        now = plans[k].observed_at
        made = count(looks[k], looks[:k], site, [e for e in known if e.observed_at <= now], SETTINGS, QUALITY)
        assert isinstance(made, Count), made
        out.append((plans[k].railcars, made, float(np.mean([p.railcars for p in plans[k - 5 : k + 1]])), 0.0))
    return out


def share(hits: list[bool]) -> str:
    """Return a proportion with its 95 % Wilson interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{p:.1%} ({centre - half:.1%} to {centre + half:.1%}, n {n})"


def simulated(seeds: range, known_dates: int) -> None:
    """Print coverage, error and detection limits."""
    rows = [(seed, *row) for seed in seeds for row in run(seed, known_dates)]
    truth = np.array([row[1] for row in rows], dtype=float)
    best = np.array([row[2].railcars for row in rows])
    print(f"\n{len(seeds)} yards, {known_dates} known dates, {len(rows)} looks, 0 to {truth.max():.0f} cars")
    print("  coverage of 90 % interval, one pass :", share([r[2].low <= r[1] <= r[2].high for r in rows]))
    for low, high in ((0, 10), (11, 40), (41, 200)):
        part = [r[2].low <= r[1] <= r[2].high for r in rows if low <= r[1] <= high]
        if part:
            print(f"    of {low} to {high} cars:", share(part))
    six = [r for r in rows if "mean6" in r[2].measures]
    hits = [r[2].measures["mean6_low"] <= r[3] <= r[2].measures["mean6_high"] for r in six]
    print("  coverage of 90 % interval, six passes:", share(hits))
    print(f"  bias {np.mean(best - truth):+.1f}, RMSE {np.sqrt(np.mean((best - truth) ** 2)):.1f}, one pass")
    mean6 = np.array([r[2].measures["mean6"] - r[3] for r in six])
    print(f"  bias {mean6.mean():+.1f}, RMSE {np.sqrt((mean6**2).mean()):.1f}, mean of six passes")
    one = np.array([r[2].detection_limit for r in rows])
    many = np.array([r[2].measures["mean6_limit"] for r in six])
    for name, limits in (("one pass", one), ("six passes", many)):
        q = np.quantile(limits, [0.25, 0.5, 0.75])
        print(f"  stated detection limit, {name}: median {q[1]:.0f} cars (quartiles {q[0]:.0f} to {q[2]:.0f})")
    proven = [("RADAR_UNPROVEN" not in r[2].flags) for r in rows]
    print("  looks at which the correlation with known counts stood:", share(proven))


def unrelated(seeds: range) -> None:
    """Print how often radar is called proven when the known counts have nothing to do with the images."""
    hits: list[bool] = []
    for seed in seeds:
        site, plans, looks = rendered(seed)
        rng = np.random.default_rng([seed, 79])
        spots = sorted(int(k) for k in rng.choice(70, 12, replace=False))
        shuffled = rng.permutation([plans[k].railcars for k in spots])
        known = [
            KnownCount(plans[k].observed_at, float(n), 2.0, "resolved") for k, n in zip(spots, shuffled, strict=True)
        ]
        made = count(looks[79], looks[:79], site, known, SETTINGS, QUALITY)
        hits.append(isinstance(made, Count) and "RADAR_UNPROVEN" not in made.flags)
    print("\nknown counts shuffled: called proven in", share(hits))


def real_speckle(folder: Path) -> None:
    """Print the equivalent number of looks of real OPERA RTC-S1 looks and of simulated ones, measured alike."""
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        print("\nno real radar data in", folder.name)
        return
    stack = []
    for path in paths:
        with rasterio.open(path) as image:
            stack.append(image.read(1).astype(float))
    print(f"\nreal OPERA RTC-S1 VH, {len(paths)} looks of one orbit, 30 m:", speckle(np.stack(stack)))
    site, _, plans = world(900)
    for enl, gsd, resolution in ((7.6, 30.0, 20.0), (4.4, 10.0, 20.0)):
        still = RadarConditions(
            gsd_m=gsd, looks=enl, resolution_m=resolution, unlike_db=0.0, season_db=0.0, worked_share=0.0
        )
        quiet = [RadarPlan(p.observed_at, 0, p.view) for p in plans[:10]]
        images = np.stack([one.values[1] for one in radar_looks(site, quiet, 900, still)])
        print(f"simulated, {enl} looks at {gsd:.0f} m of {resolution:.0f} m:", speckle(images.astype(float)))


def speckle(stack: np.ndarray) -> str:
    """Measure looks from the change of log power between passes, and its correlation between neighbours."""
    stack = np.where(stack > 0, stack, np.nan)
    change = np.diff(np.log(stack), axis=0)
    change -= np.nanmedian(change, axis=(1, 2), keepdims=True)
    robust = 1.4826 * float(np.nanmedian(np.abs(change)))
    looks = brentq(lambda n: float(polygamma(1, n)) - robust**2 / 2, 0.3, 500)
    variance = float(np.nanvar(change))
    near = [float(np.nanmean(change[:, :, lag:] * change[:, :, :-lag])) / variance for lag in (1, 2, 3)]
    mean = float(np.nanmean(change**3)) / variance**1.5
    return (
        f"{looks:.1f} looks; correlation at 1, 2, 3 pixels {near[0]:.2f}, {near[1]:.2f}, {near[2]:.2f}; "
        f"skewness of change {mean:+.2f}"
    )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true", help="use the seeds that were looked at while tuning")
    parser.add_argument("--sites", type=int, default=24)
    given = parser.parse_args()
    started = time.perf_counter()
    seeds = range(given.sites) if given.tune else range(500, 500 + given.sites)
    print(f"bench_radar: method {METHOD_VERSION}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"seeds {seeds.start} to {seeds.stop - 1}" + (" (TUNING)" if given.tune else " (unseen in tuning)"))
    for known_dates in (0, 12, 30):
        simulated(seeds, known_dates)
        sys.stdout.flush()
    unrelated(seeds)
    real_speckle(DATA)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
