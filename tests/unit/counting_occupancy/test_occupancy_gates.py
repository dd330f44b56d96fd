"""Gates and noise: patches of light, rain on ballast, full yards, wide pixels in the infrared."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import identity

from pipeline.counting.occupancy import estimate
from pipeline.counting.occupancy.bench import drift_of
from pipeline.counting.occupancy.density import pixel_features
from pipeline.counting.occupancy.gates import FIGURES, against_history
from pipeline.counting.occupancy.light import patchiness
from pipeline.counting.occupancy.spatial import Filter, Images, outside_covariance, whiten
from pipeline.model import Grid
from pipeline.simulate.coarse_cars import changes_by_cars, psf_of
from pipeline.simulate.yard import make_tracks, place_cars

Ground = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.intp]]


@pytest.fixture
def ground() -> Ground:
    """Controls (30 looks, 4 bands, 400) around 0.2 with 3 % noise, in 10 tiles."""
    rng = np.random.default_rng(4)
    flat = (0.2 * (1 + 0.03 * rng.standard_normal((30, 4, 400)))).astype(np.float32)
    return flat, np.full_like(flat, 0.2), np.ones(flat.shape, dtype=bool), np.repeat(np.arange(10), 40)


def test_a_shadow_stands_out_and_growth_does_not(ground: Ground) -> None:
    flat, model, seen, tile = ground
    days = np.linspace(1, 360, 30)
    calm = patchiness(flat, model, seen, tile)
    shaded, grown = flat.copy(), flat.copy()
    shaded[-1][:, tile < 3] *= 0.7
    grown[-1][:3][:, tile < 3] *= 0.7
    grown[-1][3, tile < 3] *= 1.3
    found = [against_history(np.hstack([np.zeros((30, 4)), patchiness(one, model, seen, tile)]), days)[0][-1]
             for one in (flat, shaded, grown)]  # fmt: skip
    shade = FIGURES.index("shade")
    assert found[1][shade] > 8 and abs(found[0][shade]) < 4 and abs(found[2][shade]) < 4
    assert calm.shape == (30, 2)


def test_haze_shows_in_the_blue(ground: Ground) -> None:
    flat, model, seen, tile = ground
    hazy = flat.copy()
    hazy[-1, 0, tile < 4] += 0.03
    assert patchiness(hazy, model, seen, tile)[-1, 1] > patchiness(flat, model, seen, tile)[-1, 1] + 1.0


def kit(channels: int, pixels: int) -> Filter:
    terms = np.ones((channels, pixels, 1))
    changes = np.full((channels, 50), 6.0)
    return Filter(
        terms, np.full((channels, 1), 3.0), changes.mean(axis=1), changes, 1.0, np.zeros((channels, pixels))
    )


def test_noise_in_one_direction_costs_only_that_direction() -> None:
    rng = np.random.default_rng(8)
    calm = rng.standard_normal((1, 3, 500))
    wet = calm.copy()
    wet[0, 0] *= 20
    control = rng.standard_normal((2, 3, 400))
    control[1, 0] *= 20
    outside = outside_covariance(np.concatenate([control[:1], control]), np.ones((3, 400), dtype=bool))[1:]
    seen = np.ones((2, 500), dtype=bool)
    found = whiten(Images(np.concatenate([calm, wet]), seen, outside, np.zeros(2)), kit(3, 500))
    spread = found.free.std(axis=2)
    assert spread[1] == pytest.approx(spread[0], rel=0.35)  # rain is white again
    assert 0.6 * found.typical[0] < found.typical[1] < found.typical[0]  # two of three directions are left


def test_a_full_yard_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(9)
    values = rng.standard_normal((2, 3, 500))
    values[1, :, :350] += 12.0 * np.sign(rng.standard_normal(350))
    images = Images(values, np.ones((2, 500), dtype=bool), np.broadcast_to(np.eye(3), (2, 3, 3)).copy(), np.zeros(2))
    found = whiten(images, kit(3, 500))
    assert found.unit[1] < 2.0
    calm = whiten(images.pick(np.array([0])), kit(3, 500))
    alone = identity(500, format="csr")
    ordinary = float(pixel_features(calm, images.seen[:1], alone).quiet[0])
    shown = pixel_features(found, images.seen, alone, ordinary)
    assert shown.filled[1, :350].mean() > 0.9 and shown.filled[0].mean() < 0.1


def test_infrared_pixels_of_20_m_spread_cars_wider() -> None:
    tracks = make_tracks("parallel", tracks=2, length_m=300.0, centre=(250.0, 250.0), azimuth_deg=90.0)
    grid = Grid("EPSG:32652", (10.0, 0.0, 0.0, 0.0, -10.0, 500.0), 50, 50)
    seen = changes_by_cars(place_cars(tracks, 5, np.random.default_rng(1)), grid, (40.0, 170.0))
    lost, paint = seen.lost, seen.paint
    assert paint[4].max() / paint[4].sum() < 0.75 * paint[2].max() / paint[2].sum()
    assert lost.sum(axis=(1, 2)) == pytest.approx(lost[0].sum(), rel=0.5)
    assert psf_of(5, 30.0) == psf_of(0, 30.0) < psf_of(5, 10.0)


def test_rain_on_all_ballast_drifts_and_trains_do_not() -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((21, 3, 500))
    values += rng.normal(0, 0.3, (21, 3, 1))  # what rain and light do on ordinary days
    values[19, :, :150] += 12.0  # trains
    values[20] -= 3.0  # rain
    images = Images(
        values, np.ones((21, 500), dtype=bool), np.broadcast_to(np.eye(3), (21, 3, 3)).copy(), np.zeros(21)
    )
    drift = drift_of(whiten(images, kit(3, 500)).beta)
    assert drift[20] > estimate.DRIFT_MAX and drift[:20].max() < 3.0


@pytest.mark.parametrize(
    ("murk", "drift", "beside", "refused"),
    [
        (estimate.MURK_MAX, 1.0, 0.0, ""),
        (estimate.MURK_MAX + 0.1, 1.0, 0.0, "too wet or too hazy"),
        (1.0, estimate.DRIFT_MAX + 0.1, 0.0, "so wet or so bright"),
        (1.0, 1.0, 0.5, "the ground has changed"),
        (1.0, 1.0, 0.15, ""),
    ],
)
def test_a_day_on_which_cars_do_not_stand_out_is_refused(
    murk: float, drift: float, beside: float, refused: str
) -> None:
    figures = {"murk": murk, "drift": drift, "beside": beside}
    found = estimate.Estimate(40.0, 0.0, None, None, None, None, np.zeros(1), figures)  # type: ignore[arg-type]
    result = estimate._gate_ground(found, "L1")
    assert isinstance(result, estimate.Refused) is bool(refused)
    if isinstance(result, estimate.Refused):
        assert result.flag == "OFF_YARD_RESIDUAL"
        assert refused in result.detail
