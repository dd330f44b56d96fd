"""Pixels of an open file onto a grid: copied where the grids agree, else resampled from the window alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.warp import transform_bounds
from rasterio.windows import Window
from scipy import ndimage

from pipeline.errors import ReadError
from pipeline.imagery.hosts import shorten
from pipeline.imagery.points import pixels_by_points
from pipeline.model import Asset, BoolArray, Grid

Placed = tuple[NDArray[Any], BoolArray]
# From a window's digital numbers and its first row and column in the file to values.
Convert = Callable[[NDArray[Any], int, int], NDArray[np.float32]]

MAX_SIDE = 400_000  # pixels; a Sentinel-2 tile has 10,980, a 30 cm strip 100,000
MAX_BLOCK = 256 * 2**20  # bytes that one block may unpack to
MAX_WINDOW = 512 * 2**20  # bytes of a source window
ALIGNED = 0.01  # pixels; closer than this two grids are one
MARGIN = 8  # source pixels around the window: a cubic spline's reach (0.268^8 = 3e-5)


def check_shape(source: DatasetReader, asset: Asset) -> None:
    """Refuse a file whose header asks for more than any product has, before a pixel is unpacked.

    Raises
    ------
    ReadError
        When size, block or type is beyond bounds, or the band is missing.
    """
    shown = shorten(asset.href)
    if asset.index > source.count:
        raise ReadError(f"{shown} has {source.count} bands, not {asset.index}.")
    if max(source.width, source.height) > MAX_SIDE or source.count > 256:
        raise ReadError(f"{shown} claims {source.width} x {source.height} pixels; no product is that large.")
    kind = source.dtypes[asset.index - 1]
    if kind.startswith(("complex", "int64", "uint64")):
        raise ReadError(f"{shown} holds numbers of type {kind}, which no band here has.")
    rows, cols = source.block_shapes[asset.index - 1]
    if rows * cols * np.dtype(kind).itemsize * source.count > MAX_BLOCK:
        raise ReadError(f"{shown} is packed in blocks of {cols} x {rows} pixels; no window of it can be read.")


def place(
    source: DatasetReader, asset: Asset, grid: Grid, *, classes: bool, crs: str, convert: Convert | None = None
) -> Placed:
    """Bring one band onto a grid.

    Parameters
    ----------
    source : DatasetReader
        Open.
    asset : Asset
        Which band, and which value is no data.
    grid : Grid
        Where to.
    classes : bool
        Take the nearest pixel, for classes and bits.
    crs : str
        Projection to assume when the file has none.
    convert : callable, optional
        Turns digital numbers into powers before they are resampled, linearly: a spline would make powers below 0.

    Returns
    -------
    values : array, (rows, columns)
        In the file's type, or float32 after `convert`; 0 outside.
    valid : array of bool, (rows, columns)
        True inside the file where the value is not nodata.

    Raises
    ------
    ReadError
        When the file cannot be placed.
    """
    shown = shorten(asset.href)
    points, points_crs = source.gcps
    if points and source.transform.is_identity:
        rows, cols = pixels_by_points(points, points_crs, grid, shown)
        return _by_places(source, asset, rows, cols, convert, shown)
    source_crs = source.crs or (CRS.from_string(crs) if crs else None)
    if source_crs is None or source.transform.is_identity:
        raise ReadError(f"{shown} does not say where on earth it lies.")
    kind = source.dtypes[asset.index - 1] if convert is None else "float32"
    empty = np.zeros(grid.shape, dtype=kind), np.zeros(grid.shape, dtype=bool)
    same_crs = source_crs == CRS.from_string(grid.crs)
    window = _window(source, source_crs, grid, same_crs, shown)
    if window is None:
        return empty
    if window.width * window.height * np.dtype(kind).itemsize > MAX_WINDOW:
        raise ReadError(f"{shown} holds {window.width} x {window.height} pixels over the site, more than is read.")
    data = source.read(asset.index, window=window)
    nodata = asset.nodata if asset.nodata is not None else source.nodatavals[asset.index - 1]
    inside = _not_nodata(data, nodata)
    if convert is not None:
        data = convert(data, int(window.row_off), int(window.col_off))
    transform = _corner_at(source, window)
    shift = _whole_shift(transform, grid) if same_crs else None
    if shift is not None:
        return _copy(data, inside, shift, grid, empty)
    try:
        rows, cols = _source_pixels(transform, data.shape, source_crs, grid)
        return _resample(data, inside, rows, cols, "nearest" if classes else "cubic" if convert is None else "linear")
    except ProjError as error:
        raise ReadError(f"{shown} cannot be brought onto the site's grid.") from error


def _window(source: DatasetReader, source_crs: CRS, grid: Grid, same_crs: bool, shown: str) -> Window | None:
    """Return the whole-pixel window of the file that the grid needs, None when they do not meet."""
    bounds = grid.bounds
    if not same_crs:
        try:
            bounds = transform_bounds(CRS.from_string(grid.crs), source_crs, *bounds, densify_pts=21)
        except (CRSError, RasterioError) as error:
            raise ReadError(f"{shown}: its projection cannot be used.") from error
    own = Grid("", tuple(source.transform)[:6], source.width, source.height)
    corners = [own.to_pixel(x, y) for x in (bounds[0], bounds[2]) for y in (bounds[1], bounds[3])]
    cols, rows = [c for c, _ in corners], [r for _, r in corners]
    if not np.isfinite([*cols, *rows]).all():
        return None
    extra = 0 if same_crs and _same_sampling(source.transform, grid) else MARGIN
    # A hair's breadth of rounding must not ask for one more row of pixels.
    left = max(math.floor(min(cols) + 1e-6) - extra, 0)
    top = max(math.floor(min(rows) + 1e-6) - extra, 0)
    right = min(math.ceil(max(cols) - 1e-6) + extra, source.width)
    bottom = min(math.ceil(max(rows) - 1e-6) + extra, source.height)
    return Window(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _corner_at(source: DatasetReader, window: Window) -> Affine:
    """Return the transform of a window; rasterio's own uses an operator that its geometry library gives up."""
    a, b, _, d, e, _ = tuple(source.transform)[:6]
    own = Grid("", tuple(source.transform)[:6], source.width, source.height)
    x, y = own.to_xy(window.col_off, window.row_off)
    return Affine(a, b, x, d, e, y)


def _same_sampling(transform: Affine, grid: Grid) -> bool:
    a, b, _, d, e, _ = grid.transform
    return all(
        math.isclose(p, q, abs_tol=1e-6)
        for p, q in zip((transform.a, transform.b, transform.d, transform.e), (a, b, d, e), strict=True)
    )


def _whole_shift(transform: Affine, grid: Grid) -> tuple[int, int] | None:
    """Return (column, row) of the window's corner on the grid when both have the same pixels."""
    if not _same_sampling(transform, grid):
        return None
    col, row = grid.to_pixel(transform.c, transform.f)
    near = abs(col - round(col)) < ALIGNED and abs(row - round(row)) < ALIGNED
    return (round(col), round(row)) if near else None


def _copy(data: NDArray[Any], inside: BoolArray, shift: tuple[int, int], grid: Grid, empty: Placed) -> Placed:
    values, valid = empty
    col, row = shift
    height, width = data.shape
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + height, grid.height), min(col + width, grid.width)
    if bottom > top and right > left:
        part = (slice(top - row, bottom - row), slice(left - col, right - col))
        values[top:bottom, left:right] = data[part]
        valid[top:bottom, left:right] = inside[part]
    return values, valid


def _by_places(
    source: DatasetReader,
    asset: Asset,
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    convert: Convert | None,
    shown: str,
) -> Placed:
    """Take each grid pixel from its place in the file, which knows where it lies by ground control points alone."""
    kind = source.dtypes[asset.index - 1] if convert is None else "float32"
    reach = 0.5 + MARGIN
    known = (rows > -reach) & (rows < source.height + reach) & (cols > -reach) & (cols < source.width + reach)
    if not known.any():
        return np.zeros(rows.shape, dtype=kind), np.zeros(rows.shape, dtype=bool)
    top, left = max(math.floor(rows[known].min()) - MARGIN, 0), max(math.floor(cols[known].min()) - MARGIN, 0)
    bottom = min(math.ceil(rows[known].max()) + MARGIN + 1, source.height)
    right = min(math.ceil(cols[known].max()) + MARGIN + 1, source.width)
    if bottom <= top or right <= left:
        return np.zeros(rows.shape, dtype=kind), np.zeros(rows.shape, dtype=bool)
    if (bottom - top) * (right - left) * np.dtype(source.dtypes[asset.index - 1]).itemsize > MAX_WINDOW:
        raise ReadError(f"{shown} holds {right - left} x {bottom - top} pixels over the site, more than is read.")
    data = source.read(asset.index, window=Window(left, top, right - left, bottom - top))
    nodata = asset.nodata if asset.nodata is not None else source.nodatavals[asset.index - 1]
    inside = _not_nodata(data, nodata)
    if convert is not None:
        data = convert(data, top, left)
    return _resample(data, inside, rows - top, cols - left, "cubic" if convert is None else "linear")


def _resample(
    data: NDArray[Any], inside: BoolArray, rows: NDArray[np.float64], cols: NDArray[np.float64], how: str
) -> Placed:
    """Take each grid pixel's centre from the window: cubic spline for radiometry, the nearest pixel for classes.

    The same arithmetic for any pair of projections, and thread-safe, which GDAL's warper of arrays is not. `rows`
    and `cols` are counted from the centre of the window's first pixel.
    """
    nearest_row, nearest_col = np.rint(rows), np.rint(cols)
    usable = (nearest_row >= 0) & (nearest_row < data.shape[0]) & (nearest_col >= 0) & (nearest_col < data.shape[1])
    at = (
        np.clip(nearest_row, 0, data.shape[0] - 1).astype(np.intp),
        np.clip(nearest_col, 0, data.shape[1] - 1).astype(np.intp),
    )
    usable &= inside[at]
    if how == "nearest" or not usable.any():
        return np.where(usable, data[at], 0).astype(data.dtype), usable
    order: Literal[1, 3] = 3 if how == "cubic" else 1
    smooth = ndimage.map_coordinates(_filled(data, inside), [rows, cols], order=order, mode="nearest")
    if np.issubdtype(data.dtype, np.integer):
        limits = np.iinfo(data.dtype)
        # 0 is nodata in the products read here: a dark pixel must not become one by rounding.
        low = 1 if limits.min == 0 else limits.min
        smooth = np.clip(np.rint(smooth), low, limits.max)
    return np.where(usable, smooth, 0).astype(data.dtype), usable


def _source_pixels(
    transform: Affine, shape: tuple[int, ...], source_crs: CRS, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (rows, columns) of the source, counted from its pixel centres, at each grid pixel's centre."""
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = grid.to_xy(cols, rows)
    if source_crs != CRS.from_string(grid.crs):
        x, y = Transformer.from_crs(grid.crs, source_crs.to_wkt(), always_xy=True).transform(x, y)
    own = Grid("", tuple(transform)[:6], shape[1], shape[0])
    col, row = own.to_pixel(np.asarray(x), np.asarray(y))
    # A point that has no place in the source's projection lies far outside.
    return np.nan_to_num(row - 0.5, nan=-1e9, posinf=-1e9), np.nan_to_num(col - 0.5, nan=-1e9, posinf=-1e9)


def _filled(data: NDArray[Any], inside: BoolArray) -> NDArray[np.float64]:
    """Fill invalid pixels from their nearest valid neighbour, so that nodata does not bleed into the spline."""
    values = data.astype(np.float64)
    if inside.all():
        return values
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    out: NDArray[np.float64] = values[tuple(nearest)]
    return out


def _not_nodata(data: NDArray[Any], nodata: float | None) -> BoolArray:
    usable = np.isfinite(data) if np.issubdtype(data.dtype, np.floating) else np.ones(data.shape, dtype=bool)
    if nodata is not None and math.isfinite(nodata):
        usable &= data != nodata
    out: BoolArray = usable
    return out
