"""How a filter image answers to railcars: known numbers of simulated cars stood into the yard's own looks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.target import BAND_INDEX
from pipeline.model import CAR_PITCH_M, RailcarKind, Track
from pipeline.simulate.coarse_cars import changes_by_cars
from pipeline.simulate.kinds import GROUNDS, draw_colour, draw_kind
from pipeline.simulate.yard import PlacedCar, place_cars

FloatArray = NDArray[np.float64]
HalfArray = NDArray[np.float16]  # kept by the thousand, and exact to 1 in 2000

LEVELS = (5, 10, 20, 40, 80, 120, 200, 320)
SPARSE_LEVELS = (10, 40, 120)  # enough for the suns of known dates
# Different rakes for each level. Few rakes differ much by kind and paint, and the draw is the same at every site: it
# would lean every count to one side. As many as there are hosts (8), so that each host bears every level once.
PLACEMENTS = {5: 8, 10: 8, 20: 8, 40: 8, 80: 8, 120: 8, 200: 4, 320: 2}
PACKED = 8  # one placement in so many stands on as few tracks as hold it
SEED = 20231005
DRAWN_CARS, DRAWS_MAX = 160, 12  # cars of the draws from which the one is taken that keeps the fleet balanced
FLEET_CARS = 4000  # that tell the mean fleet
COMMON = (RailcarKind.ORE, RailcarKind.BOX, RailcarKind.TANK, RailcarKind.FLAT)
HALF_FULL = 80.0  # railcars at which half of what crowding takes is taken (simulated yards of 5 to 12 tracks)
SAY_HALF = 40.0  # railcars from which an injection tells the slope about as well as any larger one
# Suns within such a cell share their shadows. Half a degree is 2 % of a shadow; two degrees were 10 % in midwinter,
# when the sun stays at one height for two months and every count leaned the same way.
SUN_STEP_DEG, AZIMUTH_STEP_DEG = 1.0, 4.0
RENDERED_MAX = 120  # suns whose renderings are kept: those of a year


@dataclass(frozen=True, eq=False)
class Rendered:
    """Cars of known number as shares of the yard's pixels."""

    railcars: int
    roof: HalfArray  # (N,) share of each pixel under car bodies
    lost: HalfArray  # (6, N) share of the ground's light that roof and shadow take, order of kinds.BANDS
    paint: HalfArray  # (6, N) reflectance that the roofs add


@dataclass(frozen=True, eq=False)
class Response:
    """How the sum over a yard answers to n cars under one sun."""

    level: FloatArray  # (G,) railcars, starting with 0
    mean: FloatArray  # (G,) mean rise of the sum, increasing
    zero: float  # sum of an empty yard
    per_car: float  # variance of the number for one more car, cars² (colours and kinds differ)
    relative: float  # relative standard deviation that does not average out (how rakes lie)
    sparse: tuple[float, float]  # `slopes_of` the cars of `SPARSE_LEVELS` alone

    def railcars(self, sums: FloatArray) -> FloatArray:
        """Return the numbers of cars (Q,) that give sums (Q,) on average; below zero the first slope goes on."""
        return _invert(self.level, self.mean, np.asarray(sums, dtype=np.float64) - self.zero)


def _invert(level: FloatArray, curve: FloatArray, rise: FloatArray) -> FloatArray:
    """Return the numbers of cars (Q,) that a rise (Q,) means."""
    first = level[1] / curve[1]
    last = (level[-1] - level[-2]) / (curve[-1] - curve[-2])
    inside = np.where(rise < 0, rise * first, np.interp(rise, curve, level))
    return np.asarray(np.where(rise > curve[-1], level[-1] + (rise - curve[-1]) * last, inside))


_rendered: OrderedDict[tuple[str, int, int], tuple[Rendered, ...]] = OrderedDict()


@lru_cache(maxsize=8)
def _placements(key: str, holder: _Tracks) -> tuple[tuple[PlacedCar, ...], ...]:
    """Place cars for every level, the largest levels only where the tracks hold them.

    Of several draws the one is kept that brings the cars of its level nearest to the mean of the fleet in kind and
    paint (rerandomisation, Morgan and Rubin 2012, doi 10.1214/12-AOS1008).
    """
    made: list[tuple[PlacedCar, ...]] = []
    centre, scale = _fleet()
    for level in LEVELS:
        total = np.zeros(len(centre))
        for number in range(PLACEMENTS[level]):
            draws = []
            for draw in range(int(np.clip(DRAWN_CARS // level, 1, DRAWS_MAX))):
                cars = _place(holder.tracks, level, number, draw)
                if cars is None:
                    return tuple(made)
                sums = total + sum(_traits(car.railcar.kind, car.colour) for car in cars)
                away = ((sums / (level * (number + 1)) - centre) / scale) ** 2
                draws.append((float(away.sum()), sums, cars))
            _, total, best = min(draws, key=lambda one: one[0])
            made.append(best)
    return tuple(made)


@lru_cache(maxsize=1)
def _fleet() -> tuple[FloatArray, FloatArray]:
    """Return mean and spread of the traits of a mixed fleet."""
    rng = np.random.default_rng(SEED)
    kinds = [draw_kind(rng) for _ in range(FLEET_CARS)]
    traits = np.array([_traits(kind, draw_colour(kind, rng)) for kind in kinds])
    return traits.mean(axis=0), traits.std(axis=0)


def _traits(kind: RailcarKind, colour: FloatArray) -> FloatArray:
    """Return what decides how a car shows: its kind, by height and shape, and its paint against ballast."""
    apart = colour - np.array(GROUNDS["ballast"])
    seen, infrared = float(apart[:3].mean()), float(apart[3:].mean())
    return np.array([*(float(kind is one) for one in COMMON), seen, infrared, seen**2, infrared**2])


def _place(tracks: tuple[Track, ...], level: int, number: int, draw: int) -> tuple[PlacedCar, ...] | None:
    """Spread cars over the yard, or, in one placement of `PACKED`, over as few neighbouring tracks as hold them."""
    rng = np.random.default_rng([SEED, level, number, draw])
    typical = float(np.mean([track.line.length for track in tracks]))
    few = (
        min(int(np.ceil(level * CAR_PITCH_M / (0.6 * typical))), len(tracks))
        if number % PACKED == PACKED - 1
        else len(tracks)
    )
    while True:
        first = int(rng.integers(len(tracks) - few + 1))
        try:
            return place_cars(tracks[first : first + few], level, rng)
        except ValueError:
            if few == len(tracks):
                return None
            few += 1


class _Tracks:
    """Tracks as an argument of a cache that compares only the yard's key."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = tuple(tracks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tracks)

    def __hash__(self) -> int:
        return 1


def sun_cell(sun: tuple[float, float]) -> tuple[int, int]:
    """Return the cell of suns that share their renderings."""
    return round(sun[0] / SUN_STEP_DEG), round(sun[1] / AZIMUTH_STEP_DEG)


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
    cell = sun_cell(sun)
    key = (yard.key, *cell)
    if key not in _rendered:
        made = []
        for cars in _placements(yard.key, _Tracks(tracks)):
            seen = changes_by_cars(cars, yard.grid, (cell[0] * SUN_STEP_DEG, cell[1] * AZIMUTH_STEP_DEG))
            lost, paint = (part.reshape(6, -1)[:, yard.index].astype(np.float16) for part in (seen.lost, seen.paint))
            made.append(Rendered(len(cars), seen.roof.reshape(-1)[yard.index].astype(np.float16), lost, paint))
        _rendered[key] = tuple(made)
        while len(_rendered) > RENDERED_MAX:
            _rendered.popitem(last=False)
    else:
        _rendered.move_to_end(key)
    return _rendered[key]


def changes_of(cars: Sequence[Rendered], ground: FloatArray, bands: tuple[str, ...]) -> FloatArray:
    """Return the reflectance (Q, B, N) that rendered cars add to the empty ground (B, N)."""
    number = [BAND_INDEX[name] for name in bands]
    return np.array([one.paint[number].astype(np.float64) - one.lost[number] * ground for one in cars])


def fit_response(railcars: FloatArray, rise: FloatArray, zero: float) -> Response:
    """Return the mean answer and its spread from injections.

    What the sum rises by per car falls with the number, as cars come to stand beside cars: a straight line in
    n / (n + `HALF_FULL`), fitted to all injections together. Means of single levels would carry the chance of their
    few placements into every count.

    Parameters
    ----------
    railcars : array of shape (Q,)
        Injected numbers.
    rise : array of shape (Q,)
        What the sum rose by.
    zero : float
        The sum without injection.
    """
    first, bend = slopes_of(railcars, rise)
    level = np.r_[0.0, np.unique(railcars)]
    curve = level * (first + bend * level / (level + HALF_FULL))
    ratio = (_invert(level, curve, rise) / railcars - 1.0) ** 2 * len(rise) / max(len(rise) - 2, 1)
    few, many = railcars <= 20, railcars >= 40
    per_car = float(np.clip((ratio * railcars)[few].mean(), 0.05, 6.0)) if few.any() else 1.0
    rest = ratio[many] - per_car / railcars[many]
    relative = float(np.sqrt(np.clip(rest.mean(), 0.0, 0.09))) if many.any() else 0.1
    few_levels = np.isin(railcars, SPARSE_LEVELS)
    sparse = slopes_of(railcars[few_levels], rise[few_levels]) if few_levels.any() else (first, bend)
    return Response(level, curve, zero, per_car, relative, sparse)


def slopes_of(railcars: FloatArray, rise: FloatArray) -> tuple[float, float]:
    """Return what one car of few adds to the sum, and by how much less one of very many, by weighted least squares.

    Weights are those of errors that grow with the root of the number for few cars and with the number for many.
    """
    ratio, u = rise / railcars, railcars / (railcars + HALF_FULL)
    say = railcars / (railcars + SAY_HALF)
    mean_u, mean_ratio = float(np.average(u, weights=say)), float(np.average(ratio, weights=say))
    spread = float((say * (u - mean_u) ** 2).sum())
    bend = float((say * (u - mean_u) * (ratio - mean_ratio)).sum()) / max(spread, 1e-9)
    first = mean_ratio - bend * mean_u
    # More cars never show less: the slope at the largest numbers keeps a tenth of the first.
    if first <= 0 or bend < -0.9 * first:
        first = mean_ratio / (1.0 - 0.9 * mean_u)
        bend = -0.9 * first
    return max(first, 1e-3), bend


def carried_over(base: Response, other: tuple[float, float]) -> FloatArray:
    """Return the curve (G,) of `base` for another day, on which cars of `SPARSE_LEVELS` answer with `other`."""
    u = base.level / (base.level + HALF_FULL)
    return np.asarray(base.mean * (other[0] + other[1] * u) / np.maximum(base.sparse[0] + base.sparse[1] * u, 1e-3))
