"""Ground that looks like trains: wet patches on ballast, soft edges of clouds, change that does not end at tracks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pipeline.counting.occupancy.flank import changed_beside, doubtful
from pipeline.counting.occupancy.ground import WETTING, learn_wetting, moments, wetness_of
from pipeline.counting.occupancy.light import CLOUD_M2, EDGE_M, soft_edges
from pipeline.counting.occupancy.spatial import Filter, Images, whiten

BANDS, PIXELS, LOOKS = 6, 400, 40
RAIN = np.array([0.30, 0.33, 0.36, 0.40, 0.60, 0.65])  # not the spectrum that is believed
TRAIN = np.array([-0.5, -0.5, -0.45, -0.4, -0.2, -0.1])
WET_DAYS = (5, 12, 20, 31, 38)


def changes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return relative changes (LOOKS, BANDS, PIXELS) of dry, wet and laden looks, and their drift."""
    values = 0.01 * rng.standard_normal((LOOKS, BANDS, PIXELS))
    drift = np.full(LOOKS, 0.9)
    for look in WET_DAYS:
        values[look] -= RAIN[:, None] * 0.15 * rng.standard_normal(PIXELS)
        drift[look] = 4.0
    for look in (3, 12, 25):
        values[look, :, :80] += TRAIN[:, None] * rng.uniform(0.5, 1.0, 80)
    return values, drift


def test_the_past_tells_wet_patches_from_trains() -> None:
    values, drift = changes(np.random.default_rng(5))
    moment = moments(values, np.ones((LOOKS, PIXELS), dtype=bool))
    wetting = learn_wetting(moment, drift, np.array(WETTING))
    assert abs(wetting.direction @ RAIN) / np.linalg.norm(RAIN) > 0.995
    wet = wetness_of(moment, drift, wetting, np.outer(TRAIN, TRAIN))
    assert (wet[[place for place in range(LOOKS) if place not in WET_DAYS]] == 0).all()
    rain = 0.15**2 * float(RAIN @ RAIN)
    assert (wet[list(WET_DAYS)] > rain).all() and (wet[list(WET_DAYS)] < 8 * rain).all()


def test_a_past_without_rain_leaves_what_is_believed() -> None:
    rng = np.random.default_rng(6)
    moment = moments(0.01 * rng.standard_normal((LOOKS, BANDS, PIXELS)), np.ones((LOOKS, PIXELS), dtype=bool))
    wetting = learn_wetting(moment, np.full(LOOKS, 0.8), np.array(WETTING))
    assert abs(wetting.direction @ np.array(WETTING)) / np.linalg.norm(WETTING) > 0.99


@pytest.mark.parametrize("wet", [0.0, 300.0])
def test_wet_patches_are_whitened_pixel_by_pixel_and_trains_stay(wet: float) -> None:
    rng = np.random.default_rng(7)
    direction = rng.uniform(0.3, 1.0, (3, PIXELS))  # another in every pixel, as its ground is
    across = np.cross(direction.T, np.array([1.0, -1.0, 0.5])).T
    across /= np.linalg.norm(across, axis=0)
    values = rng.standard_normal((1, 3, PIXELS)) + direction * 15.0 * rng.standard_normal(PIXELS)
    values[0, :, :60] += 12.0 * across[:, :60]
    kit = Filter(
        np.ones((3, PIXELS, 1)),
        np.full((3, 1), 3.0),
        12.0 * across.mean(axis=1),
        12.0 * across[:, :50],
        0.5,
        direction,
    )
    images = Images(values, np.ones((1, PIXELS), dtype=bool), np.eye(3)[None], np.array([wet]))
    energy = (whiten(images, kit).free[0] ** 2).sum(axis=0)
    ratio = float(np.median(energy[:60]) / np.median(energy[60:]))
    assert ratio > 15.0 if wet else ratio < 8.0


def test_cloud_edges_are_hidden_and_those_of_roofs_are_not() -> None:
    clear = np.ones((120, 120), dtype=bool)
    clear[10:13, 10:13] = False  # a bright roof
    assert not soft_edges(clear, 10.0).any()
    side = int(np.sqrt(CLOUD_M2) / 10.0) + 2
    clear[60 : 60 + side, 60 : 60 + side] = False
    found = soft_edges(clear, 10.0)
    reach = int(EDGE_M / 10.0)
    assert found[70, 60 - reach] and not found[70, 60 - reach - 1] and not found[70, 70] and not found[9, 10]


def test_ground_that_changes_beyond_the_tracks_is_no_train() -> None:
    rng = np.random.default_rng(8)
    values = rng.standard_normal((30, 4, 200))
    values[-1, :, :100] += 6.0
    seen = np.ones((30, 200), dtype=bool)
    outside = np.broadcast_to(np.eye(4), (30, 4, 4))
    changed = changed_beside(values, seen, outside, np.zeros((30, 4)))
    assert changed[:100].mean() > 0.95 and changed[100:].mean() < 0.05
    beside = csr_matrix(np.repeat(np.eye(20), 10, axis=1))  # 20 yard pixels with 10 beside each
    cars = np.r_[np.full(10, 1.0), np.full(10, 3.0)]
    assert doubtful(cars, changed, seen[-1], beside) == pytest.approx(0.25)
    assert doubtful(cars, np.zeros(200, dtype=bool), seen[-1], beside) == 0.0
    # Rain scatters the ground farther off as much: nothing special has happened beside the tracks.
    rain = np.concatenate([outside[:-1], 40.0 * outside[-1:]])
    assert changed_beside(values, seen, rain, np.zeros((30, 4))).mean() < 0.05
