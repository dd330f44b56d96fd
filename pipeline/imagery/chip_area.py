"""Which part of a site is read at a given sampling, and the grid for it."""

from __future__ import annotations

import numpy as np
from shapely.geometry import Polygon, box

from pipeline.model import Grid, Site

MAX_CHIP_BYTES = 256 * 2**20  # of one chip's digital numbers; above it only the tracks' surroundings are read
TRACK_MARGIN_M = 150.0  # of those surroundings, metres


def area_to_read(site: Site, gsd_m: float, bytes_per_pixel: int) -> Polygon:
    """Return the site's area as a rectangle, or its tracks' surroundings where the whole would not fit in memory.

    Parameters
    ----------
    site : Site
    gsd_m : float
        Sampling, metres.
    bytes_per_pixel : int
        Of all bands together.
    """
    whole = box(*site.area.bounds)
    if whole.area / gsd_m**2 * bytes_per_pixel <= MAX_CHIP_BYTES:
        return whole
    bounds = np.array([track.line.bounds for track in site.tracks])
    west, south = bounds[:, :2].min(axis=0) - TRACK_MARGIN_M
    east, north = bounds[:, 2:].max(axis=0) + TRACK_MARGIN_M
    near = box(west, south, east, north).intersection(whole)
    return near if isinstance(near, Polygon) and not near.is_empty else whole


def grid_over(crs: str, area: Polygon, gsd_m: float) -> Grid:
    """Return a north-up grid that covers `area`, snapped to multiples of the sampling."""
    west, south, east, north = area.bounds
    left, top = np.floor(west / gsd_m) * gsd_m, np.ceil(north / gsd_m) * gsd_m
    width = max(int(np.ceil(round((east - left) / gsd_m, 6))), 1)
    height = max(int(np.ceil(round((top - south) / gsd_m, 6))), 1)
    return Grid(crs, (float(gsd_m), 0.0, float(left), 0.0, -float(gsd_m), float(top)), width, height)
