"""A third renderer of yards: a relief under a sun, every surface shaded by its slope and by what stands before it.

Cars are shapes here, not pictures: roofs are arched, tanks are round, hoppers are open down to their load, containers
are corrugated, and light falls on all of it by one rule. It shares no code with `pipeline.simulate` nor with
`plain_yard`, and neither training nor tuning has seen a picture of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from shapely.geometry import LineString, Polygon, box

from pipeline.model import Grid, Look, RailcarKind, Scene, Site, Track

STEP = 0.125  # metres of the relief
WEST, SOUTH = 520_000.0, 4_700_000.0
HALF_WIDTH = 1.55  # metres of a car

Array = NDArray[np.float32]
Shape = Callable[[Array, Array, float, np.random.Generator], tuple[Array, Array]]


@dataclass(frozen=True)
class ReliefScene:
    """A picture and its truth."""

    look: Look
    site: Site
    truth: list[tuple[Polygon, RailcarKind]]


def relief_scene(
    seed: int,
    gsd_m: float,
    cars: int,
    *,
    tracks: int = 6,
    length_m: float = 420.0,
    sun_deg: tuple[float, float] = (28.0, 60.0),
    overcast: bool = False,
    snow: bool = False,
    haze: float = 0.05,
    off_m: float = 0.0,
    bits: int = 8,
    colour: bool = True,
    noise: float = 0.006,
) -> ReliefScene:
    """Draw a yard that bends like an S with exactly `cars` cars on it; `haze` takes that share of the contrast."""
    rng = np.random.default_rng([seed, 4])
    spacing = float(rng.uniform(4.8, 5.6))
    high = tracks * spacing + 44
    grid = Grid("EPSG:32652", (gsd_m, 0, WEST, 0, -gsd_m, SOUTH + high), int(length_m / gsd_m), int(high / gsd_m))
    per_pixel = round(gsd_m / STEP)
    x = (np.arange(grid.width * per_pixel, dtype=np.float32) + 0.5) * STEP
    y = high - (np.arange(grid.height * per_pixel, dtype=np.float32)[:, None] + 0.5) * STEP
    bend, waves = float(rng.uniform(2, 7)), float(rng.uniform(0.5, 0.9))

    def middle(at: Array | NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(bend * np.sin(2 * np.pi * waves * at / length_m))

    offsets = 22 + spacing * (np.arange(tracks) + 0.5)
    z, albedo = _ground(rng, x, y, offsets, middle, snow=snow)
    spots = _places(rng, tracks, cars, length_m)
    truth = []
    for track, position, kind, body_m in spots:
        outline = _stand(rng, z, albedo, (x, y), (position, offsets[track], middle), kind, body_m, high, snow=snow)
        truth.append((outline, kind))
    light = _light(rng, z, sun_deg, overcast=overcast)
    picture = albedo * light
    picture = (1 - haze) * picture + haze * np.float32(picture.mean())
    rows, columns = grid.shape
    sharp = gaussian_filter(picture, (0, 0.45 * per_pixel, 0.45 * per_pixel))
    values = sharp.reshape(3, rows, per_pixel, columns, per_pixel).mean(axis=(2, 4))
    values += noise * rng.standard_normal(values.shape) * np.sqrt(values / 0.2)
    bands: tuple[str, ...] = ("red", "green", "blue")
    if not colour:
        values, bands = values.mean(axis=0, keepdims=True), ("pan",)
    if bits == 8:
        low, top = np.quantile(values, [0.003, 0.997])
        values = np.round(1 + 254 * np.clip((values - low) / (top - low), 0, 1))
    else:
        values = np.clip(np.round(values * 9000), 1, 65535)
    at = np.arange(-2.0, length_m + 3, 4.0)
    lines = [LineString(np.stack([WEST + at, SOUTH + off_m + offset + middle(at)], axis=1)) for offset in offsets]
    named = tuple(
        Track(f"r{k + 1}", f"Relief {k + 1}", line, "yard", provisional=False) for k, line in enumerate(lines)
    )
    site = Site("relief", "Relief yard", grid.crs, box(*grid.bounds), named)
    scene = Scene("RELIEF_1", "test", "vhr", "TEST", datetime(2023, 10, 5, 2, tzinfo=UTC), gsd_m, ())
    look = Look("relief", scene, grid, bands, values.astype(np.float32), np.ones(grid.shape, bool), 1.0)
    return ReliefScene(look, site, truth)


def _clouds(rng: np.random.Generator, shape: tuple[int, ...], scale_m: float) -> Array:
    """Draw smooth noise of unit spread, made on a coarse lattice."""
    coarse = max(int(scale_m / STEP / 3), 1)
    few = rng.standard_normal((shape[0] // coarse + 4, shape[1] // coarse + 4)).astype(np.float32)
    smooth = np.repeat(np.repeat(gaussian_filter(few, 1.5), coarse, axis=0), coarse, axis=1)
    smooth = gaussian_filter(smooth, coarse / 2) if coarse > 1 else smooth
    smooth = smooth[: shape[0], : shape[1]]
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def _ground(
    rng: np.random.Generator,
    x: Array,
    y: Array,
    offsets: NDArray[np.float64],
    middle: Callable[[Array], NDArray[np.float64]],
    *,
    snow: bool,
) -> tuple[Array, Array]:
    """Return heights (rows, columns) and albedo (3, rows, columns) of the empty yard."""
    shape = (len(y), len(x))
    fine, mid, wide = (_clouds(rng, shape, scale) for scale in (0.3, 2.5, 18.0))
    z = np.asarray(0.006 * fine + 0.05 * mid, dtype=np.float32)
    soil, grass = np.array([0.20, 0.17, 0.13]), np.array([0.10, 0.13, 0.06])
    green = 1 / (1 + np.exp(-3 * (wide + 0.6 * mid - float(rng.uniform(-0.5, 1.0)))))
    albedo = soil[:, None, None] * (1 - green) + grass[:, None, None] * green
    grey = float(rng.uniform(0.12, 0.24))
    stone = np.array([grey * 1.04, grey, grey * 0.95])
    bed = np.zeros(shape, dtype=np.float32)
    rail = np.zeros(shape, dtype=np.float32)
    sleepers = (np.mod(x, 0.6) < 0.24)[None, :]
    for offset in offsets:
        across = np.abs(y - offset - middle(x)[None, :]).astype(np.float32)
        bed = np.maximum(bed, np.clip((2.3 - across) / 0.7, 0, 1))
        rail = np.maximum(rail, np.clip(1.2 - np.abs(across - 0.76) / 0.06, 0, 1))
        wood = (across < 1.3) & sleepers
        albedo = np.where(wood & (bed > 0.5), albedo * 0.4 + 0.6 * 0.14, albedo)
    z += 0.35 * bed + 0.16 * rail
    mixed = stone[:, None, None] * (1 + 0.11 * fine + 0.08 * mid)
    dark = 1 - 0.35 * (sleepers & (bed > 0.9))
    albedo = albedo * (1 - bed) + mixed * dark * bed
    albedo = albedo * (1 - rail) + np.array([0.26, 0.22, 0.19])[:, None, None] * rail
    if snow:
        lie = np.clip(0.92 - 0.75 * rail + 0.1 * mid, 0, 1) * np.clip(1.1 - 0.12 * np.abs(fine), 0, 1)
        albedo = albedo * (1 - lie) + 0.72 * lie
    albedo *= 1 + 0.06 * fine
    return z, np.clip(albedo, 0.02, 0.9).astype(np.float32)


def _places(
    rng: np.random.Generator, tracks: int, cars: int, length_m: float
) -> list[tuple[int, float, RailcarKind, float]]:
    """Return track, middle, kind and body length of exactly so many cars, in rakes of one kind mostly."""
    kinds = (RailcarKind.BOX, RailcarKind.ORE, RailcarKind.TANK, RailcarKind.FLAT)
    bodies = {RailcarKind.BOX: 15.3, RailcarKind.ORE: 12.8, RailcarKind.TANK: 10.9, RailcarKind.FLAT: 13.5}
    sparse = 1.6
    while True:
        rakes: list[list[tuple[int, float, RailcarKind, float]]] = []
        for track in range(tracks):
            at = float(rng.uniform(6, 60))
            while True:
                kind = kinds[int(rng.integers(4))]
                rakes.append([])
                for _ in range(int(rng.integers(1, 14))):
                    if rng.random() < 0.12:
                        kind = kinds[int(rng.integers(4))]
                    body = bodies[kind] + float(rng.normal(0, 0.2))
                    if at + body > length_m - 6:
                        break
                    rakes[-1].append((track, at + body / 2, kind, body))
                    at += body + float(rng.uniform(0.9, 1.3))
                if at > length_m - 30:
                    break
                at += float(rng.exponential(20.0 * sparse)) + 4
        if sum(map(len, rakes)) >= cars:
            spots = [spot for k in rng.permutation(len(rakes)) for spot in rakes[int(k)]]
            return spots[:cars]
        sparse *= 0.6


def _stand(
    rng: np.random.Generator,
    z: Array,
    albedo: Array,
    at: tuple[Array, Array],
    where: tuple[float, float, Callable[[Array], NDArray[np.float64]]],
    kind: RailcarKind,
    body_m: float,
    high: float,
    *,
    snow: bool,
) -> Polygon:
    """Raise a car on the relief; return its outline."""
    x, y = at
    position, offset, middle = where
    ends = np.array([position - body_m * 0.35, position + body_m * 0.35])
    rise = np.diff(middle(ends))[0] / np.diff(ends)[0]
    along = np.array([1.0, rise]) / np.hypot(1.0, rise)
    centre = np.array([position, offset + float(middle(ends).mean())])
    reach = body_m / 2 + 2
    c0, c1 = np.searchsorted(x, [centre[0] - reach, centre[0] + reach])
    r0, r1 = (int((high - centre[1] + side * 4) / STEP) for side in (-1, 1))
    part = (slice(max(r0, 0), r1), slice(int(c0), int(c1)))
    dx, dy = x[part[1]][None, :] - centre[0], y[part[0]] - centre[1]
    u = np.asarray(dx * along[0] + dy * along[1], dtype=np.float32)
    v = np.asarray(dy * along[0] - dx * along[1], dtype=np.float32)
    inside = (np.abs(u) < body_m / 2) & (np.abs(v) < HALF_WIDTH)
    height, paint = SHAPES[kind](u, v, body_m / 2, rng)
    dirt = _clouds(rng, u.shape, 1.2)
    paint = np.clip(paint * (1 + 0.07 * dirt), 0.015, 0.85)
    if snow and rng.random() < 0.5:
        paint = 0.35 * paint + 0.65 * 0.7
    z[part] = np.where(inside & (height > 0), height, z[part])
    albedo[(slice(None), *part)] = np.where(inside & (height > 0), paint, albedo[(slice(None), *part)])
    side = np.array([-along[1], along[0]]) * HALF_WIDTH
    long = along * body_m / 2
    corners = [centre + s * long + t * side for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return Polygon([(WEST + float(a), SOUTH + float(b)) for a, b in corners])


def _colour(rng: np.random.Generator, choices: list[tuple[float, float, float]], spread: float = 0.15) -> Array:
    base = np.array(choices[int(rng.integers(len(choices)))]) * rng.lognormal(0, spread)
    return np.asarray(base, dtype=np.float32)[:, None, None]


def _box(u: Array, v: Array, half: float, rng: np.random.Generator) -> tuple[Array, Array]:
    ribs = 0.02 * np.sin(2 * np.pi * u / float(rng.uniform(0.8, 1.6)))
    z = 3.85 + 0.4 * (1 - (v / HALF_WIDTH) ** 2) + ribs
    paint = _colour(rng, [(0.23, 0.10, 0.07), (0.30, 0.30, 0.29), (0.10, 0.16, 0.12), (0.18, 0.13, 0.10)])
    return np.asarray(z, np.float32), np.broadcast_to(paint, (3, *u.shape))


def _ore(u: Array, v: Array, half: float, rng: np.random.Generator) -> tuple[Array, Array]:
    wall = (np.abs(v) > HALF_WIDTH - 0.14) | (np.abs(u) > half - 0.2)
    paint = _colour(rng, [(0.15, 0.09, 0.06), (0.12, 0.12, 0.13), (0.20, 0.17, 0.13)])
    if rng.random() < 0.6:
        heap = 2.5 + 0.5 * np.cos(np.pi * v / 3.4) + 0.12 * _clouds(rng, u.shape, 1.0)
        load = _colour(rng, [(0.06, 0.06, 0.06), (0.22, 0.15, 0.11), (0.28, 0.25, 0.21)])
        inner = heap
    else:
        inner, load = np.full(u.shape, 1.3, np.float32), 0.7 * paint
    return np.asarray(np.where(wall, 3.2, inner), np.float32), np.where(wall, paint, load)


def _tank(u: Array, v: Array, half: float, rng: np.random.Generator) -> tuple[Array, Array]:
    radius = 1.5
    round_ = 2.4 + radius * np.sqrt(np.clip(1 - (v / radius) ** 2, 0, 1))
    body = (np.abs(u) < half - 0.5) & (np.abs(v) < radius)
    dome = u**2 + v**2 < 0.5**2
    z = np.where(body, np.where(dome, 4.3, round_), np.where(np.abs(v) < 1.3, 1.2, 0.0))
    paint = _colour(rng, [(0.05, 0.05, 0.055), (0.45, 0.45, 0.43), (0.24, 0.22, 0.20)])
    walk = (np.abs(v) < 0.35) & body
    return np.asarray(z, np.float32), np.where(walk, 0.6 * paint + 0.06, np.where(body, paint, 0.09))


def _flat(u: Array, v: Array, half: float, rng: np.random.Generator) -> tuple[Array, Array]:
    z, paint = np.full(u.shape, 1.25, np.float32), np.broadcast_to(_colour(rng, [(0.19, 0.15, 0.11)]), (3, *u.shape))
    boxes = [(-3.2, 6.06), (3.2, 6.06)] if rng.random() < 0.5 else [(0.0, 12.19)]
    for centre, long in boxes if rng.random() < 0.7 else ():
        on = (np.abs(u - centre) < long / 2) & (np.abs(v) < 1.22)
        z = np.where(on, 3.8 + 0.015 * np.sin(2 * np.pi * u / 0.5), z)
        tint = _colour(rng, [(0.42, 0.12, 0.07), (0.08, 0.16, 0.34), (0.55, 0.55, 0.53), (0.12, 0.24, 0.14)])
        paint = np.where(on, tint, paint)
    return np.asarray(z, np.float32), paint


SHAPES: dict[RailcarKind, Shape] = {
    RailcarKind.BOX: _box,
    RailcarKind.ORE: _ore,
    RailcarKind.TANK: _tank,
    RailcarKind.FLAT: _flat,
}


def _light(rng: np.random.Generator, z: Array, sun_deg: tuple[float, float], *, overcast: bool) -> Array:
    """Return light on every cell, (3, rows, columns): sun by slope where none stands before it, and the sky."""
    # A cell between high neighbours sees less of the sky.
    open_ = np.clip(1 - 0.16 * np.maximum(gaussian_filter(z, 1.2 / STEP) - z, 0), 0.35, 1)
    sky = np.array([0.85, 1.0, 1.2], dtype=np.float32)[:, None, None] * open_
    if overcast:
        return np.asarray(0.8 * sky, np.float32)
    height = np.deg2rad(float(rng.uniform(*sun_deg)))
    azimuth = np.deg2rad(float(rng.uniform(110, 250)))
    to_sun = np.array([np.sin(azimuth) * np.cos(height), np.cos(azimuth) * np.cos(height), np.sin(height)])
    north, east = np.gradient(gaussian_filter(z, 0.6), STEP)
    slope = (-east * to_sun[0] + north * to_sun[1] + to_sun[2]) / np.sqrt(east**2 + north**2 + 1)
    lit = np.ones(z.shape, dtype=bool)
    for way in np.arange(0.25, 4.6 / np.tan(height), 0.2):
        rows, columns = round(-way * np.cos(azimuth) / STEP), round(way * np.sin(azimuth) / STEP)
        before = np.roll(z, (-rows, -columns), axis=(0, 1))
        lit &= before - way * np.tan(height) <= z + 0.02
    direct = np.where(lit, np.clip(slope, 0, None), 0)
    warm = np.array([1.05, 1.0, 0.92], dtype=np.float32)[:, None, None]
    return np.asarray(1.0 * warm * direct + 0.33 * sky, np.float32)
