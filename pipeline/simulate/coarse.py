"""Series of simulated Sentinel-2 looks at a yard with a known number of railcars, from 10 m pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shift_image
from shapely.geometry import Point
from shapely.ops import unary_union

from pipeline.model import Grid, Railcar, RailcarKind, Site
from pipeline.simulate.coarse_cars import PSF_SIGMA_PX, SHADE, add_cars, cast_shadow, cover
from pipeline.simulate.coarse_sky import add_noise, classify, draw_weather, lay_snow, shine_through
from pipeline.simulate.coarse_world import FINE, World, build_world, share_of
from pipeline.simulate.kinds import BANDS, CONTAINER_COLOURS, GROUNDS
from pipeline.simulate.sun import sun_position
from pipeline.simulate.yard import PlacedCar, box_polygon, place_cars

QUANTUM = 1e-4  # reflectance of one digital number
GSD_M = 10.0


class LookPlan(Protocol):
    """What a plan must say of one pass; `pipeline.simulate.plan.PlannedLook` does."""

    @property
    def observed_at(self) -> datetime:
        """UTC."""

    @property
    def railcars(self) -> int:
        """True number."""

    @property
    def sky(self) -> str:
        """One of clear, cloud, half, snow, haze, shadow."""

    @property
    def shift_px(self) -> tuple[float, float]:
        """(columns, rows) at 10 m by which the image lies off."""

    @property
    def offset_dn(self) -> int:
        """Added to the digital numbers."""

    @property
    def orbit(self) -> str:
        """Relative orbit."""


@dataclass(frozen=True)
class SimplePlan:
    """A plan of one pass for tests and benchmarks."""

    observed_at: datetime
    railcars: int
    sky: str = "clear"
    shift_px: tuple[float, float] = (0.0, 0.0)
    offset_dn: int = 0
    orbit: str = "R103"


@dataclass(frozen=True, eq=False)
class SimulatedLook:
    """One simulated acquisition with its truth."""

    plan: LookPlan
    grid: Grid
    sun_elevation_deg: float
    sun_azimuth_deg: float
    numbers: dict[str, NDArray[np.uint16]]  # digital numbers at 10 m, bands of `kinds.BANDS`; 0 = no data
    classes: NDArray[np.uint8]  # Sentinel-2 scene classes at 10 m
    railcars: int
    cars: tuple[PlacedCar, ...] = field(repr=False, default=())

    @property
    def bands(self) -> dict[str, NDArray[np.uint16] | NDArray[np.uint8]]:
        """Digital numbers and, as `scl`, the classes: what `catalogue.write_acquisition` takes."""
        return {**self.numbers, "scl": self.classes}

    def reflectance(self) -> NDArray[np.float32]:
        """Return (6, rows, columns) reflectance in the order of `kinds.BANDS`."""
        stack = np.stack([self.numbers[name] for name in BANDS]).astype(np.float32)
        return (stack - np.float32(self.plan.offset_dn)) * np.float32(QUANTUM)


def simulate_series(
    site: Site,
    looks: Sequence[LookPlan],
    seed: int,
    *,
    world: World | None = None,
    keep_share: float = 0.6,
    residual: float = 1.0,
) -> Iterator[SimulatedLook]:
    """Render every planned look, in date order.

    Parameters
    ----------
    site : Site
        Any yard; an apron is drawn where the site names none.
    looks : sequence of LookPlan
        In date order.
    seed : int
        Equal seeds give equal pixels. Each look has its own stream, so that a longer plan leaves the first looks
        as they were.
    world : World, optional
        Ground to use instead of the one drawn from `seed`.
    keep_share : float
        Probability that cars present at the last look stay where they are, if it is at most four days old.
    residual : float
        Scale of the errors that atmospheric correction leaves.

    Yields
    ------
    SimulatedLook
    """
    ground = build_world(site, seed) if world is None else world
    cars: tuple[PlacedCar, ...] = ()
    last: datetime | None = None
    for number, plan in enumerate(looks):
        rng = np.random.default_rng([seed, 23, number])
        stays = last is not None and (plan.observed_at - last).days <= 4 and rng.random() < keep_share
        cars = _traffic(site, plan.railcars, cars if stays else (), rng)
        last = plan.observed_at
        yield render_look(ground, plan, cars, rng, residual=residual)


def render_look(
    world: World, plan: LookPlan, cars: Sequence[PlacedCar], rng: np.random.Generator, *, residual: float = 1.0
) -> SimulatedLook:
    """Render one look of a world with given cars."""
    sun = _sun(world.site, plan.observed_at)
    view = -7.0 if plan.orbit == "R003" else 6.0  # degrees off nadir; the two views of Tumangang
    ground = _ground(world, plan, sun, view, rng)
    weather = draw_weather(world, plan.sky, sun, rng)
    ground = lay_snow(ground, weather.snow)
    clutter = _apron_clutter(world, rng)
    shade = np.clip(np.array(SHADE) * rng.uniform(0.8, 1.25), 0.02, 0.6)
    for things, snow_share in ((clutter, 0.5), (tuple(cars), 0.6)):
        drawn = cover(things, world.grid, *sun)
        before = ground
        ground = add_cars(ground, drawn, range(6), tuple(shade))
        if plan.sky == "snow":  # roofs carry snow too
            ground = ground + drawn.roof * snow_share * weather.snow * (before - ground)
    ground = shine_through(ground, weather, rng, residual=residual)
    values = _sense(ground, world, plan.shift_px)
    values = add_noise(values, rng)
    cloud, shadow, snow = (
        _sense(a[None], world, plan.shift_px)[0] for a in (weather.cloud, weather.shadow, weather.snow)
    )
    classes = classify(values, cloud, shadow, snow, rng)
    numbers = np.clip(np.rint(values / QUANTUM) + plan.offset_dn, 1, 65535).astype(np.uint16)
    return SimulatedLook(
        plan, world.site.grid(GSD_M), sun[0], sun[1], dict(zip(BANDS, numbers, strict=True)), classes,
        len(cars), tuple(cars),
    )  # fmt: skip


def _traffic(
    site: Site, railcars: int, standing: tuple[PlacedCar, ...], rng: np.random.Generator
) -> tuple[PlacedCar, ...]:
    """Let some of the standing cars stay and fill up to the wanted number with new ones."""
    tracks = site.tracks
    if not standing or railcars == 0:
        return place_cars(tracks, railcars, rng)
    if railcars <= len(standing):
        return standing[:railcars]
    ids = {car.railcar.track_id for car in standing}
    free = [track for track in tracks if track.track_id not in ids]
    try:
        return (
            (*standing, *place_cars(free, railcars - len(standing), rng))
            if free
            else place_cars(tracks, railcars, rng)
        )
    except ValueError:  # the tracks left free are too short: everything is shunted
        return place_cars(tracks, railcars, rng)


def _sun(site: Site, when: datetime) -> tuple[float, float]:
    middle = site.area.centroid
    lon, lat = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True).transform(middle.x, middle.y)
    return sun_position(when, lon, lat)


def _ground(
    world: World, plan: LookPlan, sun: tuple[float, float], view: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the ground of the day: vegetation, water, wetness, shadows of buildings and trees."""
    day = plan.observed_at.timetuple().tm_yday + 10.0 * np.sin(plan.observed_at.year * 2.4)
    up = 1 / (1 + np.exp(-(day - world.onset) / 9.0))
    down = 1 / (1 + np.exp((day - (world.onset + 165.0)) / 12.0))
    leaf = np.asarray(world.green * (0.12 + 0.88 * up * down), dtype=np.float32)
    lush = np.array(GROUNDS["grass"], np.float32)[:, None, None]
    dry = np.array(GROUNDS["dry grass"], np.float32)[:, None, None]
    hay = 0.75 * (world.green - leaf)
    ground = world.base * (1 - leaf - hay) + lush * leaf + dry * hay
    tree = world.forest * (0.35 + 0.65 * up * down)
    ground = ground * (1 - 0.55 * world.forest * (1 - 0.5 * up * down)) + 0.05 * lush * tree
    wet = max(rng.gamma(0.7, 0.35) - 0.1, 0.0)
    if wet > 0:
        patchy = world.drainage + 0.6 * gaussian_filter(rng.standard_normal(world.grid.shape), 7.0) * 14
        soak = np.clip(wet * (0.6 + 0.35 * patchy), 0, 1) * world.porous * (1 - leaf)
        dark = np.array((0.30, 0.32, 0.34, 0.36, 0.46, 0.52), np.float32)[:, None, None]
        ground = ground * (1 - dark * soak.astype(np.float32))
    river = np.array(GROUNDS["water"], np.float32) * (1 + rng.uniform(-0.2, 0.5))
    ground = ground * (1 - world.water) + river[:, None, None].astype(np.float32) * world.water
    # Anisotropy: vegetation and soil are brighter when seen with the sun behind; a few percent between two views.
    ground = ground * np.float32(1 + 0.003 * view) * (1 + np.float32(0.002 * view) * leaf)
    shadows = [cast_shadow(shape, height, *sun) for shape, height in world.buildings]
    if shadows:
        shade = share_of(unary_union(shadows), world.grid) * (1 - world.roofs)
        ground = ground * (1 - shade * (1 - np.array(SHADE, np.float32)[:, None, None]))
    return np.asarray(ground, dtype=np.float32)


def _apron_clutter(world: World, rng: np.random.Generator) -> tuple[PlacedCar, ...]:
    """Stand stacked containers and trucks on the apron and trucks on the roads."""
    made: list[PlacedCar] = []

    def put(x: float, y: float, heading: float, length: float, height: float) -> None:
        colour = np.array(CONTAINER_COLOURS[int(rng.integers(len(CONTAINER_COLOURS)))]) * rng.lognormal(0, 0.15)
        body = box_polygon((x, y), heading, length, 2.5)
        car = Railcar(body, "", 0.0, length, RailcarKind.UNKNOWN, 1.0)
        made.append(PlacedCar(car, np.clip(colour, 0.02, 0.6), height, length, 2.5, heading, (x, y), False))

    for area in world.apron:
        rectangle = shapely.get_coordinates(area.minimum_rotated_rectangle)
        sides = np.diff(rectangle[:3], axis=0)
        long = sides[int(np.argmax(np.hypot(sides[:, 0], sides[:, 1])))]
        heading = float(np.arctan2(long[1], long[0]))
        west, south, east, north = area.bounds
        for _ in range(rng.poisson(6.0)):
            x, y = float(rng.uniform(west, east)), float(rng.uniform(south, north))
            if area.buffer(-3.0).contains(Point(x, y)):
                stack = int(rng.integers(1, 6))
                for place in range(stack):
                    step = (place - stack / 2) * 2.7
                    put(
                        x - step * np.sin(heading),
                        y + step * np.cos(heading),
                        heading,
                        12.2,
                        2.6 * int(rng.integers(1, 4)),
                    )
    for road in world.roads:
        for _ in range(rng.poisson(2.0)):
            spot = road.interpolate(float(rng.random()), normalized=True)
            ends = np.asarray(road.coords)
            put(spot.x, spot.y, float(np.arctan2(*(ends[-1] - ends[0])[::-1])), 14.0, 3.6)
    return tuple(made)


def _sense(ground: NDArray[np.float32], world: World, shift_px: tuple[float, float]) -> NDArray[np.float32]:
    """See the ground through the sensor: point spread, sampling, misregistration.

    The short-wave infrared bands have pixels of 20 m; their point spread is twice as wide.
    """
    border = world.border
    rows, cols = (size - 2 * border for size in world.grid.shape)
    out = np.empty((ground.shape[0], rows // FINE, cols // FINE), dtype=np.float32)
    for band, image in enumerate(ground):
        wide = 2.0 if band >= 4 else 1.0
        blurred = gaussian_filter(image, PSF_SIGMA_PX * FINE * wide, mode="nearest")
        # Pixel centres lie on the corners of the world's cells, half a cell from their centres.
        moved = shift_image(
            blurred, (shift_px[1] * FINE - 0.5, shift_px[0] * FINE - 0.5), order=3, mode="nearest", prefilter=True
        )
        out[band] = moved[border : border + rows : FINE, border : border + cols : FINE]
    return out
