"""How the sum of a filter image answers to railcars: known numbers of simulated cars stood into the yard's own looks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.target import BAND_INDEX
from pipeline.model import Track
from pipeline.simulate.coarse_cars import PSF_SIGMA_PX, SHADE, cover
from pipeline.simulate.yard import PlacedCar, place_cars

FloatArray = NDArray[np.float64]

LEVELS = (5, 10, 20, 40, 80, 120, 200, 320)
PLACEMENTS = 4  # different rakes for each level
SEED = 20231005
SUN_STEP_DEG, AZIMUTH_STEP_DEG = 4.0, 10.0  # suns within such a cell share their shadows


@dataclass(frozen=True, eq=False)
class Rendered:
    """Cars of known number as shares of the yard's pixels."""

    railcars: int
    lost: FloatArray  # (6, N) share of the ground's light that roof and shadow take, order of kinds.BANDS
    paint: FloatArray  # (6, N) reflectance that the roofs add


@dataclass(frozen=True, eq=False)
class Response:
    """The answer of the summed filter image to n cars."""

    level: FloatArray  # (G,) railcars, starting with 0
    mean: FloatArray  # (G,) mean sum, not decreasing
    per_car: float  # variance of the sum for one more car, cars² (colours and kinds differ)
    relative: float  # relative standard deviation that does not average out (how rakes lie)

    def railcars(self, total: FloatArray | float) -> FloatArray:
        """Return the number of cars that gives a sum on average; below zero the first slope goes on."""
        value = np.asarray(total, dtype=np.float64)
        inside = np.interp(value, self.mean, self.level)
        first = self.level[1] / max(self.mean[1], 1e-9)
        last = (self.level[-1] - self.level[-2]) / max(self.mean[-1] - self.mean[-2], 1e-9)
        out = np.where(value < 0, value * first, inside)
        return np.asarray(np.where(value > self.mean[-1], self.level[-1] + (value - self.mean[-1]) * last, out))


_rendered: OrderedDict[tuple[str, int, int], tuple[Rendered, ...]] = OrderedDict()


@lru_cache(maxsize=8)
def _placements(key: str, holder: _Tracks) -> tuple[tuple[PlacedCar, ...], ...]:
    """Place cars for every level, the largest levels only where the tracks hold them."""
    made: list[tuple[PlacedCar, ...]] = []
    for level in LEVELS:
        for number in range(PLACEMENTS):
            rng = np.random.default_rng([SEED, level, number])
            try:
                made.append(place_cars(holder.tracks, level, rng, mean_rake=8.0))
            except ValueError:
                return tuple(made)
    return tuple(made)


class _Tracks:
    """Tracks as an argument of a cache that compares only the yard's key."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = tuple(tracks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tracks)

    def __hash__(self) -> int:
        return 1


def rendered_cars(yard: Yard, tracks: Sequence[Track], sun: tuple[float, float]) -> tuple[Rendered, ...]:
    """Return simulated cars of the known numbers `LEVELS` at the yard's pixels under a sun.

    Parameters
    ----------
    yard : Yard
    tracks : sequence of Track
        Those of the yard's day.
    sun : (float, float)
        Elevation and azimuth, degrees; rounded to the middle of a cell, so that looks share renderings.
    """
    cell = round(sun[0] / SUN_STEP_DEG), round(sun[1] / AZIMUTH_STEP_DEG)
    key = (yard.key, *cell)
    if key not in _rendered:
        made = []
        for cars in _placements(yard.key, _Tracks(tracks)):
            drawn = cover(
                cars, yard.grid, cell[0] * SUN_STEP_DEG, cell[1] * AZIMUTH_STEP_DEG, psf_sigma_px=PSF_SIGMA_PX
            )
            roof, shade = (part.reshape(-1)[yard.index].astype(np.float64) for part in (drawn.roof, drawn.shade))
            lost = roof[None] + shade[None] * (1 - np.array(SHADE))[:, None]
            paint = drawn.paint.reshape(6, -1)[:, yard.index].astype(np.float64)
            made.append(Rendered(len(cars), lost, paint))
        _rendered[key] = tuple(made)
        while len(_rendered) > 60:
            _rendered.popitem(last=False)
    else:
        _rendered.move_to_end(key)
    return _rendered[key]


def images_of(
    cars: Sequence[Rendered], ground: FloatArray, weights: FloatArray, bands: tuple[str, ...]
) -> tuple[FloatArray, FloatArray]:
    """Return (numbers of cars (Q,), filter images (Q, N)) that rendered cars add.

    Parameters
    ----------
    cars : sequence of Rendered
    ground : array of shape (B, N)
        Reflectance of the empty ground.
    weights : array of shape (B, N)
        Of the matched filter.
    bands : tuple of str
    """
    number = [BAND_INDEX[name] for name in bands]
    images = [(weights * (one.paint[number] - one.lost[number] * ground)).sum(axis=0) for one in cars]
    return np.array([one.railcars for one in cars], dtype=np.float64), np.array(images)


def fit_response(railcars: FloatArray, recovered: FloatArray) -> Response:
    """Return the mean answer and its spread from injections.

    Parameters
    ----------
    railcars : array of shape (Q,)
        Injected numbers.
    recovered : array of shape (Q,)
        What the sums rose by.
    """
    levels = np.unique(railcars)
    mean = np.array([recovered[railcars == level].mean() for level in levels])
    mean = np.maximum.accumulate(np.maximum(mean, 0.05 * levels))
    mean = mean + 1e-6 * np.arange(1, len(mean) + 1)
    response = Response(np.r_[0.0, levels], np.r_[0.0, mean], 0.0, 0.0)
    # Spread in cars: variance per_car × n + (relative × n)², by non-negative least squares on relative residuals.
    back = response.railcars(recovered)
    ratio = (back / railcars - 1.0) ** 2
    design = np.stack([1.0 / railcars, np.ones_like(railcars)], axis=1)
    per_car = float(np.clip((ratio * railcars)[railcars <= 20].mean() if (railcars <= 20).any() else 1.0, 0.05, 6.0))
    rest = ratio - per_car * design[:, 0]
    relative = float(np.sqrt(np.clip(rest[railcars >= 40].mean() if (railcars >= 40).any() else 0.01, 0.0, 0.09)))
    return Response(response.level, response.mean, per_car, relative)
