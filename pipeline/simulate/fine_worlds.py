"""Yards as other painters would have them: simplified worlds whose tones, shadows and cars follow rules of their own.

A counter that has only seen one painter's yards learns his habits: that dark cars have a bright rim, that shadow is
darker than paint. Each world here draws its rules anew and far more widely than yards differ, down to rectangles of
one tone on a speckled ground; what holds in all of them is what makes a railcar (domain randomisation: Tobin et al.
2017, arXiv 1703.06907).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from pipeline.model import RailcarKind, Track
from pipeline.simulate.fine_canvas import CANVAS_BANDS, Canvas
from pipeline.simulate.kinds import BANDS, KINDS, draw_colour
from pipeline.simulate.yard import PlacedCar

Panel = tuple[float, float, float]  # share of the length and of the width of what lies inside, and its brightness
Grain = tuple[tuple[float, float], ...]  # (scale in metres, relative strength) of each layer of a texture


@dataclass(frozen=True, slots=True)
class World:
    """The rules of one simplified world; reflectances are of the visible bands."""

    country: float  # of what lies around the yard
    yard: float  # of the ground between the tracks
    bed: float  # of a strip under each track
    rail: float
    tint: tuple[float, float, float]  # blue, green, red over their mean, of all ground
    yard_m: float  # from the outermost track to the yard's edge
    bed_m: float  # width of the strip, 0: none
    rail_m: float  # width of a painted rail, 0: none
    grain: Grain  # of the ground
    light_left: tuple[float, ...]  # share of light in shadow, each band of the canvas
    skirt_m: float  # width of the dark surround that cars have where no sun shines
    height_m: float  # of every car; 0: by kind
    panels: Mapping[RailcarKind, Panel]  # kinds drawn as a rectangle in a rectangle
    plain: float  # share of the cars without any pattern
    paints: tuple[tuple[float, ...], ...]  # (6,) reflectances of the fleet; none: any colour
    paint_spread: float  # of one paint between cars, relative
    typical: float  # share of the cars in the typical paints of their kind
    thinned: float  # share of the cars taken out of their rakes


def draw_world(rng: np.random.Generator) -> World:
    """Draw the rules of a world."""
    country = _log_uniform(rng, 0.07, 0.5)
    yard = country if rng.random() < 0.3 else float(np.clip(country * rng.lognormal(0, 0.4), 0.05, 0.8))
    if rng.random() < 0.15:  # snow
        country = yard = float(rng.uniform(0.55, 0.9))
    bed = yard if rng.random() < 0.3 else float(np.clip(yard * rng.lognormal(-0.1, 0.3), 0.04, 0.8))
    depth = float(rng.uniform(0.12, 0.85))
    blue = float(rng.choice([0.0, rng.uniform(0.0, 0.25)]))
    light = tuple(float(np.clip(depth * (1 + blue * k), 0.05, 0.95)) for k in (1.0, 0.3, -0.3, -0.6))
    tint = np.exp(rng.normal(0, float(rng.choice([0.02, 0.15])), 3))
    tint /= tint.mean()
    return World(
        country=country,
        yard=yard,
        bed=bed,
        rail=float(np.clip(bed * rng.lognormal(0, 0.5), 0.03, 0.8)),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        yard_m=float(rng.uniform(2.0, 12.0)),
        bed_m=float(rng.choice([0.0, rng.uniform(1.8, 3.8)], p=[0.3, 0.7])),
        rail_m=float(rng.choice([0.0, rng.uniform(0.06, 0.3)], p=[0.3, 0.7])),
        grain=_draw_grain(rng),
        light_left=light,
        skirt_m=float(rng.choice([0.0, rng.uniform(0.2, 1.2)])),
        height_m=float(rng.choice([0.0, rng.uniform(2.0, 5.0)])),
        panels=_draw_panels(rng),
        plain=float(rng.choice([0.0, 1.0, rng.uniform(0.0, 1.0)])),
        paints=_draw_paints(rng, yard, depth),
        paint_spread=float(rng.choice([0.0, rng.uniform(0.0, 0.2)])),
        typical=float(rng.choice([0.0, rng.uniform(0.0, 1.0)])),
        thinned=float(rng.choice([0.0, rng.uniform(0.05, 0.6)])),
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_grain(rng: np.random.Generator) -> Grain:
    """Draw layers of texture: specks, clods, patches; or none."""
    layers = int(rng.choice([0, 1, 1, 2, 2, 3]))
    return tuple((_log_uniform(rng, 0.15, 8.0), float(rng.uniform(0.01, 0.14))) for _ in range(layers))


def draw_sheet(rng: np.random.Generator) -> Grain:
    """Draw a texture that lies over the whole picture, cars and all; mostly none."""
    return ((_log_uniform(rng, 0.2, 4.0), float(rng.uniform(0.01, 0.11))),) if rng.random() < 0.35 else ()


def _draw_panels(rng: np.random.Generator) -> dict[RailcarKind, Panel]:
    out = {}
    for kind in KINDS:
        if rng.random() < 0.5:
            # Open cars, walkways and domes: inside brighter or darker, narrow or nearly as wide as the car.
            out[kind] = (
                float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.2, 0.95)), float(np.exp(rng.normal(0, 0.35))),
            )  # fmt: skip
    return out


def _draw_paints(rng: np.random.Generator, ground: float, depth: float) -> tuple[tuple[float, ...], ...]:
    """Draw a fleet's paints: as dark as a shadow, like the ground, black, white, strong colours; or any at all."""
    if rng.random() < 0.2:
        return ()
    paints = []
    for _ in range(int(rng.integers(1, 7))):
        draw = rng.random()
        if draw < 0.22:
            level = ground * depth * rng.lognormal(0, 0.25)
        elif draw < 0.4:
            level = ground * float(rng.choice([0.75, 1.3])) * rng.lognormal(0, 0.12)
        else:
            level = _log_uniform(rng, 0.025, 0.8)
        tint = rng.normal(0, float(rng.choice([0.03, 0.12, 0.4])), len(BANDS))
        paints.append(tuple(float(v) for v in np.clip(level * np.exp(tint), 0.015, 0.95)))
    return tuple(paints)


def world_cars(cars: Sequence[PlacedCar], world: World, rng: np.random.Generator) -> tuple[PlacedCar, ...]:
    """Return the cars that a world leaves standing, painted and as tall as its rules have them."""
    out = []
    for car in cars:
        if rng.random() < world.thinned:
            continue
        colour: NDArray[np.float64]
        if rng.random() < world.typical:
            colour = draw_colour(car.railcar.kind, rng)
        elif world.paints:
            colour = np.array(world.paints[int(rng.integers(len(world.paints)))])
        else:
            colour = draw_colour(car.railcar.kind, rng, unseen=True)
        own = rng.lognormal(0, world.paint_spread) if world.paint_spread else 1.0
        height = car.height_m if not world.height_m or car.height_m < 2 else world.height_m
        out.append(replace(car, colour=np.clip(colour * own, 0.015, 0.95), height_m=height))
    return tuple(out)


def paint_world(canvas: Canvas, tracks: Sequence[Track], world: World) -> None:
    """Paint a world's ground: country, yard, a bed and two rails for each track."""
    lines = [track.line for track in tracks]
    texture = grain_texture(canvas, world.grain)
    tint = np.array([*world.tint, 1.1, 1.2, 1.1])

    def fill(shapes: Sequence[BaseGeometry] | None, level: float) -> None:
        where = np.ones(canvas.grid.shape, dtype=bool) if shapes is None else canvas.mask(shapes)
        canvas.fill(where, level * tint, texture)

    fill(None, world.country)
    if world.yard != world.country:
        fill([shapely.union_all([line.buffer(world.yard_m, cap_style="flat") for line in lines])], world.yard)
    if world.bed_m:
        fill([line.buffer(world.bed_m / 2, cap_style="flat") for line in lines], world.bed)
    if world.rail_m:
        wide = max(world.rail_m, canvas.step_m)  # a canvas pixel holds its share of a thinner rail
        rails = [_beside(line, side).buffer(wide / 2, cap_style="flat") for line in lines for side in (-0.76, 0.76)]
        canvas.blend(canvas.mask(rails), world.rail * tint, min(world.rail_m / wide, 1.0))


def grain_texture(canvas: Canvas, grain: Grain) -> NDArray[np.float32] | float:
    """Return what a texture multiplies brightness by, (rows, columns), or 1."""
    if not grain:
        return 1.0
    return np.float32(1) + canvas.texture([scale for scale, _ in grain], [strength for _, strength in grain])


def _beside(line: LineString, across_m: float) -> LineString:
    moved = line.offset_curve(across_m)
    return moved if isinstance(moved, LineString) else line


def light_left(world: World) -> NDArray[np.float64]:
    """Return the share of light that shadows of a world keep, (bands of the canvas,)."""
    return np.array(world.light_left[:CANVAS_BANDS])
