"""Footprints of items: checked, mended where they cross themselves, unrolled over the date line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from shapely import make_valid, transform, union_all
from shapely.affinity import translate
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon, box, shape
from shapely.geometry.base import BaseGeometry

MAX_VERTICES = 100_000
MAX_DEPTH_BBOX = (4, 6)  # numbers of a two- and a three-dimensional bounding box


class FootprintError(Exception):
    """A footprint that cannot be used; the text says why."""


def footprint_of(geometry: Any, bbox: Any) -> Polygon:
    """Return an item's footprint.

    Parameters
    ----------
    geometry : object
        GeoJSON geometry, or None.
    bbox : object
        The item's bounding box, taken where there is no geometry.

    Returns
    -------
    Polygon
        WGS 84 degrees. One that crosses the date line is unrolled: its longitudes run beyond 180.

    Raises
    ------
    FootprintError
        When it is missing, empty, too large, or not in degrees.
    """
    if geometry is None:
        return _from_bbox(bbox)
    if not isinstance(geometry, Mapping) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise FootprintError("its geometry is not a polygon.")
    if _count(geometry.get("coordinates")) > MAX_VERTICES:
        raise FootprintError(f"its geometry has more than {MAX_VERTICES} vertices.")
    try:
        found = shape(dict(geometry))
        if not found.is_empty:
            found = transform(found, np.asarray)  # drops a third coordinate
    except (GEOSException, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise FootprintError("its geometry cannot be read.") from error
    if found.is_empty:
        raise FootprintError("its geometry is empty.")
    _check_degrees(found.bounds)
    return _one_polygon(_unroll(found))


def overlaps(footprint: Polygon, area: BaseGeometry) -> bool:
    """Tell whether a footprint meets an area (both WGS 84 degrees), whichever way round the globe it is written."""
    return any(translate(footprint, xoff=shift).intersects(area) for shift in (0.0, -360.0, 360.0))


def _from_bbox(bbox: Any) -> Polygon:
    if not isinstance(bbox, Sequence) or isinstance(bbox, str) or len(bbox) not in MAX_DEPTH_BBOX:
        raise FootprintError("it has neither a geometry nor a bounding box.")
    half = len(bbox) // 2
    try:
        west, south, east, north = (float(bbox[i]) for i in (0, 1, half, half + 1))
    except (TypeError, ValueError) as error:
        raise FootprintError("its bounding box cannot be read.") from error
    _check_degrees((west, south, east, north))
    if east < west:  # GeoJSON, RFC 7946 section 5.2: a box over the date line
        east += 360.0
    if east <= west or north <= south:
        raise FootprintError("its bounding box is empty.")
    return box(west, south, east, north)


def _check_degrees(bounds: Sequence[float]) -> None:
    west, south, east, north = bounds
    if not np.isfinite(bounds).all() or min(west, east) < -360 or max(west, east) > 360 or south < -90 or north > 90:
        raise FootprintError("its geometry is not in degrees of longitude and latitude.")


def _unroll(found: BaseGeometry) -> BaseGeometry:
    """Move western longitudes by a whole turn where a footprint would else span more than half the globe."""
    west, _, east, _ = found.bounds
    if east - west <= 180.0:
        return found
    return transform(
        found, lambda xy: np.column_stack((np.where(xy[:, 0] < 0, xy[:, 0] + 360.0, xy[:, 0]), xy[:, 1]))
    )


def _one_polygon(found: BaseGeometry) -> Polygon:
    try:
        if not found.is_valid:
            found = make_valid(found)
        parts = [part for part in getattr(found, "geoms", [found]) if isinstance(part, (Polygon, MultiPolygon))]
        merged = union_all(parts) if parts else Polygon()
    except GEOSException as error:
        raise FootprintError("its geometry cannot be mended.") from error
    if isinstance(merged, MultiPolygon):
        merged = merged.convex_hull
    if not isinstance(merged, Polygon) or merged.is_empty or merged.area <= 0.0:
        raise FootprintError("its geometry covers no area.")
    return merged


def _count(coordinates: Any) -> int:
    """Count numbers in nested coordinates without recursion, which a hostile nesting would exhaust."""
    waiting, count, depth = [coordinates], 0, 0
    while waiting and count <= 4 * MAX_VERTICES and depth <= 4 * MAX_VERTICES:
        entry = waiting.pop()
        depth += 1
        if isinstance(entry, list):
            waiting.extend(entry)
        else:
            count += 1
    return max(count, depth) // 2
