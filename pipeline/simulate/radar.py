"""Series of simulated Sentinel-1 looks at a yard with a known number of railcars.

Backscatter is gamma0 in linear power, VV and VH, with multiplicative speckle. What changes from pass to pass: the
cars, the moisture of each kind of ground, the season of plants, wet snow, and fields that are worked. What differs
between orbits: the direction and steepness of the view, hence the texture of the ground and the brightness of cars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from pipeline.model import Grid, Site
from pipeline.simulate.kinds import KINDS
from pipeline.simulate.yard import PlacedCar, place_cars

POLARISATIONS = ("vv", "vh")
TRACK_WIDTH_M = 5.0  # a car's brightness is given relative to one metre of empty track, a strip so wide
# Mean gamma0 of VV and VH, dB: order of magnitude for C band (fields -10/-16, gravel and rails -9/-17, towns -3/-12,
# water -20/-27) as in Small 2011, doi 10.1109/TGRS.2011.2120616, and product examples.
GROUND_DB = {"field": (-10.5, -16.5), "trees": (-9.0, -14.5), "yard": (-9.0, -17.0), "town": (-4.0, -12.0)}


@dataclass(frozen=True, slots=True)
class RadarView:
    """How one relative orbit of one platform sees the site."""

    platform: str  # S1A, S1C, ...
    orbit: str  # R061
    look_azimuth_deg: float  # direction in which the radar looks, clockwise from north: about 80 or 280
    incidence_deg: float = 39.0


@dataclass(frozen=True, slots=True)
class RadarPlan:
    """One pass with its truth."""

    observed_at: datetime  # UTC
    railcars: int
    view: RadarView


@dataclass(frozen=True, eq=False)
class RadarLook:
    """One simulated acquisition."""

    plan: RadarPlan
    grid: Grid
    values: NDArray[np.float32]  # (2, rows, columns) gamma0, linear power, order of `POLARISATIONS`
    cars: tuple[PlacedCar, ...]


@dataclass(frozen=True)
class RadarConditions:
    """How hard the simulated world is."""

    gsd_m: float = 10.0
    # Equivalent number of looks of a pixel: GRD IW 4.4, OPERA RTC-S1 at 30 m 7 to 8 as measured; inf: no speckle.
    looks: float = 4.4
    resolution_m: float = 20.0  # full width at half maximum; speckle is correlated over it
    moisture_db: float = 0.7  # standard deviation from pass to pass, common to the scene
    unlike_db: float = 0.25  # standard deviation by which kinds of ground and the yard differ in it
    season_db: float = 1.2  # amplitude of plants in VH, half of it in VV
    worked_share: float = 0.15  # of the fields that change by 1 to 3 dB within a year
    car_db: float = 1.5  # standard deviation of a car's brightness about its kind's
    fleet_db: float = 0.0  # by which all cars of the site are brighter than the kinds' hints, which are rough
    keep_share: float = 0.4  # of passes at which the cars stand where they stood


def radar_looks(
    site: Site, plans: Sequence[RadarPlan], seed: int, conditions: RadarConditions | None = None, *, first: int = 0
) -> Iterator[RadarLook]:
    """Render passes in order.

    Parameters
    ----------
    site : Site
        Its tracks say where cars stand and where the ground is ballast.
    plans : sequence of RadarPlan
        In order of time.
    seed : int
        Equal seeds give equal looks; each pass has its own stream.
    conditions : RadarConditions, optional
    first : int
        Number of the first pass that is rendered; the cars of the earlier ones are placed, but nothing else.
    """
    how = conditions or RadarConditions()
    grid = site.grid(how.gsd_m)
    ground = _Ground(site, grid, seed, how)
    cars: tuple[PlacedCar, ...] = ()
    for number, plan in enumerate(plans):
        rng = np.random.default_rng([seed, 41, number])
        if len(cars) != plan.railcars or rng.random() > how.keep_share:
            cars = place_cars(site.tracks, plan.railcars, rng)
        if number < first:
            continue
        clean = ground.backscatter(plan, rng) + _cars(cars, grid, ground, plan, how, rng)
        yield RadarLook(plan, grid, _speckle(clean, how, rng), cars)


class _Ground:
    """The site's ground: classes, texture for each view, how each field answers to weather."""

    def __init__(self, site: Site, grid: Grid, seed: int, how: RadarConditions) -> None:
        from rasterio.features import rasterize
        from rasterio.transform import Affine
        from shapely.ops import unary_union

        rng = np.random.default_rng([seed, 40])
        self.how, self.seed, self.grid = how, seed, grid
        west, south, east, north = grid.bounds
        number = max(int((east - west) * (north - south) / 25000.0), 8)
        spots = np.column_stack([rng.uniform(west, east, number), rng.uniform(south, north, number)])
        x, y = grid.to_xy(*np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5))
        self.field = np.asarray(cKDTree(spots).query(np.column_stack([x.ravel(), y.ravel()]))[1]).reshape(grid.shape)
        kind = rng.choice(3, number, p=[0.6, 0.25, 0.15])
        names = ("field", "trees", "town")
        levels = np.array([GROUND_DB[names[k]] for k in kind]) + rng.normal(0, 1.2, (number, 2))
        self.level = levels[self.field].transpose(2, 0, 1)
        fine = Affine(grid.gsd_m / 4, 0, west, 0, -grid.gsd_m / 4, north)
        shape = (grid.height * 4, grid.width * 4)
        line = unary_union([track.line for track in site.tracks])
        ballast = rasterize([(line.buffer(4.0), 1)], out_shape=shape, transform=fine, dtype="uint8")
        self.yard = ballast.reshape(grid.height, 4, grid.width, 4).mean(axis=(1, 3))
        self.yard_level = np.array(GROUND_DB["yard"]) + rng.normal(0, 1.0, 2)
        self.plants = np.where(kind == 0, 1.0, np.where(kind == 1, 0.4, 0.0))[self.field]
        self.phase = rng.normal(0, 0.4, number)[self.field]
        worked = (rng.random(number) < how.worked_share) & (kind == 0)
        self.worked = np.where(worked, rng.choice([-1.0, 1.0], number) * rng.uniform(1, 3, number), 0.0)
        self.worked_day = rng.uniform(60, 330, number)
        self.number = number

    def backscatter(self, plan: RadarPlan, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the ground of the pass without cars, (2, rows, columns), linear power."""
        how, day = self.how, float(plan.observed_at.timetuple().tm_yday)
        view = np.random.default_rng([self.seed, 42, *plan.view.orbit.encode(), *plan.view.platform.encode()])
        texture = gaussian_filter(view.standard_normal(self.grid.shape), 0.7)
        texture *= 1.6 / texture.std()
        tilt = view.normal(0, 0.5, (2, self.number))[:, self.field]
        wet = rng.normal(0, how.moisture_db) * np.array([1.0, 0.7])
        unlike = rng.normal(0, how.unlike_db, (2, self.number))[:, self.field]
        swing = np.cos(2 * np.pi * (day - 200) / 365.25 + self.phase) * self.plants * how.season_db
        worked = np.where(day > self.worked_day, self.worked, 0.0)[self.field]
        db = self.level + texture + tilt + wet[:, None, None] + unlike + swing * np.array([0.5, 1.0])[:, None, None]
        db += worked
        bare = self.yard_level + wet + rng.normal(0, how.unlike_db, 2) + view.normal(0, 0.5, 2)
        yard = 10 ** ((bare[:, None, None] + 0.6 * texture) / 10)
        mixed = 10 ** (db / 10) * (1 - self.yard) + yard * self.yard
        self.bare = 10 ** (bare / 10)
        return np.asarray(mixed)


def _cars(
    cars: Sequence[PlacedCar], grid: Grid, ground: _Ground, plan: RadarPlan, how: RadarConditions,
    rng: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    """Return what cars add, (2, rows, columns), linear power, spread by the sensor's resolution.

    A car's side and the ground form a dihedral, brightest when the track runs across the view; the return lies at
    its near foot, the roof's towards the radar (layover).
    """
    added = np.zeros((2, *grid.shape))
    azimuth = np.deg2rad(plan.view.look_azimuth_deg)
    towards = -np.array([np.sin(azimuth), np.cos(azimuth)])
    for car in cars:
        model = KINDS[car.railcar.kind]
        across = np.array([-np.sin(car.heading_rad), np.cos(car.heading_rad)])
        facing = float(abs(across @ towards))
        bounce = 2.5 * (facing**8 - 0.25)  # dB: the dihedral is narrow in azimuth
        x, y = np.array(car.centre) + towards * (car.width_m / 2 + 0.5 * car.height_m / np.tan(
            np.deg2rad(plan.view.incidence_deg)))  # fmt: skip
        col, row = grid.to_pixel(x, y)
        r, c = int(row), int(col)
        if not (0 <= r < grid.height and 0 <= c < grid.width):
            continue
        share = car.railcar.length_m * TRACK_WIDTH_M / grid.gsd_m**2
        for band, db in enumerate((model.backscatter_vv_db, model.backscatter_vh_db)):
            factor = 10 ** (
                (db + how.fleet_db + bounce * (1.0 if band == 0 else 0.4) + rng.normal(0, how.car_db)) / 10
            )
            added[band, r, c] += max(factor - 1.0, 0.0) * share * ground.bare[band]
    sigma = how.resolution_m / 2.355 / grid.gsd_m
    return np.stack([gaussian_filter(a, sigma) for a in added])


def _speckle(clean: NDArray[np.float64], how: RadarConditions, rng: np.random.Generator) -> NDArray[np.float32]:
    """Multiply by speckle: unit mean, gamma of `looks` looks, correlated over the resolution.

    Correlated gamma speckle is made as the sum of squares of correlated Gaussian fields, two a look (Goodman 2007,
    Speckle Phenomena in Optics, ch. 3).
    """
    if not np.isfinite(how.looks):
        return clean.astype(np.float32)
    sigma = max(how.resolution_m / 2.355 / how.gsd_m / np.sqrt(2.0), 1e-3)
    # A last, lighter look makes the equivalent number of looks fractional: (k + w)^2 / (k + w^2) = looks.
    k = int(how.looks)
    root = np.sqrt(k**2 - (1 - how.looks) * (k**2 - how.looks * k))
    last = (root - k) / (1 - how.looks) if how.looks > 1 else 0.0
    weights = np.array([1.0] * max(k, 1) + ([last] if last > 1e-6 else []))
    weights = weights / weights.sum()
    out = np.empty(clean.shape, dtype=np.float32)
    for band in range(clean.shape[0]):
        power = np.zeros(clean.shape[1:])
        for weight in weights:
            for _ in range(2):
                field = rng.standard_normal(clean.shape[1:])
                if how.resolution_m > how.gsd_m:
                    field = gaussian_filter(field, sigma, mode="wrap")
                    field /= np.sqrt(_gain(sigma))
                power += 0.5 * weight * field**2
        out[band] = clean[band] * power
    return out


def _gain(sigma: float) -> float:
    """Return the variance that white noise keeps under the discrete Gaussian filter of `sigma` pixels."""
    spike = np.zeros(41)
    spike[20] = 1.0
    kernel = gaussian_filter(spike, sigma)
    return float((kernel**2).sum() ** 2)
