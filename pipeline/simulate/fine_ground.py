"""The ground of a fine scene: ballast dry and wet, sleepers and rails, what grows and lies beside tracks, snow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from pipeline.model import Track
from pipeline.simulate.fine_canvas import Array, Canvas
from pipeline.simulate.fine_conditions import Conditions
from pipeline.simulate.kinds import GROUNDS, Spectrum

SLEEPER_PITCH_M = 0.6  # 1680 to 1840 sleepers a kilometre
HALF_GAUGE_M = 0.78  # to the middle of the railhead, between 1435 and 1520 mm gauge


def _jitter(name: str, rng: np.random.Generator, spread: float = 0.12) -> NDArray[np.float64]:
    colour: Spectrum = GROUNDS[name]
    out: NDArray[np.float64] = np.array(colour) * rng.lognormal(0, spread) * rng.lognormal(0, 0.04, 6)
    return out


def paint_ground(canvas: Canvas, tracks: Sequence[Track], conditions: Conditions, rng: np.random.Generator) -> None:
    """Paint everything that lies flat: country, ballast, sleepers, rails and wet patches.

    Parameters
    ----------
    canvas : Canvas
        Painted in place.
    tracks : sequence of Track
        Where rails lie, in the canvas's CRS.
    conditions : Conditions
    rng : numpy.random.Generator
    """
    lines = [track.line for track in tracks]
    if conditions.bare:
        _bare(canvas, lines, conditions, rng)
        return
    rough = float(rng.uniform(0.2, 1.3))
    fine = rough * canvas.texture((0.3, 1.0, 4.0, 25.0), (0.06, 0.05, 0.05, 0.07))
    everywhere = np.ones(canvas.grid.shape, dtype=bool)
    names = ["soil", "grass", "dry grass", "asphalt", "concrete"]
    canvas.fill(everywhere, _jitter(str(rng.choice(names[:4])), rng), 1 + fine)
    patches = canvas.texture((15.0,), (1.0,))
    canvas.blend(patches > rng.uniform(0.3, 1.5), _jitter(str(rng.choice(names)), rng), 0.8)

    kind = str(rng.choice(["ballast", "dark ballast", "pale ballast", "soil"], p=[0.5, 0.2, 0.15, 0.15]))
    between = rng.random() < 0.75  # ballast from track to track, or a strip under each
    common = _jitter(kind, rng)
    if between:
        canvas.fill(canvas.mask([line.buffer(3.2, cap_style="flat") for line in lines]), common, 1 + fine)
    for line in lines:
        own = common * rng.lognormal(0, 0.08)
        if rng.random() < 0.12:
            own = _jitter("dry grass", rng)  # a disused track
        canvas.fill(canvas.mask([line.buffer(rng.uniform(1.5, 2.1), cap_style="flat")]), own, 1 + fine)
    if rng.random() < 0.35 and len(lines) > 1:
        path = lines[int(rng.integers(len(lines)))].offset_curve(2.5)
        canvas.fill(canvas.mask([path.buffer(rng.uniform(0.4, 0.9), cap_style="flat")]), _jitter("concrete", rng))
    _stain(canvas, lines, rng)
    if conditions.rail_strength > 0:
        _rails(canvas, lines, conditions.rail_strength, rng)
    if conditions.wet > 0:
        damp = canvas.texture((2.0, 12.0), (0.3, 1.0))
        level = float(np.quantile(damp[::4, ::4], 1 - conditions.wet))
        # Stones dry from the top: the border of a damp patch is metres wide.
        depth = np.clip((damp - level) * np.float32(rng.uniform(0.7, 3.0)) + 0.5, 0, 1).astype(np.float32)
        canvas.values *= 1 - np.float32(rng.uniform(0.1, 0.4)) * depth


def _bare(canvas: Canvas, lines: Sequence[LineString], conditions: Conditions, rng: np.random.Generator) -> None:
    """Paint one even surface of any grey or brown, as plain pictures of yards have it."""
    level = float(np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
    colour = level * np.array([1.0, 1.0, 1.0, 1.1, 1.2, 1.1])
    warm = float(rng.uniform(0.0, 0.5))
    colour[:3] *= np.array([1 - warm, 1 - warm / 2, 1.0])
    weights = rng.uniform(0.0, 0.12, 4) * (rng.random(4) < 0.6)
    texture = 1 + canvas.texture((0.3, 1.5, 8.0, 40.0), [float(weight) for weight in weights])
    canvas.fill(np.ones(canvas.grid.shape, dtype=bool), colour, texture)
    if rng.random() < 0.3:
        bed = canvas.mask([line.buffer(rng.uniform(1.3, 2.5), cap_style="flat") for line in lines])
        canvas.values[:, bed] *= np.float32(rng.uniform(0.7, 1.3))
    if conditions.rail_strength > 0:
        _rails(canvas, lines, conditions.rail_strength, rng)


def _stain(canvas: Canvas, lines: Sequence[LineString], rng: np.random.Generator) -> None:
    """Darken parts of the track beds with oil, coal dust or cinders, with abrupt ends at random places."""
    shapes: list[BaseGeometry] = []
    for line in lines:
        for _ in range(int(rng.poisson(line.length / 300))):
            a = float(rng.uniform(0, line.length))
            piece = _piece(line, a, a + float(rng.uniform(4, 60)))
            if piece is not None:
                shapes.append(piece.buffer(rng.uniform(0.5, 1.6), cap_style="flat"))
    canvas.shade(canvas.mask(shapes), np.full(4, rng.uniform(0.7, 1.25)))


def _piece(line: LineString, start: float, end: float) -> LineString | None:
    stations = np.arange(max(start, 0.0), min(end, line.length), 2.0)
    return LineString([line.interpolate(s) for s in stations]) if len(stations) > 1 else None


def _rails(canvas: Canvas, lines: Sequence[LineString], strength: float, rng: np.random.Generator) -> None:
    step = canvas.step_m
    if step <= 0.3:
        sleepers: list[BaseGeometry] = []
        for line in lines:
            stations = np.arange(0.3, line.length - 0.3, SLEEPER_PITCH_M)
            xy = _points(line, stations)
            heading = np.gradient(xy, axis=0)
            heading /= np.linalg.norm(heading, axis=1, keepdims=True)
            across = np.stack([-heading[:, 1], heading[:, 0]], axis=1) * 1.3
            along = heading * 0.13
            corners = [xy - across - along, xy + across - along, xy + across + along, xy - across + along]
            sleepers += list(np.atleast_1d(np.asarray(shapely.polygons(np.stack(corners, axis=1)))))
        name = "concrete sleeper" if rng.random() < 0.5 else "sleeper"
        canvas.blend(canvas.mask(sleepers), _jitter(name, rng), strength * float(rng.uniform(0.1, 0.7)))
    else:
        canvas.blend(
            canvas.mask([line.buffer(1.3, cap_style="flat") for line in lines]),
            _jitter("sleeper", rng),
            0.2 * strength,
        )
    for line in lines:
        shine = _jitter("shiny rail" if rng.random() < 0.4 else "rusty rail", rng)
        # A railhead is 0.07 m wide; a canvas pixel holds its share of it.
        share = min(0.14 / step, 1.0) * strength * float(rng.uniform(0.5, 1.0))
        rails = [line.offset_curve(side * HALF_GAUGE_M).buffer(step / 2, cap_style="flat") for side in (-1, 1)]
        canvas.blend(canvas.mask(rails), shine, share)


def _points(line: LineString, stations: NDArray[np.float64]) -> NDArray[np.float64]:
    xy = np.asarray(line.coords)[:, :2]
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    return np.stack([np.interp(stations, s, xy[:, 0]), np.interp(stations, s, xy[:, 1])], axis=1)


def paint_snow(canvas: Canvas, tracks: Sequence[Track], conditions: Conditions, rng: np.random.Generator) -> None:
    """Lay snow in drifts over all that is flat, thinner between the rails of tracks in use."""
    if conditions.snow <= 0:
        return
    lines = [track.line for track in tracks]
    drift = canvas.texture((0.5, 3.0, 15.0), (0.3, 0.6, 0.8))
    level = float(np.quantile(drift[::4, ::4], 1 - conditions.snow))
    depth: Array = np.clip((drift - level) * rng.uniform(0.5, 2.0) + 0.4, 0, 1).astype(np.float32)
    for line in lines:
        bed = canvas.mask([line.buffer(rng.uniform(0.7, 1.5), cap_style="flat")])
        depth[bed] *= np.float32(rng.uniform(0.1, 1.0))
    everywhere = np.ones(canvas.grid.shape, dtype=bool)
    canvas.blend(everywhere, _jitter("snow", rng, 0.05) * rng.uniform(0.7, 1.0), depth * 0.95)
