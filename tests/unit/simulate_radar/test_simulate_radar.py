"""Simulated radar: known cars, speckle of unit mean, each orbit its own view of the ground, equal seeds equal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipeline.model import Site
from pipeline.simulate.radar import RadarConditions, RadarLook, RadarPlan, RadarView, radar_looks
from pipeline.simulate.yard import make_site, make_tracks

START = datetime(2022, 7, 19, 21, 30, tzinfo=UTC)
VIEW = RadarView("S1A", "R061", 80.0)
# Without speckle, weather and season, what is left to differ is what is asked about.
STILL = RadarConditions(
    looks=np.inf, moisture_db=0.0, unlike_db=0.0, season_db=0.0, worked_share=0.0, car_db=0.0, keep_share=0.0
)


@pytest.fixture(scope="module")
def site() -> Site:
    tracks = make_tracks("parallel", tracks=6, length_m=500.0, centre=(500000.0, 4700000.0))
    return make_site(tracks, "EPSG:32652", margin_m=250.0)


def render(
    site: Site, cars: list[int], how: RadarConditions, *, seed: int = 4, view: RadarView = VIEW, first: int = 0
) -> list[RadarLook]:
    plans = [RadarPlan(START + timedelta(days=12 * k), n, view) for k, n in enumerate(cars)]
    return list(radar_looks(site, plans, seed, how, first=first))


def test_each_pass_holds_exactly_its_cars(site: Site) -> None:
    looks = render(site, [0, 17, 17, 60], RadarConditions())
    assert [len(one.cars) for one in looks] == [0, 17, 17, 60]
    for one in looks:
        assert one.values.shape == (2, *one.grid.shape)
        assert one.values.dtype == np.float32
        assert (one.values > 0).all()


def test_equal_seeds_give_equal_passes_whichever_is_rendered_first(site: Site) -> None:
    whole, again = render(site, [5, 9, 30], RadarConditions()), render(site, [5, 9, 30], RadarConditions())
    tail = render(site, [5, 9, 30], RadarConditions(), first=2)
    other = render(site, [5, 9, 30], RadarConditions(), seed=5)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(whole, again, strict=True))
    assert len(tail) == 1
    assert np.array_equal(tail[0].values, whole[2].values)
    assert not np.array_equal(other[0].values, whole[0].values)


def added(site: Site, cars: int, how: RadarConditions = STILL, view: RadarView = VIEW) -> np.ndarray:
    """Return what cars add to each polarisation, summed over the image, against the same pass without them."""
    (empty,), (full,) = render(site, [0], how, view=view), render(site, [cars], how, view=view)
    return np.asarray((full.values.astype(float) - empty.values).sum(axis=(1, 2)))


def test_brightness_grows_with_the_cars_and_their_fleet(site: Site) -> None:
    few, many = added(site, 20), added(site, 80)
    assert (few > 0).all()
    # Kinds come in rakes and differ in brightness, so that four times the cars are only about four times as bright.
    np.testing.assert_allclose(many / few, 4.0, rtol=0.35)
    bright = added(site, 80, RadarConditions(**{**STILL.__dict__, "fleet_db": 3.0}))
    assert (bright > 2.0 * many).all()


def test_a_track_across_the_view_is_brightest(site: Site) -> None:
    along = added(site, 60, view=RadarView("S1A", "R061", 90.0))  # the tracks run east, the radar looks east
    across = added(site, 60, view=RadarView("S1A", "R061", 0.0))
    assert across[0] > 1.3 * along[0]
    assert across[0] / along[0] > across[1] / along[1]  # the dihedral is a matter of VV


def test_cars_change_nothing_away_from_the_tracks(site: Site) -> None:
    (empty,), (full,) = render(site, [0], STILL), render(site, [60], STILL)
    changed = np.abs(full.values / empty.values - 1).max(axis=0) > 1e-3
    rows, columns = np.nonzero(changed)
    x, y = full.grid.to_xy(columns + 0.5, rows + 0.5)
    line = site.tracks[2].line
    assert changed.any()
    assert np.abs(y - line.coords[0][1]).max() < 80.0
    assert np.abs(x - 500000.0).max() < 310.0


def test_speckle_has_unit_mean_and_its_number_of_looks(site: Site) -> None:
    how = RadarConditions(**{**STILL.__dict__, "looks": 4.4})
    looks, clean = render(site, [0] * 12, how), render(site, [0], STILL)[0]
    ratio = np.stack([one.values for one in looks]) / clean.values
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)
    assert 1.0 / ratio.var() == pytest.approx(4.4, rel=0.06)


def test_each_orbit_and_platform_sees_its_own_texture(site: Site) -> None:
    first, second = render(site, [0, 0], STILL)
    assert np.array_equal(first.values, second.values)
    for view in (RadarView("S1A", "R134", 80.0), RadarView("S1C", "R061", 80.0)):
        (other,) = render(site, [0], STILL, view=view)
        assert np.abs(np.log(other.values / first.values)).mean() > 0.2


def test_rain_wets_everything_and_summer_greens_the_fields(site: Site) -> None:
    wet = render(site, [0] * 8, RadarConditions(**{**STILL.__dict__, "moisture_db": 1.0}))
    levels = np.array([10 * np.log10(one.values[0].mean()) for one in wet])
    assert 0.4 < levels.std() < 2.0
    green = render(site, [0] * 16, RadarConditions(**{**STILL.__dict__, "season_db": 1.2}))
    summer, winter = green[0].values, green[15].values  # half a year apart
    assert np.median(10 * np.log10(summer[1] / winter[1])) > 0.5
