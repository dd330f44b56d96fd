"""A fine scene (0.3 to 5 m) of a simulated yard: image, site and truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.affinity import rotate, translate
from shapely.geometry import LineString

from pipeline.model import Grid, Look, RailcarKind, Scene, Site, Track
from pipeline.simulate.fine_canvas import CANVAS_BANDS, Canvas, Solid, swept
from pipeline.simulate.fine_clutter import paint_clutter
from pipeline.simulate.fine_conditions import BAND_NAMES, SENSOR, Conditions
from pipeline.simulate.fine_ground import paint_ground, paint_snow
from pipeline.simulate.fine_roofs import roof_pattern
from pipeline.simulate.fine_sensor import expose
from pipeline.simulate.fine_worlds import grain_texture, light_left, paint_world
from pipeline.simulate.kinds import CONTAINER_COLOURS, GROUNDS
from pipeline.simulate.yard import PlacedCar, make_site

DECK_M = 1.3  # height of a flat car's deck: what lower things are shaded by is what rises above it
MARGIN_M = 26.0  # of the image around the tracks


@dataclass(frozen=True, slots=True, eq=False)
class FineScene:
    """A simulated image with its truth."""

    grid: Grid
    bands: tuple[str, ...]
    values: NDArray[Any]  # (bands, rows, columns) digital numbers, uint8 or uint16
    site: Site  # with the tracks as a user would have drawn them: misaligned, decoys included
    cars: tuple[PlacedCar, ...]  # the truth
    rails: tuple[Track, ...]  # where rails really lie
    conditions: Conditions


def render_fine(
    tracks: Sequence[Track],
    cars: Sequence[PlacedCar],
    conditions: Conditions,
    rng: np.random.Generator,
    *,
    crs: str = "EPSG:32652",
) -> FineScene:
    """Render a yard as a fine satellite or aerial image.

    Parameters
    ----------
    tracks : sequence of Track
        Where rails lie, metres in `crs`.
    cars : sequence of PlacedCar
        From `yard.place_cars` on these tracks.
    conditions : Conditions
    rng : numpy.random.Generator
        The only source of chance.
    crs : str
        Projected, of tracks and image.
    """
    return render_views(tracks, cars, (conditions,), rng, crs=crs)[0]


def render_views(
    tracks: Sequence[Track],
    cars: Sequence[PlacedCar],
    views: Sequence[Conditions],
    rng: np.random.Generator,
    *,
    crs: str = "EPSG:32652",
) -> tuple[FineScene, ...]:
    """Render one yard as several sensors see it at the same moment.

    Parameters
    ----------
    tracks, cars, rng, crs
        As in `render_fine`.
    views : sequence of Conditions
        The first says all about light and ground; of the others only the sensor and the drawn lines count. Their
        ground sampling is rounded to a multiple of the first one's canvas.
    """
    conditions = views[0]
    decoys = _decoy_lines(tracks, conditions.decoys, rng)
    grid = _grid([t.line for t in (*tracks, *decoys)], conditions, crs)
    oversampling = max(int(np.ceil(conditions.gsd_m / 0.34)), 2 if conditions.gsd_m > 0.35 else 1)
    canvas = Canvas(grid, oversampling, rng)
    if conditions.world is None:
        paint_ground(canvas, tracks, conditions, rng)
    else:
        paint_world(canvas, tracks, conditions.world)
    solids = paint_clutter(canvas, tracks, decoys, conditions.clutter, rng)
    paint_snow(canvas, tracks, conditions, rng)
    solids += [solid for car in cars for solid in _solids(car, conditions, rng)]
    bare = canvas.values.copy() if conditions.contrast < 1 else canvas.values
    _paint_solids(canvas, solids, conditions, rng)
    if conditions.contrast < 1:
        canvas.values = bare + np.float32(conditions.contrast) * (canvas.values - bare)
    if conditions.sheet:
        canvas.values *= grain_texture(canvas, conditions.sheet)
    out = []
    for index, view in enumerate(views):
        c, k = view, oversampling
        if index:
            k = max(round(view.gsd_m / canvas.step_m), 1)
            c = replace(conditions, gsd_m=k * canvas.step_m, **{name: getattr(view, name) for name in SENSOR})
        digital = expose(canvas.values, k, c, rng)
        a, b, x, d, e, y = canvas.grid.transform
        seen = Grid(crs, (a * k, b * k, x, d * k, e * k, y), digital.shape[2], digital.shape[1]) if index else grid
        drawn = _drawn_tracks((*tracks, *decoys), c, rng)
        site = make_site(drawn, crs, margin_m=MARGIN_M)
        out.append(FineScene(seen, BAND_NAMES[c.bands], digital, site, tuple(cars), tuple(tracks), c))
    return tuple(out)


def fine_look(scene: FineScene, *, scene_id: str = "SIM_20231005", day: datetime | None = None) -> Look:
    """Return the look that a fine scene gives when all of it is clear; values are digital numbers."""
    observed = day or datetime(2023, 10, 5, 2, 20, tzinfo=UTC)
    c = scene.conditions
    described = Scene(
        scene_id,
        "simulated",
        "vhr",
        "SIM",
        observed,
        c.gsd_m,
        (),
        sun_elevation_deg=c.sun_elevation_deg,
        sun_azimuth_deg=c.sun_azimuth_deg,
        view_azimuth_deg=c.view_azimuth_deg,
    )
    values = scene.values.astype(np.float32)
    clear = np.ones(scene.grid.shape, dtype=bool)
    return Look(scene.site.name, described, scene.grid, scene.bands, values, clear, 1.0)


def _grid(lines: Sequence[LineString], conditions: Conditions, crs: str) -> Grid:
    """Return a grid around the lines, turned by the scene's rotation."""
    angle = np.deg2rad(conditions.rotation_deg)
    cos, sin, g = float(np.cos(angle)), float(np.sin(angle)), conditions.gsd_m
    xy = np.vstack([np.asarray(line.coords)[:, :2] for line in lines])
    along = xy @ np.array([cos, sin])
    across = xy @ np.array([-sin, cos])
    left, top = float(along.min()) - MARGIN_M, float(across.max()) + MARGIN_M
    width = int(np.ceil((float(along.max()) + MARGIN_M - left) / g))
    height = int(np.ceil((top - float(across.min()) + MARGIN_M) / g))
    origin = (left * cos - top * sin, left * sin + top * cos)
    return Grid(crs, (g * cos, g * sin, origin[0], g * sin, -g * cos, origin[1]), width, height)


def _decoy_lines(tracks: Sequence[Track], count: int, rng: np.random.Generator) -> tuple[Track, ...]:
    """Lay lines without rails beyond the outermost track, far enough that no clutter of its own reaches them."""
    out = []
    line = tracks[-1].line
    away = tracks[0].line.distance(line.offset_curve(4.0)) > tracks[0].line.distance(line.offset_curve(-4.0))
    side = 1.0 if away or len(tracks) == 1 else -1.0
    for index in range(count):
        drawn = line.offset_curve(side * (34.0 + 26.0 * index))
        if isinstance(drawn, LineString) and drawn.length > 40:
            out.append(Track(f"decoy{index + 1:02d}", "No track", drawn, "yard", provisional=False))
    return tuple(out)


def _drawn_tracks(tracks: Sequence[Track], conditions: Conditions, rng: np.random.Generator) -> tuple[Track, ...]:
    """Move the lines as a careless digitiser or a badly placed image would."""
    line = tracks[0].line
    ends = np.asarray(line.coords)[[0, -1], :2]
    heading = np.arctan2(ends[1, 1] - ends[0, 1], ends[1, 0] - ends[0, 0])
    # The shift is mostly across: along the tracks it would not be noticed.
    direction = heading + np.pi / 2 * float(rng.choice([-1, 1])) + float(rng.normal(0, 0.4))
    common = conditions.misalignment_m * np.array([np.cos(direction), np.sin(direction)])
    out = []
    for track in tracks:
        own = float(rng.normal(0, conditions.track_jitter_m)) if conditions.track_jitter_m else 0.0
        across = own * np.array([-np.sin(heading), np.cos(heading)])
        moved = translate(track.line, *(common + across))
        if conditions.track_jitter_m:
            moved = rotate(moved, float(rng.normal(0, 0.03)))
        out.append(replace(track, line=moved))
    return tuple(out)


def _solids(car: PlacedCar, conditions: Conditions, rng: np.random.Generator) -> list[Solid]:
    """Return the boxes that make up one car: one, or a flat car with one or two containers on it."""
    kind = car.railcar.kind
    white = float(np.clip(rng.normal(conditions.roof_snow, 0.2), 0, 0.97)) if conditions.roof_snow else 0.0
    pattern = "plain" if conditions.plain_cars else kind.value
    body = Solid(
        car.centre, car.heading_rad, car.body_m, car.width_m, car.height_m, car.colour, pattern, car.loaded, white
    )
    if conditions.world is not None:
        panel = conditions.world.panels.get(kind)
        if rng.random() < conditions.world.plain:
            return [replace(body, pattern="panel")]
        return [replace(body, pattern="panel", panel=panel) if panel else body]
    if kind is not RailcarKind.FLAT or not car.loaded:
        return [body]
    lengths = [6.06, 6.06] if rng.random() < 0.5 else [12.19]
    out, position = [body], -sum(lengths) / 2
    for length in lengths:
        middle = position + length / 2
        centre = (
            car.centre[0] + middle * float(np.cos(car.heading_rad)),
            car.centre[1] + middle * float(np.sin(car.heading_rad)),
        )
        colour = np.array(CONTAINER_COLOURS[int(rng.integers(len(CONTAINER_COLOURS)))]) * rng.lognormal(0, 0.12)
        out.append(
            Solid(centre, car.heading_rad, length - 0.05, 2.44, DECK_M + 2.6, colour, "trailer", False, white, DECK_M)
        )
        position += length
    return out


def _paint_solids(canvas: Canvas, solids: Sequence[Solid], c: Conditions, rng: np.random.Generator) -> None:
    """Paint shadows, walls and roofs: the low ones first, so that the shadows of the tall ones fall on them."""
    sunny = c.sky != "overcast"
    sun = np.deg2rad(90.0 - c.sun_azimuth_deg)
    reach = 1.0 / float(np.tan(np.deg2rad(c.sun_elevation_deg)))
    away = (-float(np.cos(sun)) * reach, -float(np.sin(sun)) * reach)
    depth = float(rng.uniform(0.6, 1.0)) if c.shade is None else c.shade
    depth *= 0.6 if c.sky == "haze" else 1.0
    # Shade is lit by blue sky alone.
    dark = 1 - depth * np.array([0.62, 0.70, 0.76, 0.80])
    skirt = 0.8
    if c.world is not None:
        skirt = c.world.skirt_m
        dark = np.ones(CANVAS_BANDS) if c.shade == 0 else light_left(c.world)
    view = np.deg2rad(90.0 - c.view_azimuth_deg)
    tilt = float(np.tan(np.deg2rad(c.off_nadir_deg)))
    lean = (-float(np.cos(view)) * tilt, -float(np.sin(view)) * tilt)
    if sunny:
        shadows = [_shadow(solid, away, solid.height_m) for solid in solids]
    else:
        shadows = [solid.footprint().buffer(skirt) for solid in solids if solid.height_m > 1 and solid.base_m == 0]
        dark = np.full(CANVAS_BANDS, rng.uniform(0.7, 0.92))
    canvas.shade(canvas.mask(shadows), dark, c.penumbra_m)
    low = [solid for solid in solids if solid.height_m < 2.0]
    for solid in low:
        _paint_one(canvas, solid, lean, c, rng)
    if sunny and low:
        deck = canvas.mask([translate(s.footprint(), lean[0] * s.height_m, lean[1] * s.height_m) for s in low])
        tall = [_shadow(s, away, s.height_m - DECK_M) for s in solids if s.height_m > 2.0]
        canvas.shade(deck & canvas.mask(tall), dark, c.penumbra_m)
    for solid in sorted((s for s in solids if s.height_m >= 2.0), key=lambda s: s.height_m):
        _paint_one(canvas, solid, lean, c, rng)


def _shadow(solid: Solid, away: tuple[float, float], height_m: float) -> Any:
    return swept(solid.footprint(), (away[0] * height_m, away[1] * height_m))


def _paint_one(
    canvas: Canvas, solid: Solid, lean: tuple[float, float], c: Conditions, rng: np.random.Generator
) -> None:
    shift = (lean[0] * solid.height_m, lean[1] * solid.height_m)
    if np.hypot(*shift) > 0.1 and solid.height_m - solid.base_m > 0.5:
        foot = translate(solid.footprint(), lean[0] * solid.base_m, lean[1] * solid.base_m)
        rise = solid.height_m - solid.base_m
        wall = canvas.mask([swept(foot, (lean[0] * rise, lean[1] * rise))]) if solid.length_m > 60 else None
        if wall is not None:
            canvas.fill(wall, solid.colour * 0.5)
        else:
            _wall(canvas, solid, lean, rng)
    rows, columns, u, v = canvas.local(solid, shift)
    if not u.size:
        return
    inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    elevation = 90.0 if c.sky == "overcast" else c.sun_elevation_deg
    pattern = roof_pattern(u, v, solid, elevation, c.sun_azimuth_deg, rng)
    snow = np.array(GROUNDS["snow"]) * 0.9
    for band in range(CANVAS_BANDS):
        roof = np.clip(solid.colour[band] * pattern, 0.01, 1.2)
        if solid.snow > 0:
            roof = (1 - solid.snow) * roof + solid.snow * snow[band] * (0.75 + 0.25 * np.clip(pattern, 0, 1.3))
        window = canvas.values[band, rows, columns]
        window[inside] = roof[inside].astype(np.float32)


def _wall(canvas: Canvas, solid: Solid, lean: tuple[float, float], rng: np.random.Generator) -> None:
    """Paint the side that an oblique view shows, as copies of the footprint from the ground up to the roof."""
    shade = float(rng.uniform(0.3, 0.8))
    for height in np.linspace(solid.base_m, solid.height_m, 5)[:-1]:
        rows, columns, u, v = canvas.local(solid, (lean[0] * float(height), lean[1] * float(height)))
        inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
        for band in range(CANVAS_BANDS):
            window = canvas.values[band, rows, columns]
            window[inside] = np.float32(solid.colour[band] * shade)
