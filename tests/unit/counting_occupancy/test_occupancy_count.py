"""The occupancy estimator on a small simulated yard: numbers, refusals, causality, sameness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from shapely.geometry import LineString, box
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting import count_look, occupancy
from pipeline.counting.occupancy import count, injection, register, response
from pipeline.counting.occupancy.geometry import yard_of
from pipeline.model import COUNT_MAX, Count, Grid, KnownCount, Look, Refusal, Scene, Site, Track, Zone
from pipeline.simulate.coarse import SimplePlan, SimulatedLook, simulate_series
from pipeline.simulate.kinds import BANDS
from pipeline.simulate.yard import make_tracks

World = tuple[Site, list[Look], dict[str, Look], list[SimplePlan]]
SETTINGS, QUALITY = CountingSettings(), QualitySettings()
HISTORY = 20
LAST = {"shadow": 0, "empty": 0, "full": 40, "snow": 0}


def as_look(one: SimulatedLook) -> Look:
    clear = np.isin(one.classes, (2, 4, 5, 6, 7, 11))
    when = one.plan.observed_at
    scene = Scene(
        f"S2A_{when:%Y%m%d}_R103", "sim", "sentinel-2", "S2A", when, 10.0, (), "R103",
        one.sun_elevation_deg, one.sun_azimuth_deg,
    )  # fmt: skip
    return Look("small", scene, one.grid, BANDS, one.reflectance(), clear, float(clear.mean()))


@pytest.fixture(scope="module")
def world():
    tracks = make_tracks("parallel", tracks=6, length_m=500.0, centre=(634000.0, 4695000.0), azimuth_deg=100.0)
    site = Site("small", "Small", "EPSG:32652", box(633600, 4694700, 634400, 4695300), tracks)
    start = datetime(2022, 8, 1, 2, 20, tzinfo=UTC)
    rng = np.random.default_rng(1)
    plans = [
        SimplePlan(start + timedelta(days=6 * n), int(rng.integers(0, 9)) if n % 2 else 0) for n in range(HISTORY)
    ]
    last = plans[-1].observed_at
    for number, (name, cars) in enumerate(LAST.items()):
        sky = name if name in ("snow", "shadow") else "clear"
        plans.append(SimplePlan(last + timedelta(days=4 * number + 3), cars, sky, (0.2, -0.3)))
    looks = [as_look(one) for one in simulate_series(site, plans, 12)]
    return site, looks[:HISTORY], dict(zip(LAST, looks[HISTORY:], strict=True)), plans


def run(world: World, look: Look, history: Sequence[Look] | None = None, known: Sequence[KnownCount] = ()):
    site, past, _, _ = world
    return count(look, past if history is None else history, site, known, SETTINGS, QUALITY)


def test_the_number_of_cores_does_not_matter(world: World, monkeypatch: pytest.MonkeyPatch):
    threads: list[int] = []
    honest = occupancy.count

    def watched(*given: object) -> Count | Refusal:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return honest(*given)

    monkeypatch.setattr(occupancy, "count", watched)
    site, past, last, _ = world
    with threadpool_limits(limits=2):
        many = count_look(last["full"], past, site, [], SETTINGS, QUALITY)
        assert {pool["num_threads"] for pool in threadpool_info()} == {2}, "as before"
    with threadpool_limits(limits=1):
        one = count_look(last["full"], past, site, [], SETTINGS, QUALITY)
    assert set(threads) == {1}
    assert many == one


def test_empty_and_full_yard_differ(world: World):
    empty, full = run(world, world[2]["empty"]), run(world, world[2]["full"])
    assert isinstance(empty, Count) and isinstance(full, Count)
    assert empty.railcars < 12 and empty.low == 0.0
    assert full.low > 10 and full.low <= 40 <= full.high
    assert empty.flags == ("NO_KNOWN_DATES",)
    assert 1 < empty.detection_limit < 120
    assert sum(full.by_track.values()) == pytest.approx(full.railcars, abs=0.1)


def test_likelihood_peaks_at_the_number(world: World):
    full = run(world, world[2]["full"])
    assert len(full.likelihood) == COUNT_MAX + 1 and max(full.likelihood) == 1.0
    assert abs(int(np.argmax(full.likelihood)) - full.railcars) < 25


def test_known_dates_narrow_the_interval(world: World):
    _, past, last, plans = world
    known = [
        KnownCount(look.scene.observed_at, plan.railcars, 0.5, "published")
        for look, plan in zip(past, plans, strict=False)
    ]
    free, told = run(world, last["full"]), run(world, last["full"], known=known)
    assert "NO_KNOWN_DATES" not in told.flags and told.measures["known_dates"] == HISTORY
    assert told.measures["zero"] != free.measures["zero"]


def test_refusals_name_their_reason(world: World):
    site, past, last, _ = world
    short = run(world, last["empty"], past[:5])
    assert isinstance(short, Refusal) and short.flags == ("HISTORY_SHORT",) and "5 usable" in short.detail
    assert run(world, last["snow"]).flags in (("SNOW",), ("OFF_YARD_RESIDUAL",))
    white = np.array([0.86, 0.85, 0.83, 0.76, 0.12, 0.08], np.float32)[:, None, None]
    deep = replace(last["empty"], values=0.3 * last["empty"].values + 0.7 * white)
    assert run(world, deep).flags == ("SNOW",)
    shaded = run(world, last["shadow"])  # half of it is masked as cloud shadow: refused, or said to be worth little
    assert isinstance(shaded, Refusal) or (shaded.low == 0.0 and shaded.detection_limit > 100)
    look = last["empty"]
    moved = replace(look, values=np.roll(look.values, (4, 5), axis=(1, 2)))
    assert run(world, moved).flags == ("SHIFT_LARGE",)
    far = Track("far", "far", LineString([(0, 0), (500, 0)]), "yard")
    assert count(look, past, replace(site, tracks=(far,)), (), SETTINGS, QUALITY).flags == ("TRACKS_OUTSIDE",)
    hidden = replace(look, clear=np.zeros_like(look.clear))
    assert run(world, hidden).flags == ("NO_DATA",)


def test_later_looks_and_cache_state_change_nothing(world: World):
    _, past, last, _ = world
    first = run(world, last["empty"])
    assert run(world, last["empty"], [*past, last["full"]]) == first
    register._registered.clear()
    register._references.clear()
    response._rendered.clear()
    assert run(world, last["empty"]) == first


def test_band_subset_counts_without_snow_index(world: World):
    _, past, last, _ = world
    four = BANDS[:4]

    def cut(look: Look) -> Look:
        return replace(look, bands=four, values=look.values[:4])

    answer = run(world, cut(last["full"]), [cut(look) for look in past])
    assert isinstance(answer, Count) and answer.railcars > 10
    assert answer.measures["ndsi_available"] == 0.0 and "ndsi_yard" not in answer.measures


def test_registration_finds_the_shift(world: World):
    empty = run(world, world[2]["empty"])
    # The history's own shifts are zero, so the reference lies on the map.
    assert empty.measures["shift_col_px"] == pytest.approx(0.2, abs=0.12)
    assert empty.measures["shift_row_px"] == pytest.approx(-0.3, abs=0.12)


def test_injected_cars_are_found_and_the_look_stays(world: World):
    site, past, last, _ = world
    before = last["empty"].values.copy()
    filled = injection.inject(last["empty"], site, 30, np.random.default_rng(2))
    assert np.array_equal(last["empty"].values, before)
    assert run(world, filled).railcars > run(world, last["empty"]).railcars + 10
    rows = list(
        injection.run_injection([*past, last["empty"]], site, (), SETTINGS, QUALITY, numbers=(0, 20, 40), per_class=1)
    )
    assert {row.railcars for row in rows} == {0, 20, 40}
    assert injection.summarise(rows)[0].sun == "all"


def test_apron_is_its_own_column(world: World):
    site, past, last, _ = world
    area = box(634150, 4694950, 634250, 4695010)
    with_apron = replace(site, zones=(Zone("apron", area),))
    busy = last["empty"].values.copy()
    rows = slice(30, 34)
    busy[:, rows, 56:64] = 0.45
    look = replace(last["empty"], values=busy)
    calm = count(last["empty"], past, with_apron, (), SETTINGS, QUALITY)
    full = count(look, past, with_apron, (), SETTINGS, QUALITY)
    assert calm.apron is not None and full.apron > calm.apron + 3
    assert abs(full.railcars - calm.railcars) < 12


def test_a_site_without_open_ground_is_refused_with_a_sentence(world: World):
    site, past, last, _ = world
    flooded = replace(site, zones=(Zone("water", box(633000, 4694000, 635000, 4696000)),))
    answer = count(last["empty"], past, flooded, (), SETTINGS, QUALITY)
    assert isinstance(answer, Refusal) and answer.flags == ("SAMPLING_UNSUITED",) and "larger" in answer.detail


def test_yard_leaves_out_canopy(world: World):
    site, past, _, _ = world
    grid, day = past[0].grid, past[0].scene.observed_at.date()
    whole = yard_of(site, grid, day)
    canopy = Zone("canopy", box(633600, 4694700, 634000, 4695300))
    part = yard_of(replace(site, zones=(canopy,)), grid, day)
    assert part.index.size < 0.7 * whole.index.size and part.track_m < 0.6 * whole.track_m


def as_landsat(look: Look) -> Look:
    """Return the look as pixels of 30 m with Landsat's bands."""
    rows, cols = (size // 3 for size in look.grid.shape)
    cut = look.values[:, : rows * 3, : cols * 3].reshape(6, rows, 3, cols, 3).mean(axis=(2, 4))
    a, b, c, d, e, f = look.grid.transform
    bands = tuple("nir08" if name == "nir" else name for name in look.bands)
    scene = replace(look.scene, sensor="landsat", platform="L9", gsd_m=30.0, orbit="114/031")
    grid = Grid(look.grid.crs, (3 * a, b, c, d, 3 * e, f), cols, rows)
    return replace(look, scene=scene, grid=grid, bands=bands, values=cut, clear=np.ones((rows, cols), dtype=bool))


def test_landsat_walks_the_same_line(world: World):
    _, past, last, _ = world
    history = [as_landsat(look) for look in past]
    empty, full = (run(world, as_landsat(last[name]), history) for name in ("empty", "full"))
    for answer in (empty, full):
        assert isinstance(answer, Count) or (isinstance(answer, Refusal) and answer.flags == ("OFF_YARD_RESIDUAL",))
    assert isinstance(full, Count) and full.railcars > 10
    if isinstance(empty, Count):
        assert empty.railcars < full.railcars and empty.low == 0.0
        fine = run(world, last["empty"])
        assert empty.detection_limit > fine.detection_limit  # coarser pixels see less, and say so


@pytest.mark.parametrize(("hits", "trials", "low", "high"), [(0, 10, 0.0, 0.2589), (5, 10, 0.2224, 0.7776)])
def test_binomial_interval(hits: int, trials: int, low: float, high: float):
    # Clopper and Pearson, level 0.90: qbeta of R.
    assert injection.binomial_interval(hits, trials) == pytest.approx((low, high), abs=2e-4)


def test_slope_through_origin():
    n = np.array([5.0, 10.0, 20.0, 40.0])
    assert injection.slope_through_origin(n, 0.9 * n)[0] == pytest.approx(0.9)
