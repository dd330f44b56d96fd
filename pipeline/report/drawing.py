"""Looks drawn as finished PNG files, with everything on them: for `railwatch site check` and the evidence pack."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from pipeline.model import Look, Observation, Site
from pipeline.report.pictures import (
    FINE_M,
    Stretch,
    Window,
    layers_of,
    nice_length_m,
    stretch_of,
    window_around_tracks,
)
from pipeline.report.text import day, minute, short

INCHES, DPI = 11.0, 130
USE_COLOURS = {"main": "#ffd43b", "yard": "#ff8a3d", "siding": "#7bd88f", "station": "#4cc9f0"}
ZONE_COLOURS = {"apron": "#e599f7", "canopy": "#ffffff", "water": "#4dabf7", "ignore": "#adb5bd"}
_BELOW, _ABOVE = 0.75, 0.35  # inches for the legend and the title
_LAST_LETTER = 0x0600  # the drawing library's own font has Latin, Greek and Cyrillic; beyond it would warn


def draw_site_check(look: Look, site: Site) -> bytes:
    """Draw a site's tracks and zones over a look, so that a person can tell whether they lie right.

    Parameters
    ----------
    look : Look
        Any look of the site; its own grid is used.
    site : Site
        Tracks that exist on the look's day are drawn by use, provisional ones dashed, each with its name.

    Returns
    -------
    bytes
        A PNG with scale bar, north arrow, legend and coordinates in metres of the site's CRS.
    """
    when = look.scene.observed_at
    window = window_around_tracks(site, look.grid)
    title = (
        f"{_plain(site.title, 60)}: {len(site.tracks_on(when.date()))} tracks over {_plain(look.scene.scene_id, 60)}"
    )
    figure, axes = _canvas(look, window, stretch_of(look, window), title, _origin(look))
    _zones(axes, site, look)
    _tracks(axes, site, look, names=True)
    _legend(axes, site, look, cars=False)
    return _png(figure)


def draw_look(
    look: Look, site: Site, observation: Observation, title: str, *, stretch: Stretch | None = None
) -> bytes:
    """Draw a counted look with its tracks and resolved railcars.

    Parameters
    ----------
    look, site, observation
        The observation is the look's own row.
    title : str
        What the look is in the story of a surge.
    stretch : Stretch, optional
        Of the quiet look; None: the look's own.

    Returns
    -------
    bytes
        A PNG.
    """
    window = window_around_tracks(site, look.grid)
    count = observation.count
    said = "no count" if count is None else f"{count.railcars:.0f} railcars ({count.low:.0f}–{count.high:.0f})"
    heading = f"{_plain(site.title, 50)}, {day(observation.observed_at)}: {_plain(title, 40).lower()}, {said}"
    figure, axes = _canvas(look, window, stretch or stretch_of(look, window), heading, _origin(look))
    _tracks(axes, site, look, names=False)
    for car in count.railcar_list if count is not None else ():
        axes.add_patch(_patch(car.polygon, fill=False, edgecolor="#2ee6ff", linewidth=0.9))
    _legend(axes, site, look, cars=count is not None and bool(count.railcar_list))
    return _png(figure)


def _canvas(look: Look, window: Window, stretch: Stretch, title: str, origin: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, stack = layers_of(look, window)
    if stretch.layers != names:
        stretch = stretch_of(look, window)
    low, high = np.array(stretch.low)[:, None, None], np.array(stretch.high)[:, None, None]
    scaled = np.nan_to_num(np.clip((stack - low) / (high - low), 0.0, 1.0), nan=0.5)
    rgb = np.moveaxis(scaled if scaled.shape[0] == 3 else np.repeat(scaled[:1], 3, axis=0), 0, -1)
    west, north = look.grid.to_xy(window.col0, window.row0)
    east, south = look.grid.to_xy(window.col1, window.row1)
    body = 0.90 * INCHES * min(1.4, abs(north - south) / abs(east - west))
    height = _BELOW + body + _ABOVE
    figure = Figure(figsize=(INCHES, height), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, _BELOW / height, 0.90, body / height))
    smooth = "nearest" if look.grid.gsd_m >= FINE_M else "antialiased"
    axes.imshow(rgb, extent=(west, east, south, north), interpolation=smooth)
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    axes.set_xlabel(f"easting, m ({_plain(look.grid.crs, 20)}); {origin}", fontsize=8, parse_math=False)
    axes.set_ylabel("northing, m", fontsize=8)
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.tick_params(labelsize=7)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    _scale_and_north(axes, west, east, south, north)
    return figure, axes


def _scale_and_north(axes: Any, west: float, east: float, south: float, north: float) -> None:
    width, height = east - west, north - south
    length = nice_length_m(width)
    x0, y0 = west + 0.03 * width, south + 0.06 * height
    edge = {"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 2}
    axes.plot([x0, x0 + length], [y0, y0], color="white", linewidth=3, solid_capstyle="butt")
    axes.text(x0, y0 + 0.03 * height, f"{length:g} m", color="white", fontsize=8, bbox=edge)
    axes.annotate(
        "N",
        xy=(east - 0.03 * width, north - 0.04 * height),
        xytext=(east - 0.03 * width, north - 0.20 * height),
        color="white",
        fontsize=9,
        ha="center",
        bbox=edge,
        arrowprops={"arrowstyle": "-|>", "color": "white"},
    )


def _tracks(axes: Any, site: Site, look: Look, *, names: bool) -> None:
    from matplotlib import patheffects

    drawn = [track for track in site.tracks_on(look.scene.observed_at.date()) if not track.line.is_empty]
    for index, track in enumerate(drawn):
        x, y = track.line.xy
        colour = USE_COLOURS[track.use]
        axes.plot(x, y, color=colour, linewidth=1.1, linestyle="--" if track.provisional else "-", alpha=0.9)
        if names:  # set off along the track in turn, because neighbours are five metres apart
            at = track.line.interpolate((0.06 + 0.88 * ((index * 0.381966) % 1.0)), normalized=True)
            label = axes.text(
                at.x, at.y, _plain(track.name, 18), color=colour, fontsize=6, clip_on=True, parse_math=False
            )
            label.set_path_effects([patheffects.withStroke(linewidth=1.6, foreground="black")])


def _zones(axes: Any, site: Site, look: Look) -> None:
    for zone in site.zones:
        if zone.exists_on(look.scene.observed_at.date()):
            colour = ZONE_COLOURS[zone.kind]
            axes.add_patch(_patch(zone.area, facecolor=colour, edgecolor=colour, alpha=0.25, linewidth=1.2))


def _patch(polygon: Polygon, **style: Any) -> Any:
    from matplotlib.patches import Polygon as Patch

    return Patch(np.asarray(polygon.exterior.coords)[:, :2], closed=True, **style)


def _legend(axes: Any, site: Site, look: Look, *, cars: bool) -> None:
    from matplotlib.lines import Line2D

    tracks = site.tracks_on(look.scene.observed_at.date())
    uses = {track.use for track in tracks}
    lines = [Line2D([], [], color=colour, label=f"{use} track") for use, colour in USE_COLOURS.items() if use in uses]
    if any(track.provisional for track in tracks):
        lines.append(Line2D([], [], color="#888888", linestyle="--", label="provisional"))
    if cars:
        lines.append(Line2D([], [], color="#2ee6ff", label="railcar found"))
    kinds = {zone.kind for zone in site.zones if zone.exists_on(look.scene.observed_at.date())} if not cars else set()
    lines += [Line2D([], [], color=ZONE_COLOURS[kind], linewidth=6, label=kind) for kind in sorted(kinds)]
    axes.figure.legend(
        handles=lines,
        fontsize=7,
        ncols=max(1, len(lines)),
        loc="lower left",
        bbox_to_anchor=(0.075, 0.0),
        frameon=False,
    )


def _origin(look: Look) -> str:
    sun = look.scene.sun_elevation_deg
    height = "sun not stated" if sun is None else f"sun {sun:.0f}° high"
    by = f"{_plain(look.scene.platform, 20)} at {look.grid.gsd_m:g} m"
    return f"seen {minute(look.scene.observed_at)} by {by}, {height}"


def _plain(text: str, length: int) -> str:
    """Return text that the drawing library's font has a letter for."""
    return "".join(c if ord(c) < _LAST_LETTER or c in "–…°" else "?" for c in short(text, length))


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
