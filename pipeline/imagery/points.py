"""Files that say where they lie by ground control points: radar in the geometry in which it was taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer

from pipeline.errors import ReadError
from pipeline.model import Grid

MAX_POINTS = 300  # of the nearest to the site; a Sentinel-1 GRD has 210
LEAST_POINTS = 3
STEP = 16  # grid pixels between the nodes at which the points are asked; between them is interpolated


def pixels_by_points(
    points: Sequence[GroundControlPoint], points_crs: CRS | None, grid: Grid, shown: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where each grid pixel's centre lies in a file.

    A thin plate spline goes through every point: those of a Sentinel-1 scene carry the terrain's height, which no
    polynomial over the scene follows. Terrain between the points is not corrected for: at a height that they do not
    know the place is off by that height over the tangent of the incidence angle, the same on every pass of an orbit.

    Parameters
    ----------
    points : sequence of GroundControlPoint
        Rows and columns are of pixel corners, as GDAL counts.
    points_crs : CRS
        Of the points, None when the file does not say.
    grid : Grid
    shown : str
        The file, for errors.

    Returns
    -------
    rows, cols : array, (rows, columns)
        Counted from the centre of the file's first pixel.

    Raises
    ------
    ReadError
        When there are too few points, or they lie in a line.
    """
    if points_crs is None:
        raise ReadError(f"{shown} does not say where on earth its ground control points lie.")
    node_cols, node_rows = _nodes(grid.width), _nodes(grid.height)
    x, y = grid.to_xy(*np.meshgrid(node_cols, node_rows))
    try:
        x, y = Transformer.from_crs(grid.crs, points_crs.to_wkt(), always_xy=True).transform(x, y)
    except ProjError as error:
        raise ReadError(f"{shown}: the projection of its ground control points cannot be used.") from error
    turn = 360.0 if points_crs.is_geographic else 0.0
    near = _nearest(points, float(np.mean(x)), float(np.mean(y)), turn)
    if len(near) < LEAST_POINTS:
        raise ReadError(f"{shown} has {len(near)} usable ground control points; at least {LEAST_POINTS} are needed.")
    try:
        with GCPTransformer(near, tps=True) as transformer:
            rows, cols = transformer.rowcol(np.ravel(x), np.ravel(y), op=float)
    except (RasterioError, ValueError) as error:
        raise ReadError(f"{shown} cannot be located by its ground control points.") from error
    shape = len(node_rows), len(node_cols)
    found = [np.asarray(values, dtype=np.float64).reshape(shape) for values in (rows, cols)]
    if not all(np.isfinite(values).all() for values in found):
        raise ReadError(f"{shown} cannot be located by its ground control points.")
    row, col = (_between(values, node_rows, node_cols, grid) - 0.5 for values in found)
    return row, col


def _nearest(points: Sequence[GroundControlPoint], x: float, y: float, turn: float) -> list[GroundControlPoint]:
    """Return the points nearest to a place, each once, on the place's side of the date line."""
    kept: dict[tuple[float, float], GroundControlPoint] = {}
    for point in points:
        if not np.isfinite([point.row, point.col, point.x, point.y]).all():
            continue
        east = point.x - turn * round((point.x - x) / turn) if turn else point.x
        kept.setdefault((point.row, point.col), GroundControlPoint(point.row, point.col, east, point.y))
    squeeze = np.cos(np.deg2rad(y)) if turn else 1.0
    near = sorted(kept.values(), key=lambda p: (((p.x - x) * squeeze) ** 2 + (p.y - y) ** 2, p.row, p.col))
    return near[:MAX_POINTS]


def _nodes(size: int) -> NDArray[np.float64]:
    """Return places along an axis of the grid, from its first pixel's centre to its last one's."""
    return np.linspace(0.5, size - 0.5, max(-(-size // STEP) + 1, 2))


def _between(
    values: NDArray[np.float64], node_rows: NDArray[np.float64], node_cols: NDArray[np.float64], grid: Grid
) -> NDArray[np.float64]:
    """Interpolate linearly from the nodes to every pixel's centre: over 16 pixels an orbit's geometry is straight."""
    rows, cols = np.arange(grid.height) + 0.5, np.arange(grid.width) + 0.5
    along = np.array([np.interp(cols, node_cols, line) for line in values])
    out: NDArray[np.float64] = np.array([np.interp(rows, node_rows, line) for line in along.T]).T
    return out
