"""Radar: coverage of the 90 % interval and detection limits on simulated yards; speckle, false change on real data.

Usage: python tests/benchmarks/bench_radar.py [--tune] [--sites N] [--data DIR]. Tuning looked at seeds 0 to 99 only;
the figures reported are of seeds 800 and up (500 to 639 and 700 to 727 served earlier versions). The simulated worlds
are drawn anew for each seed: geometry, orientation, looks, resolution, moisture, season, brightness of cars.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from scipy.optimize import brentq
from scipy.special import polygamma

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from _figures import Figures, commit, environment

from pipeline.config.schema import CountingSettings, QualitySettings
from pipeline.counting.radar import METHOD_VERSION
from pipeline.counting.radar.count import Measured, conclude, measure
from pipeline.model import Count, Grid, KnownCount, Look, Scene, Site
from pipeline.simulate.radar import RadarConditions, RadarLook, RadarPlan, RadarView, radar_looks
from pipeline.simulate.yard import make_site, make_tracks

START = datetime(2022, 1, 5, 21, 30, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[1] / "data" / "sentinel1"
SETTINGS, QUALITY = CountingSettings(), QualitySettings()
SHORT = CountingSettings(history_min_looks=4)  # ten real dates are all there are
PASSES, SIX = 80, 6
LEVELS = (0, 30, 60, 90, 120)  # cars


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
        fleet_db=float(rng.normal(0.0, 1.0)),
    )
    view = RadarView("S1A", "R061", float(rng.choice([80.0, 280.0])))
    usual = float(rng.uniform(4, 20))
    cars: list[int] = []
    level = usual
    for k in range(PASSES):
        level = 0.6 * level + 0.4 * float(rng.gamma(1.2, usual / 1.2))
        surge = 0
        if k >= 40 and rng.random() < 0.5:
            surge = int(rng.integers(0, 120))
        cars.append(min(round(level) + surge, 130))
    plans = [RadarPlan(START + timedelta(days=12 * k), n, view) for k, n in enumerate(cars)]
    return site, how, plans


@dataclass(frozen=True)
class World:
    """A world's passes with what was measured of them, before any known count is used."""

    seed: int
    plans: list[RadarPlan]
    looks: list[Look]
    later: list[tuple[int, Look, Measured]]  # number of the pass, the look and its measured change


def rendered(seed: int) -> World:
    """Render a world's passes and measure every sixth of the later half."""
    site, how, plans = world(seed)
    looks = [as_look(site, one) for one in radar_looks(site, plans, seed, how)]
    later = [(k, looks[k], measured(looks[k], looks[:k], site)) for k in range(33, PASSES, 6)]
    return World(seed, plans, looks, later)


def measured(look: Look, past: Sequence[Look], site: Site) -> Measured:
    """Return a look's measured change; no look of the benchmark may be refused."""
    made = measure(look, past, site, SETTINGS, QUALITY)
    assert isinstance(made, Measured), made
    return made


def known_counts(one: World, known_dates: int, *, shuffled: bool = False) -> dict[int, KnownCount]:
    """Draw the passes whose number is known, to within two cars."""
    rng = np.random.default_rng([one.seed, 78])
    spots = sorted(int(k) for k in rng.choice(np.arange(4, PASSES - 4), known_dates, replace=False))
    cars = [one.plans[k].railcars for k in spots]
    numbers = rng.permutation(cars) if shuffled else np.array(cars)
    noisy = np.maximum(numbers + rng.normal(0, 2, len(spots)), 0.0)
    return {
        k: KnownCount(one.plans[k].observed_at, float(n), 2.0, "resolved") for k, n in zip(spots, noisy, strict=True)
    }


def share(hits: Sequence[bool]) -> str:
    """Return a proportion with its 95 % Wilson interval."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{p:.1%} ({centre - half:.1%} to {centre + half:.1%}, n {n})"


def simulated(worlds: Sequence[World], known_dates: int, out: Figures) -> None:
    """Print coverage, error and stated detection limits."""
    rows: list[tuple[int, float, Count]] = []
    for one in worlds:
        known = known_counts(one, known_dates)
        for k, look, what in one.later:
            if k in known:
                continue
            told = [entry for entry in known.values() if entry.observed_at <= look.scene.observed_at]
            six = float(np.mean([plan.railcars for plan in one.plans[k - 5 : k + 1]]))
            rows.append((one.plans[k].railcars, six, conclude(look, what, told)))
    truth = np.array([row[0] for row in rows], dtype=float)
    case = f"Sentinel-1, {known_dates} known dates" if known_dates else "Sentinel-1, no known date"
    print(f"\n{len(worlds)} yards, {known_dates} known dates, {len(rows)} looks, 0 to {truth.max():.0f} cars")
    hits = [row[2].low <= row[0] <= row[2].high for row in rows]
    out.add(f"{case}, one pass", "coverage of the 90 % interval", share(hits), "87 to 93 %")
    for low, high in ((0, 10), (11, 40), (41, 200)):
        part = [hit for hit, n in zip(hits, truth, strict=True) if low <= n <= high]
        if part:
            out.add(f"{case}, one pass, {low} to {min(high, int(truth.max()))} cars", "coverage", share(part))
    pooled = [(row[1], row[2].measures) for row in rows if "mean6" in row[2].measures]
    hits = [m["mean6_low"] <= n <= m["mean6_high"] for n, m in pooled]
    out.add(f"{case}, six passes", "coverage of the 90 % interval", share(hits), "87 to 93 %")
    error = np.array([row[2].railcars for row in rows]) - truth
    out.add(f"{case}, one pass", "bias, RMSE", f"{error.mean():+.1f}, {np.sqrt((error**2).mean()):.1f} cars")
    error = np.array([m["mean6"] - n for n, m in pooled])
    out.add(f"{case}, six passes", "bias, RMSE", f"{error.mean():+.1f}, {np.sqrt((error**2).mean()):.1f} cars")
    stated = [row[2].detection_limit for row in rows], [m["mean6_limit"] for _, m in pooled]
    for name, limits in zip(("one pass", "six passes"), stated, strict=True):
        q = np.quantile(limits, [0.25, 0.5, 0.75])
        seen = f"{q[1]:.0f} cars, median (quartiles {q[0]:.0f} to {q[2]:.0f})"
        out.add(f"{case}, {name}", "detection limit stated", seen, "stated")
    proven = ["RADAR_UNPROVEN" not in row[2].flags for row in rows]
    out.add(case, "looks whose likelihood is judged", share(proven), "none" if not known_dates else "")


def unrelated(worlds: Sequence[World], out: Figures) -> None:
    """Print how often radar is called proven when the known counts have nothing to do with the images."""
    hits = []
    for one in worlds:
        _, look, what = one.later[-1]
        known = known_counts(one, 12, shuffled=True)
        hits.append("RADAR_UNPROVEN" not in conclude(look, what, list(known.values())).flags)
    out.add("Sentinel-1, known counts shuffled among their dates", "called proven", share(hits), "at most 1 %")


def detected(worlds: Sequence[World], out: Figures) -> None:
    """Print false alarms on empty yards and how often cars are found, one pass and six, on passes made for it."""
    single: dict[int, list[tuple[bool, bool]]] = {n: [] for n in LEVELS}
    six: dict[int, list[tuple[bool, bool]]] = {n: [] for n in LEVELS}
    for one in worlds:
        site, how, plans = world(one.seed)
        known = list(known_counts(one, 12).values())
        for level in LEVELS:
            more = [RadarPlan(START + timedelta(days=12 * (PASSES + k)), level, plans[0].view) for k in range(SIX)]
            made = [as_look(site, look) for look in radar_looks(site, [*plans, *more], one.seed, how, first=PASSES)]
            for look in made[::2]:
                told = conclude(look, measured(look, one.looks, site), known)
                single[level].append((told.measures["empty_p"] <= 0.01, level >= told.detection_limit))
            told = conclude(made[-1], measured(made[-1], [*one.looks, *made[:-1]], site), known)
            six[level].append((told.measures["mean6_empty_p"] <= 0.01, level >= told.measures["mean6_limit"]))
    for name, found in (("one pass", single), ("six passes", six)):
        case = f"Sentinel-1, 12 known dates, {name}"
        out.add(f"{case}, empty yard", "false alarms at 1 %", share([hit for hit, _ in found[0]]), "1 %")
        for level in LEVELS[1:]:
            out.add(f"{case}, {level} cars", "found", share([hit for hit, _ in found[level]]))
        reached = [hit for level in LEVELS[1:] for hit, over in found[level] if over]
        if reached:
            out.add(f"{case}, cars at or above the stated limit", "found", share(reached), "95 %")


def real_speckle(folder: Path, out: Figures) -> None:
    """Print the equivalent number of looks of real OPERA RTC-S1 looks and of simulated ones, measured alike."""
    stack = read_stack(sorted(folder.glob("*_VH*.tif")))
    out.add(f"real OPERA RTC-S1 VH, {len(stack)} looks of one orbit, 30 m", "speckle", speckle(stack))
    site, _, plans = world(900)
    for enl, gsd, resolution in ((7.6, 30.0, 20.0), (4.4, 10.0, 20.0)):
        still = RadarConditions(
            gsd_m=gsd, looks=enl, resolution_m=resolution, unlike_db=0.0, season_db=0.0, worked_share=0.0
        )
        quiet = [RadarPlan(p.observed_at, 0, p.view) for p in plans[:10]]
        images = np.stack([one.values[1] for one in radar_looks(site, quiet, 900, still)])
        name = f"simulated, {enl} looks at {gsd:.0f} m of {resolution:.0f} m"
        out.add(name, "speckle", speckle(images.astype(float)))


def read_stack(paths: Sequence[Path]) -> np.ndarray:
    """Read single-band images of one grid, (dates, rows, columns)."""
    stack = []
    for path in paths:
        with rasterio.open(path) as image:
            stack.append(image.read(1).astype(float))
    return np.stack(stack)


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


def false_change(folder: Path, out: Figures) -> None:
    """Print how often yards that do not exist, laid over real dates without any, seem to change.

    Tracks are laid over the crop on a lattice; every date from the fifth on is measured against those before it.
    """
    for label, sets in (
        ("VH as published", {"vh": sorted(folder.glob("*_VH*.tif"))}),
        (
            "VV and VH despeckled",
            {p: sorted((folder / "despeckled").glob(f"*_{p.upper()}_*.tif")) for p in ("vv", "vh")},
        ),
    ):
        if not all(sets.values()):
            print(f"{label}: no such files in the data folder")
            continue
        bands = np.stack([read_stack(paths) for paths in sets.values()], axis=1)
        days = [re.search(r"_(\d{8})T\d{6}Z_\d{8}T", path.name) for path in next(iter(sets.values()))]
        times = [datetime.strptime(day.group(1), "%Y%m%d").replace(tzinfo=UTC) for day in days if day]
        scores = np.array(list(_false_scores(bands, tuple(sets), times)))
        name = f"real OPERA RTC-S1, {label}, {len(scores)} yard-dates without a yard"
        sd = 1.4826 * float(np.median(np.abs(scores - np.median(scores))))
        out.add(
            name,
            "change over its stated noise, mean and robust sd",
            f"{scores.mean():+.2f}, {sd:.2f}",
            "0, at most 1",
        )
        out.add(name, "brighter by 2.33 stated sd", share([bool(z > 2.326) for z in scores]), "1 %")


def _false_scores(bands: np.ndarray, names: tuple[str, ...], times: Sequence[datetime]) -> Iterator[float]:
    """Yield change over stated noise for yards on a lattice over the crop."""
    rows, columns = bands.shape[2:]
    grid = Grid("EPSG:32652", (30.0, 0.0, 500000.0, 0.0, -30.0, 4700000.0), columns, rows)
    looks = []
    for values, time_ in zip(bands, times, strict=True):
        scene = Scene(f"S1A_{time_:%Y%m%d}", "opera", "sentinel-1", "S1A", time_, 30.0, (), orbit="R009")
        clear = np.isfinite(values).all(axis=0) & (values > 0).all(axis=0)
        looks.append(Look("none", scene, grid, names, values.astype(np.float32), clear, 1.0))
    for row in range(35, rows - 34, 25):
        for column in range(40, columns - 39, 30):
            crop = _crop(grid, row, column)
            centre = crop.to_xy(crop.width / 2, crop.height / 2)
            site = make_site(make_tracks("parallel", tracks=10, length_m=900.0, centre=centre), grid.crs)
            window = (slice(None), slice(row - 33, row + 33), slice(column - 38, column + 38))
            cut = [replace(one, grid=crop, values=one.values[window], clear=one.clear[window[1:]]) for one in looks]
            for k in range(4, len(cut)):
                made = measure(cut[k], cut[:k], site, SHORT, QUALITY)
                if isinstance(made, Measured):
                    yield float(made.change[-1]) / (made.noise * np.sqrt(1.0 + 1.0 / k))


def _crop(grid: Grid, row: int, column: int) -> Grid:
    """Return the grid of 66 by 76 pixels about a pixel."""
    west, north = grid.to_xy(column - 38, row - 33)
    return Grid(grid.crs, (30.0, 0.0, west, 0.0, -30.0, north), 76, 66)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true", help="use the seeds that were looked at while tuning")
    parser.add_argument("--sites", type=int, default=28)
    parser.add_argument("--data", type=Path, default=DATA, help="OPERA RTC-S1 VH, with despeckled/ in it")
    given = parser.parse_args()
    started = time.perf_counter()
    seeds = range(given.sites) if given.tune else range(800, 800 + given.sites)
    said = f"{seeds.start} to {seeds.stop - 1}" + (" (TUNING)" if given.tune else " (tuned on 0 to 99)")
    out = Figures("radar", said, f"radar {METHOD_VERSION}")
    print(f"bench_radar: {out.method}, {environment()}; commit {commit()}\nseeds {said}", flush=True)
    real_speckle(given.data, out)
    false_change(given.data, out)
    worlds = [rendered(seed) for seed in seeds]
    for known_dates in (0, 12, 30):
        simulated(worlds, known_dates, out)
    unrelated(worlds, out)
    detected(worlds[: max(len(worlds) // 2, 1)], out)
    if not given.tune:
        out.write()
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
