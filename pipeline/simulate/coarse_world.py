"""The ground of a simulated site at coarse resolution: fields, river, roads, buildings, apron, ballast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from shapely.geometry import LineString, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from pipeline.model import Grid, Site
from pipeline.simulate.kinds import GROUNDS
from pipeline.simulate.yard import box_polygon

CELL_M = 5.0  # of the world's raster; half of a Sentinel-2 pixel, enough below a point spread of 5 m
FINE = 2  # the world's cells across one 10 m pixel
FIELDS = ("grass", "soil", "forest")


@dataclass(frozen=True, eq=False)
class World:
    """What does not change from look to look; arrays are (rows, columns) on `grid` unless said otherwise."""

    site: Site
    grid: Grid  # 5 m cells, the site's 10 m grid with a border
    border: int  # cells of border on each side
    base: NDArray[np.float32]  # (6, rows, columns) reflectance of dry ground without vegetation or water
    green: NDArray[np.float32]  # largest share of green vegetation, 0..1
    onset: NDArray[np.float32]  # day of year on which it turns green
    forest: NDArray[np.float32]  # share
    water: NDArray[np.float32]  # share
    porous: NDArray[np.float32]  # how much wetness darkens, 0..1
    drainage: NDArray[np.float32]  # fixed pattern of wetness, about N(0, 1)
    yard: NDArray[np.bool_]  # True on ballast
    buildings: tuple[tuple[Polygon, float], ...]  # footprint and height, metres
    roofs: NDArray[np.float32]  # share under roofs
    apron: tuple[Polygon, ...]  # paved ground beside the tracks where containers and trucks stand
    roads: tuple[LineString, ...]


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: float, *, scale: float = 1.0
) -> NDArray[np.float32]:
    """Return a smooth random field of standard deviation `scale` and correlation length `sigma` cells."""
    shrink = max(int(sigma / 3), 1)
    small = (shape[0] // shrink + 3, shape[1] // shrink + 3)
    field = gaussian_filter(rng.standard_normal(small).astype(np.float32), sigma / shrink, mode="wrap")
    field *= scale / max(float(field.std()), 1e-9)
    if shrink > 1:
        rows = np.linspace(0, small[0] - 2, shape[0], dtype=np.float32)
        cols = np.linspace(0, small[1] - 2, shape[1], dtype=np.float32)
        r0, c0 = rows.astype(int), cols.astype(int)
        fr, fc = (rows - r0)[:, None], (cols - c0)[None, :]
        upper = field[r0][:, c0] * (1 - fc) + field[r0][:, c0 + 1] * fc
        lower = field[r0 + 1][:, c0] * (1 - fc) + field[r0 + 1][:, c0 + 1] * fc
        return np.asarray(upper * (1 - fr) + lower * fr, dtype=np.float32)
    return field[: shape[0], : shape[1]]


def build_world(site: Site, seed: int) -> World:
    """Draw the ground of a site.

    Parameters
    ----------
    site : Site
        Its tracks say where the ballast lies, its zones of kind `apron` where containers stand.
    seed : int
        Equal seeds give equal grounds.
    """
    rng = np.random.default_rng([seed, 11])
    coarse = site.grid(10.0)
    border = 12
    a, _, west, _, _, north = coarse.transform
    step = a / FINE
    grid = Grid(
        coarse.crs, (step, 0.0, west - border * step, 0.0, -step, north + border * step),
        coarse.width * FINE + 2 * border, coarse.height * FINE + 2 * border,
    )  # fmt: skip
    shape = grid.shape
    lines = unary_union([track.line for track in site.tracks])
    aprons = tuple(zone.area for zone in site.zones if zone.kind == "apron") or _draw_apron(site, rng)
    river, roads = _draw_river(grid, lines, rng), _draw_roads(grid, lines, rng)
    buildings = _draw_buildings(grid, lines, unary_union([river, *aprons]), rng)
    yard = _share(lines.buffer(4.2), grid)
    water, paved = _share(river, grid), _share(unary_union(aprons), grid)
    road = _share(unary_union([line.buffer(4.0) for line in roads]), grid)
    roofs = (
        _share(unary_union([shape_ for shape_, _ in buildings]), grid) if buildings else np.zeros(shape, np.float32)
    )

    field, onset, cover = _draw_fields(grid, rng)
    base = _spectrum("soil")[:, None, None] * rng.lognormal(0, 0.12, int(field.max()) + 1)[field][None]
    forest = (cover == FIELDS.index("forest")).astype(np.float32)
    green = np.where(cover == FIELDS.index("soil"), 0.35, 0.85).astype(np.float32)
    porous = np.full(shape, 0.8, np.float32)
    ballast = _spectrum(str(rng.choice(["ballast", "dark ballast", "pale ballast"])))
    for share, spectrum, soak in (
        (road, _spectrum("asphalt"), 0.5),
        (paved, _spectrum("concrete"), 0.45),
        (yard, ballast, 0.9),
    ):
        base = base * (1 - share) + share * spectrum[:, None, None]
        porous = porous * (1 - share) + share * soak
        green, forest = green * (1 - share), forest * (1 - share)
    green += yard * 0.06 * np.clip(smooth_noise(rng, shape, 6.0) - 0.6, 0, 2)  # weeds between the rails
    for polygon, _ in buildings:
        inside = _share(polygon, grid)
        name = str(rng.choice(["metal roof", "blue roof", "dark roof", "concrete"]))
        base = base * (1 - inside) + inside * (_spectrum(name) * rng.lognormal(0, 0.1))[:, None, None]
        green, forest, porous = green * (1 - inside), forest * (1 - inside), porous * (1 - 0.8 * inside)
    texture = 1 + 0.05 * smooth_noise(rng, shape, 1.2) + 0.06 * smooth_noise(rng, shape, 12.0)
    texture += yard * 0.06 * smooth_noise(rng, shape, 2.5)
    base = base * np.clip(texture, 0.6, 1.5)
    green, forest, water = green * (1 - water), forest * (1 - water), water * (1 - yard)
    drainage = 0.7 * smooth_noise(rng, shape, 8.0) + 0.7 * smooth_noise(rng, shape, 30.0)
    return World(
        site, grid, border, base.astype(np.float32), green.astype(np.float32), onset, forest, water,
        porous.astype(np.float32), drainage.astype(np.float32), yard > 0.5, tuple(buildings), roofs, aprons, roads,
    )  # fmt: skip


def share_of(geometry: BaseGeometry, grid: Grid) -> NDArray[np.float32]:
    """Return the share of each cell that a geometry covers, (rows, columns), sampled 3 by 3."""
    return _share(geometry, grid)


def _share(geometry: BaseGeometry, grid: Grid, step: int = 3) -> NDArray[np.float32]:
    if geometry.is_empty:
        return np.zeros(grid.shape, dtype=np.float32)
    a, b, c, d, e, f = grid.transform
    raster = rasterize(
        [(geometry, 1)],
        out_shape=(grid.height * step, grid.width * step),
        transform=Affine(a / step, b, c, d, e / step, f),
        fill=0,
        dtype="uint8",
    )
    blocks = raster.reshape(grid.height, step, grid.width, step)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _spectrum(name: str) -> NDArray[np.float64]:
    return np.array(GROUNDS[name])


def _draw_fields(
    grid: Grid, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int_]]:
    """Part the land into fields: index, day of greening and cover of each cell."""
    west, south, east, north = grid.bounds
    number = max(int((east - west) * (north - south) / 30000.0), 6)
    seeds = np.stack([rng.uniform(west, east, number), rng.uniform(south, north, number)], axis=1)
    x, y = grid.to_xy(*np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5))
    field = np.asarray(cKDTree(seeds).query(np.stack([x.ravel(), y.ravel()], axis=1))[1]).reshape(grid.shape)
    onset = rng.normal(115, 12, number).astype(np.float32)[field]
    cover = rng.choice(len(FIELDS), number, p=[0.45, 0.3, 0.25])[field]
    return field, onset, cover


def _draw_apron(site: Site, rng: np.random.Generator) -> tuple[Polygon, ...]:
    """Pave a strip beside the outermost track."""
    if rng.random() < 0.25:
        return ()
    track = site.tracks[-1 if rng.random() < 0.5 else 0]
    others = unary_union([t.line for t in site.tracks])
    middle = track.line.interpolate(0.5, normalized=True)
    ahead = track.line.interpolate(0.55, normalized=True)
    heading = float(np.arctan2(ahead.y - middle.y, ahead.x - middle.x))
    length, width = float(rng.uniform(0.25, 0.5)) * track.line.length, float(rng.uniform(18, 35))
    normal = np.array([-np.sin(heading), np.cos(heading)])
    for side in (1.0, -1.0):
        centre = np.array([middle.x, middle.y]) + side * normal * (width / 2 + 6.0)
        polygon = box_polygon((float(centre[0]), float(centre[1])), heading, length, width)
        if polygon.distance(others) > 2.5:
            return (polygon,)
    return ()


def _draw_river(grid: Grid, lines: BaseGeometry, rng: np.random.Generator) -> BaseGeometry:
    """Let a river of 50 to 140 m run past the yard, at least 120 m away where the window allows."""
    west, south, east, north = grid.bounds
    side = 1.0 if rng.random() < 0.5 else -1.0
    t = np.linspace(-0.05, 1.05, 40)
    x = west + (east - west) * t
    wiggle = 0.05 * (north - south) * np.sin(2 * np.pi * (t * rng.uniform(0.8, 1.6) + rng.random()))
    y = (north + south) / 2 + side * (north - south) * 0.42 + wiggle
    river = LineString(np.stack([x, y], axis=1)).buffer(float(rng.uniform(25, 70)))
    return river.difference(lines.buffer(60.0))


def _draw_roads(grid: Grid, lines: BaseGeometry, rng: np.random.Generator) -> tuple[LineString, ...]:
    west, south, east, north = grid.bounds
    roads = [
        LineString([(west, rng.uniform(south, north)), (east, rng.uniform(south, north))])
        for _ in range(int(rng.integers(1, 4)))
    ]
    return tuple(road for road in roads if road.distance(lines) > 25.0)


def _draw_buildings(
    grid: Grid, lines: BaseGeometry, avoid: BaseGeometry, rng: np.random.Generator
) -> list[tuple[Polygon, float]]:
    """Stand buildings about, some close beside the tracks, so that their winter shadows reach them."""
    west, south, east, north = grid.bounds
    made: list[tuple[Polygon, float]] = []
    inner = box(west, south, east, north)
    number = max(int(inner.area / 40000.0), 8)
    for _ in range(number):
        heading = float(rng.uniform(0, np.pi))
        size = (float(rng.uniform(12, 60)), float(rng.uniform(10, 22)))
        if rng.random() < 0.2:
            spot = lines.interpolate(float(rng.random()), normalized=True)
            angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(25, 60)
            centre = (spot.x + away * np.cos(angle), spot.y + away * np.sin(angle))
        else:
            centre = (float(rng.uniform(west, east)), float(rng.uniform(south, north)))
        polygon = box_polygon((float(centre[0]), float(centre[1])), heading, *size)
        if polygon.distance(lines) > 7.0 and not polygon.intersects(avoid):
            made.append((polygon, float(rng.uniform(4, 12))))
    return made
