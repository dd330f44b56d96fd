"""Pixels of an open file onto a grid: copied where the grids agree, else resampled from the window alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window

from pipeline.errors import ReadError
from pipeline.imagery.hosts import shorten
from pipeline.model import Asset, BoolArray, Grid

Placed = tuple[NDArray[Any], BoolArray]

MAX_SIDE = 400_000  # pixels; a Sentinel-2 tile has 10,980, a 30 cm strip 100,000
MAX_BLOCK = 256 * 2**20  # bytes that one block may unpack to
MAX_WINDOW = 512 * 2**20  # bytes of a source window
ALIGNED = 0.01  # pixels; closer than this two grids are one
MARGIN = 4  # source pixels around the window, for cubic convolution


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


def place(source: DatasetReader, asset: Asset, grid: Grid, *, classes: bool, crs: str) -> Placed:
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

    Returns
    -------
    values : array, (rows, columns)
        In the file's type; 0 outside.
    valid : array of bool, (rows, columns)
        True inside the file where the value is not nodata.

    Raises
    ------
    ReadError
        When the file cannot be placed.
    """
    shown = shorten(asset.href)
    source_crs = source.crs or (CRS.from_string(crs) if crs else None)
    if source_crs is None or source.transform.is_identity:
        raise ReadError(f"{shown} does not say where on earth it lies.")
    kind = source.dtypes[asset.index - 1]
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
    transform = source.window_transform(window)
    shift = _whole_shift(transform, grid) if same_crs else None
    if shift is not None:
        return _copy(data, inside, shift, grid, empty)
    try:
        return _resample(data, inside, transform, source_crs, grid, classes)
    except (RasterioError, CRSError) as error:
        raise ReadError(f"{shown} cannot be brought onto the site's grid.") from error


def _window(source: DatasetReader, source_crs: CRS, grid: Grid, same_crs: bool, shown: str) -> Window | None:
    """Return the whole-pixel window of the file that the grid needs, None when they do not meet."""
    bounds = grid.bounds
    if not same_crs:
        try:
            bounds = transform_bounds(CRS.from_string(grid.crs), source_crs, *bounds, densify_pts=21)
        except (CRSError, RasterioError) as error:
            raise ReadError(f"{shown}: its projection cannot be used.") from error
    inverse = ~source.transform
    corners = [inverse * (x, y) for x in (bounds[0], bounds[2]) for y in (bounds[1], bounds[3])]
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


def _resample(
    data: NDArray[Any], inside: BoolArray, transform: Affine, source_crs: CRS, grid: Grid, classes: bool
) -> Placed:
    target = {"dst_transform": Affine(*grid.transform), "dst_crs": grid.crs, "num_threads": 1}
    origin = {"src_transform": transform, "src_crs": source_crs}
    valid = np.zeros(grid.shape, dtype=np.uint8)
    reproject(inside.astype(np.uint8), valid, **origin, **target, resampling=Resampling.nearest)
    usable = valid > 0
    if classes:
        nearest = np.zeros(grid.shape, dtype=data.dtype)
        reproject(data, nearest, **origin, **target, resampling=Resampling.nearest)
        return nearest, usable
    # nan as nodata keeps invalid pixels out of their neighbours' convolution.
    floating = np.where(inside, data, np.nan).astype(np.float64)
    smooth = np.full(grid.shape, np.nan)
    reproject(
        floating,
        smooth,
        **origin,
        **target,
        resampling=Resampling.cubic,
        src_nodata=np.nan,
        dst_nodata=np.nan,
        init_dest_nodata=True,
    )
    usable &= np.isfinite(smooth)
    smooth = np.where(usable, smooth, 0.0)
    if np.issubdtype(data.dtype, np.integer):
        limits = np.iinfo(data.dtype)
        # 0 is nodata in the products read here: a dark pixel must not become one by rounding.
        low = max(limits.min, 1) if limits.min == 0 else limits.min
        smooth = np.where(usable, np.clip(np.rint(smooth), low, limits.max), 0.0)
    return smooth.astype(data.dtype), usable


def _not_nodata(data: NDArray[Any], nodata: float | None) -> BoolArray:
    usable = np.isfinite(data) if np.issubdtype(data.dtype, np.floating) else np.ones(data.shape, dtype=bool)
    if nodata is not None and math.isfinite(nodata):
        usable &= data != nodata
    out: BoolArray = usable
    return out
