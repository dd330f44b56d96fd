"""What stands beside the tracks and is no railcar: platforms, roofs, masts, containers, trailers, trucks, trees.

Decoy tracks are lines of the site that have no rails: they run along rows of trailers, roads, or roof edges. A
counter must find nothing on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString

from pipeline.model import Track
from pipeline.simulate.fine_canvas import Canvas, Solid
from pipeline.simulate.kinds import CONTAINER_COLOURS, GROUNDS


def _at(line: LineString, position_m: float, offset_m: float) -> tuple[tuple[float, float], float]:
    """Return the point beside a line (left is positive) and the heading there."""
    a = line.interpolate(max(position_m - 2.0, 0.0))
    b = line.interpolate(min(position_m + 2.0, line.length))
    heading = float(np.arctan2(b.y - a.y, b.x - a.x))
    p = line.interpolate(position_m)
    return (p.x - offset_m * np.sin(heading), p.y + offset_m * np.cos(heading)), heading


def _box_colour(rng: np.random.Generator, *, white: float) -> NDArray[np.float64]:
    if rng.random() < white:
        return np.array([0.42, 0.44, 0.45, 0.46, 0.44, 0.42]) * rng.uniform(0.6, 1.25)
    return np.array(CONTAINER_COLOURS[int(rng.integers(len(CONTAINER_COLOURS)))]) * rng.lognormal(0, 0.15)


def trailer_row(
    line: LineString, offset_m: float, rng: np.random.Generator, *, share: float = 1.0, clear_m: float = 0.0
) -> list[Solid]:
    """Return parked trailers or containers along a line, `offset_m` to its left.

    The row is one of: end to end in two files or three without space between them, side by side across the
    line, askew, or end to end in one file with the ends touching. With `clear_m` nothing comes nearer than that to
    the line itself.
    """
    style = str(rng.choice(["double", "across", "askew", "single"], p=[0.35, 0.4, 0.1, 0.15]))
    length = float(rng.choice([6.06, 12.19, 13.6, 14.6, 16.15]))  # 20 and 40 ft, European and American trailers
    height = float(rng.uniform(2.6, 4.1))
    white = float(rng.choice([0.1, 0.9, 1.0]))
    start = float(rng.uniform(0, max(line.length * (1 - share), 0.0)))
    end = start + share * line.length
    out: list[Solid] = []

    def add(position: float, across: float, turn: float) -> None:
        centre, heading = _at(line, position, offset_m + across)
        out.append(Solid(centre, heading + turn, length, 2.5, height, _box_colour(rng, white=white), "trailer"))

    if style in ("double", "single"):
        files = 1 if style == "single" else int(rng.integers(2, 4))
        pitch = length + float(rng.uniform(0.1, 0.6 if style == "single" else 1.5))
        width = float(rng.uniform(2.5, 3.4))
        for position in np.arange(start + length / 2, end - length / 2, pitch):
            for file in range(files):
                if rng.random() < 0.93:
                    add(float(position), (file - (files - 1) / 2) * width, 0.0)
    else:
        turn = np.pi / 2 if style == "across" else float(rng.uniform(0.5, 1.1))
        pitch = float(rng.uniform(2.7, 4.5)) / float(np.sin(turn))
        shift = float(rng.uniform(-length / 2, length / 2))
        if clear_m:
            shift = float(np.sign(offset_m)) * max(clear_m + length / 2 + 1.5 - abs(offset_m), 0.0)
        for position in np.arange(start + 2, end - 2, pitch):
            if rng.random() < 0.9:
                add(float(position), shift + float(rng.normal(0, 0.4)), turn)
    return out


def traffic(line: LineString, offset_m: float, rng: np.random.Generator) -> list[Solid]:
    """Return cars and trucks on a road along a line, in two lanes, never coupled."""
    out: list[Solid] = []
    position = float(rng.uniform(0, 40))
    while position < line.length:
        truck = rng.random() < 0.4
        length, width, height = (float(rng.uniform(8, 16.5)), 2.5, 3.6) if truck else (4.6, 1.85, 1.5)
        lane = float(rng.choice([-1.8, 0.0, 1.8]))
        centre, heading = _at(line, position, offset_m + lane)
        colour = _box_colour(rng, white=0.5)
        out.append(Solid(centre, heading, length, width, height, colour, "trailer" if truck else "plain"))
        position += length + float(rng.exponential(40))
    return out


def paint_clutter(
    canvas: Canvas, tracks: Sequence[Track], decoys: Sequence[Track], amount: float, rng: np.random.Generator
) -> list[Solid]:
    """Paint what is flat beside the tracks and return what stands there.

    Parameters
    ----------
    canvas : Canvas
    tracks, decoys : sequence of Track
        Real tracks, whose outermost lines are the first and the last; and lines without rails.
    amount : float
        How much clutter, 0 to 1.
    rng : numpy.random.Generator

    Returns
    -------
    list of Solid
    """
    solids: list[Solid] = []
    for hand, edge in ((-1.0, tracks[0].line), (1.0, tracks[-1].line)):
        side = hand * _outward(tracks, edge)
        used = 2.6
        if rng.random() < 0.4 * amount:
            width = float(rng.uniform(3, 8))
            _strip(canvas, edge, side * (used + width / 2), width, "concrete", rng, share=float(rng.uniform(0.3, 1)))
            used += width
        if rng.random() < 0.6 * amount:
            solids += trailer_row(edge, side * (used + 9.0), rng, share=float(rng.uniform(0.2, 0.8)), clear_m=used)
            used += 20
        if rng.random() < 0.5 * amount:
            _strip(canvas, edge, side * (used + 4), 7.0, "asphalt", rng)
            solids += traffic(edge, side * (used + 4), rng)
            used += 9
        if rng.random() < 0.5 * amount:
            solids += _buildings(edge, side * (used + 14), rng)
    for decoy in decoys:
        solids += _decoy(canvas, decoy.line, rng)
    if rng.random() < 0.5 * amount:
        solids += _masts(tracks, rng)
    return solids


def _outward(tracks: Sequence[Track], edge: LineString) -> float:
    """Return 1 when left lies away from the other tracks at the last edge (and right at the first)."""
    if len(tracks) < 2:
        return 1.0
    other = tracks[-1].line if edge is tracks[0].line else tracks[0].line
    middle, heading = _at(edge, edge.length / 2, 0.0)
    far = other.interpolate(other.length / 2)
    left = -(far.x - middle[0]) * np.sin(heading) + (far.y - middle[1]) * np.cos(heading)
    is_first = edge is tracks[0].line
    return 1.0 if (left > 0) == is_first else -1.0


def _strip(
    canvas: Canvas,
    line: LineString,
    offset_m: float,
    width_m: float,
    ground: str,
    rng: np.random.Generator,
    *,
    share: float = 1.0,
) -> None:
    a = float(rng.uniform(0, line.length * (1 - share)))
    stations = np.arange(a, a + share * line.length, 5.0)
    if len(stations) < 2:
        return
    path = LineString([_at(line, float(s), offset_m)[0] for s in stations])
    colour = np.array(GROUNDS[ground]) * rng.lognormal(0, 0.15)
    canvas.fill(canvas.mask([path.buffer(width_m / 2, cap_style="flat")]), colour)


def _buildings(line: LineString, offset_m: float, rng: np.random.Generator) -> list[Solid]:
    out: list[Solid] = []
    for _ in range(int(rng.integers(1, 4))):
        position = float(rng.uniform(0, line.length))
        depth = float(rng.uniform(8, 22))
        centre, heading = _at(line, position, offset_m + np.sign(offset_m) * depth / 2)
        roof = GROUNDS[str(rng.choice(["metal roof", "blue roof", "dark roof", "concrete"]))]
        colour = np.array(roof) * rng.lognormal(0, 0.2)
        out.append(Solid(centre, heading, float(rng.uniform(15, 90)), depth, float(rng.uniform(3, 9)), colour))
    return out


def _masts(tracks: Sequence[Track], rng: np.random.Generator) -> list[Solid]:
    """Catenary masts every 50 to 65 m with a cross span, between two tracks."""
    line = tracks[int(rng.integers(len(tracks)))].line
    grey = np.full(6, 0.2)
    out = []
    for position in np.arange(float(rng.uniform(5, 50)), line.length, float(rng.uniform(50, 65))):
        centre, heading = _at(line, float(position), 2.5)
        out.append(Solid(centre, heading, 0.35, 0.35, 7.5, grey))
        if rng.random() < 0.7:
            out.append(Solid(centre, heading + np.pi / 2, 10.0, 0.25, 7.4, grey, base_m=7.0))
    return out


def _decoy(canvas: Canvas, line: LineString, rng: np.random.Generator) -> list[Solid]:
    """Dress a line without rails as what people mistake for a rake."""
    ground = str(rng.choice(["asphalt", "concrete", "soil"]))
    _strip(canvas, line, 0.0, float(rng.uniform(8, 14)), ground, rng)
    what = rng.random()
    if what < 0.7:
        return trailer_row(line, float(rng.uniform(-2.5, 2.5)), rng, share=float(rng.uniform(0.4, 1.0)))
    if what < 0.85:
        return traffic(line, float(rng.uniform(-1, 1)), rng)
    middle, heading = _at(line, line.length / 2, float(rng.uniform(-8, 8)))
    roof = np.array(GROUNDS[str(rng.choice(["metal roof", "dark roof"]))]) * rng.lognormal(0, 0.2)
    return [Solid(middle, heading, line.length * 0.5, 18.0, 7.0, roof)]
