"""Radar counts: orbits kept apart, causal, honest about what is unproven, speckle as real data has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.special import polygamma

from pipeline.config.schema import CountingSettings, QualitySettings
from pipeline.counting.radar import count
from pipeline.counting.radar.estimate import Pair, estimate
from pipeline.model import COUNT_MAX, Count, KnownCount, Look, Refusal, Scene, Site
from pipeline.simulate.radar import RadarConditions, RadarPlan, RadarView, radar_looks
from pipeline.simulate.yard import make_site, make_tracks

START = datetime(2022, 1, 5, 21, 30, tzinfo=UTC)
VIEW = RadarView("S1A", "R061", 80.0)
SETTINGS, QUALITY = CountingSettings(), QualitySettings()
CALM = RadarConditions(moisture_db=0.3, unlike_db=0.03, season_db=0.3, worked_share=0.0, keep_share=0.0)
DATA = Path(__file__).resolve().parents[2] / "data" / "sentinel1"
REAL_LOOKS = 7.5  # of OPERA RTC-S1 at 30 m, measured by tests/benchmarks/bench_radar.py on the whole crop


@lru_cache(maxsize=1)
def world() -> tuple[Site, tuple[int, ...], tuple[Look, ...]]:
    """A calm world of 24 passes whose last is a surge of 110 cars."""
    tracks = make_tracks("parallel", tracks=6, length_m=500.0, centre=(500000.0, 4700000.0))
    site = make_site(tracks, "EPSG:32652", margin_m=350.0)
    cars = tuple(int(n) for n in np.random.default_rng(3).integers(0, 14, 23))
    cars = (*cars[:6], 60, *cars[7:12], 90, *cars[13:], 110)
    plans = [RadarPlan(START + timedelta(days=12 * k), n, VIEW) for k, n in enumerate(cars)]
    looks = []
    for one in radar_looks(site, plans, 7, CALM):
        scene = Scene(
            f"S1A_{one.plan.observed_at:%Y%m%d}_R061", "sim", "sentinel-1", "S1A", one.plan.observed_at, 10.0, (),
            orbit="R061",
        )  # fmt: skip
        looks.append(Look("s", scene, one.grid, ("vv", "vh"), one.values, np.ones(one.grid.shape, bool), 1.0))
    return site, cars, tuple(looks)


def counted(look: Look, history: tuple[Look, ...], known: tuple[KnownCount, ...] = ()) -> Count:
    made = count(look, history, world()[0], known, SETTINGS, QUALITY)
    assert isinstance(made, Count)
    return made


def known_at(places: tuple[int, ...]) -> tuple[KnownCount, ...]:
    _, cars, looks = world()
    return tuple(KnownCount(looks[k].scene.observed_at, float(cars[k]), 1.0, "resolved") for k in places)


def test_a_surge_is_seen_and_an_ordinary_day_is_not() -> None:
    _, cars, looks = world()
    surge, quiet = counted(looks[23], looks[:23]), counted(looks[22], looks[:22])
    assert surge.railcars > quiet.high
    assert surge.low > quiet.railcars + 20
    assert quiet.low <= cars[22] <= quiet.high
    assert surge.low <= cars[23] <= surge.high
    assert surge.detection_limit < 110


def test_the_likelihood_is_well_formed() -> None:
    _, _, looks = world()
    made = counted(looks[23], looks[:23])
    assert len(made.likelihood) == COUNT_MAX + 1
    assert max(made.likelihood) == 1.0
    assert all(value == float(f"{value:.6g}") for value in made.likelihood)
    assert made.low <= int(np.argmax(made.likelihood)) <= made.high


def test_a_brighter_yard_never_counts_less() -> None:
    _, _, looks = world()
    rows, cols = looks[22].grid.shape
    yard = (slice(rows // 2 - 2, rows // 2 + 2), slice(cols // 2 - 15, cols // 2 + 15))
    found = []
    for factor in (1.0, 1.3, 1.8, 2.5):
        values = looks[22].values.copy()
        values[(slice(None), *yard)] *= factor
        found.append(counted(replace(looks[22], values=values), looks[:22]).railcars)
    assert found == sorted(found)
    assert found[-1] > found[0] + 30


def test_rain_on_the_whole_scene_moves_nothing() -> None:
    _, _, looks = world()
    wet = replace(looks[22], values=looks[22].values * np.float32(1.6))
    assert counted(wet, looks[:22]).railcars == pytest.approx(counted(looks[22], looks[:22]).railcars, abs=0.5)


def test_other_orbits_and_platforms_never_enter() -> None:
    _, _, looks = world()
    plain = counted(looks[22], looks[:22])
    strange = []
    for k, key in enumerate(("orbit", "platform")):
        scene = replace(looks[k].scene, **{key: "R999" if key == "orbit" else "S1C"})
        strange.append(replace(looks[k], scene=scene, values=looks[k].values * 9))
    assert counted(looks[22], (*strange, *looks[:22])) == plain
    other = replace(looks[22], scene=replace(looks[22].scene, platform="S1C"))
    made = count(other, looks[:22], world()[0], (), SETTINGS, QUALITY)
    assert isinstance(made, Refusal)
    assert made.flags == ("HISTORY_SHORT",)
    assert "S1C" in made.detail


def test_nothing_later_than_the_look_is_used() -> None:
    _, _, looks = world()
    assert counted(looks[15], looks) == counted(looks[15], looks[:15])


def test_radar_is_unproven_until_known_counts_show_it() -> None:
    _, _, looks = world()
    assert "RADAR_UNPROVEN" in counted(looks[23], looks[:23]).flags
    assert "NO_KNOWN_DATES" in counted(looks[23], looks[:23]).flags
    assert "RADAR_UNPROVEN" in counted(looks[23], looks[:23], known_at((2, 6, 12))).flags  # too few
    proven = counted(looks[23], looks[:23], known_at((2, 4, 6, 8, 10, 12, 14, 16)))
    assert proven.flags == ()
    wrong = tuple(replace(entry, railcars=90.0 - entry.railcars) for entry in known_at((2, 4, 6, 8, 10, 12, 14, 16)))
    assert "RADAR_UNPROVEN" in counted(looks[23], looks[:23], wrong).flags


def test_known_dates_narrow_the_interval() -> None:
    _, _, looks = world()
    blind, taught = counted(looks[23], looks[:23]), counted(looks[23], looks[:23], known_at(tuple(range(2, 20, 2))))
    assert taught.high - taught.low < blind.high - blind.low


def test_six_passes_see_less_than_one() -> None:
    _, _, looks = world()
    made = counted(looks[22], looks[:22])
    assert made.measures["mean6_limit"] < made.detection_limit
    assert made.measures["mean6_low"] <= made.measures["mean6"] <= made.measures["mean6_high"]


def test_refusals() -> None:
    site, _, looks = world()
    short = count(looks[3], looks[:3], site, (), SETTINGS, QUALITY)
    assert isinstance(short, Refusal)
    assert short.flags == ("HISTORY_SHORT",)
    hidden = replace(looks[22], clear=np.zeros(looks[22].grid.shape, bool))
    dark = count(hidden, looks[:22], site, (), SETTINGS, QUALITY)
    assert isinstance(dark, Refusal)
    assert dark.flags == ("NO_DATA",)
    away = make_site(make_tracks("parallel", tracks=2, length_m=300.0, centre=(600000.0, 4700000.0)), "EPSG:32652")
    outside = count(looks[22], looks[:22], away, (), SETTINGS, QUALITY)
    assert isinstance(outside, Refusal)
    assert outside.flags == ("TRACKS_OUTSIDE",)


def test_short_histories_and_still_images_keep_honest_intervals() -> None:
    site, cars, looks = world()
    least = CountingSettings(history_min_looks=3)
    for number in (3, 4, 5):
        made = count(looks[number], looks[:number], site, (), least, QUALITY)
        assert isinstance(made, Count)
        assert made.low <= cars[number] <= made.high
        assert made.high - made.low > 15
    same = np.full_like(looks[22].values, 0.1)
    still = counted(replace(looks[22], values=same), tuple(replace(one, values=same) for one in looks[:22]))
    assert still.measures["noise_cars"] > 1.0, "no instrument is as steady as a copied image"
    for nothing in (np.nan, 0.0, -1.0):
        empty = count(replace(looks[22], values=same * np.float32(nothing)), looks[:22], site, (), SETTINGS, QUALITY)
        assert isinstance(empty, Refusal)
        assert empty.flags == ("NO_DATA",)


def test_one_polarisation_is_enough() -> None:
    _, cars, looks = world()
    single = tuple(replace(one, bands=("vh",), values=one.values[1:]) for one in looks)
    made = counted(single[23], single[:23])
    assert made.low <= cars[23] <= made.high
    assert "change_vv_db" not in made.measures
    assert made.measures["change_vh_db"] > 0


def test_an_estimate_recovers_what_pairs_teach() -> None:
    pairs = [Pair(0.01 * (n - 10), float(n), 0.5) for n in (0, 5, 10, 20, 30, 60, 90)]
    past = 0.01 * (np.random.default_rng(1).exponential(10.0, 40) - 10.0)
    made = estimate(0.01 * 40, 0.02, past, 0.015, pairs)
    assert made.scale == pytest.approx(0.01, rel=0.15)
    assert made.usual == pytest.approx(10, abs=4)
    assert made.low < 50 < made.high
    assert made.railcars == pytest.approx(50, abs=6)


def test_a_past_of_surges_tells_scale_times_usual_without_a_known_date() -> None:
    rng = np.random.default_rng(5)
    cars = rng.exponential(30.0, 70)
    past = 0.01 * (cars - cars.mean()) + rng.normal(0, 0.02, 70)
    made = estimate(0.0, 0.027, past, 0.007, ())
    assert made.scale * made.usual == pytest.approx(0.01 * cars.mean(), rel=0.3)
    busy = estimate(0.0, 0.027, 0.01 * (rng.exponential(60, 70) - 60), 0.01, ())
    calm = estimate(0.0, 0.027, rng.normal(0, 0.02, 70), 0.01, ())
    assert busy.usual > 3 * calm.usual


def test_more_change_is_less_like_an_empty_yard() -> None:
    past = np.random.default_rng(2).normal(0, 0.03, 40)
    made = [estimate(change, 0.03, past, 0.004, ()) for change in (-0.1, 0.0, 0.1, 0.3)]
    assert [one.empty_p for one in made] == sorted((one.empty_p for one in made), reverse=True)
    assert made[0].empty_p > 0.5
    assert made[3].empty_p < 1e-3
    assert made[0].low == made[0].railcars == 0.0
    assert made[0].high > 0.0, "a look darker than usual leaves few cars, not surely none"
    assert [one.railcars for one in made] == sorted(one.railcars for one in made)


def test_the_mean_of_six_is_surer_than_one() -> None:
    past = np.random.default_rng(2).normal(0, 0.03, 40)
    one, six = estimate(0.1, 0.03, past, 0.004, ()), estimate(0.1, 0.03, past, 0.004, (), pooling=0.5)
    assert six.detection_limit < one.detection_limit
    assert six.high - six.low < one.high - one.low


def test_simulated_speckle_is_that_of_real_looks() -> None:
    stack = []
    for path in sorted(DATA.glob("*.tif")):
        with rasterio.open(path) as image:
            stack.append(image.read(1).astype(float))
    assert len(stack) == 6
    site, _, _ = world()
    still = replace(CALM, gsd_m=30.0, looks=REAL_LOOKS, moisture_db=0.3, unlike_db=0.0, season_db=0.0)
    wide = make_site(site.tracks, "EPSG:32652", margin_m=1200.0)
    plans = [RadarPlan(START + timedelta(days=12 * k), 0, VIEW) for k in range(6)]
    made = np.stack([one.values[1] for one in radar_looks(wide, plans, 5, still)]).astype(float)
    real, simulated = (_change(np.array(images)) for images in (stack, made))
    # The variance of a difference of two log-gamma variables of n looks is twice the trigamma function at n.
    assert np.var(simulated) == pytest.approx(2 * polygamma(1, REAL_LOOKS), rel=0.08)
    assert 1.4826 * np.median(np.abs(real)) == pytest.approx(1.4826 * np.median(np.abs(simulated)), rel=0.08)


def _change(stack: np.ndarray) -> np.ndarray:
    change = np.diff(np.log(np.where(stack > 0, stack, np.nan)), axis=0)
    change -= np.nanmedian(change, axis=(1, 2), keepdims=True)
    return change[np.isfinite(change)]
