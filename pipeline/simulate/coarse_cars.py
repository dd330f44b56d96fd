"""Railcars and their shadows as parts of coarse pixels: what share is roof, what share lies in shade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from shapely.affinity import translate
from shapely.geometry import Polygon
from shapely.ops import unary_union

from pipeline.model import Grid
from pipeline.simulate.yard import PlacedCar

FINE_M = 1.0  # sampling at which bodies and shadows are drawn before they are averaged into coarse cells
SUN_MIN_DEG = 8.0  # lower suns are drawn as if they stood here, so that shadows stay finite

# Share of the light that still reaches the ground in the shadow of a car, order of `kinds.BANDS`: sky light, strong
# in blue and nearly none in the short-wave infrared (order of magnitude; drawn anew for each simulated look).
SHADE = (0.34, 0.26, 0.20, 0.14, 0.07, 0.05)
# Modulation at Nyquist of the 10 m bands of Sentinel-2 is 0.15 to 0.30 (Gascon et al. 2017, doi 10.3390/rs9060584):
# a Gaussian of half a pixel, the detector's aperture included.
PSF_SIGMA_PX = 0.52
SWIR_FROM = 4  # place in `kinds.BANDS` of the first short-wave infrared band: pixels of 20 m on Sentinel-2
NATIVE_SWIR_M = 20.0


@dataclass(frozen=True, eq=False)
class CarCover:
    """Shares of each cell of a grid; all shapes (rows, columns) but `paint`."""

    roof: NDArray[np.float32]  # share of the cell under car bodies, 0..1
    shade: NDArray[np.float32]  # share in shadow and not under a body, 0..1
    paint: NDArray[
        np.float32
    ]  # (6, rows, columns) sum over bodies of share times reflectance, order of `kinds.BANDS`


def shadow_vector(height_m: float, sun_elevation_deg: float, sun_azimuth_deg: float) -> tuple[float, float]:
    """Return (east, north) metres from a top of `height_m` to the end of its shadow on level ground."""
    length = height_m / np.tan(np.deg2rad(max(sun_elevation_deg, SUN_MIN_DEG)))
    azimuth = np.deg2rad(sun_azimuth_deg)
    return float(-length * np.sin(azimuth)), float(-length * np.cos(azimuth))


def cast_shadow(footprint: Polygon, height_m: float, sun_elevation_deg: float, sun_azimuth_deg: float) -> Polygon:
    """Return the ground that an upright convex body shades, its own footprint included, metres."""
    east, north = shadow_vector(height_m, sun_elevation_deg, sun_azimuth_deg)
    hull = unary_union([footprint, translate(footprint, east, north)]).convex_hull
    return hull if isinstance(hull, Polygon) else footprint


def cover(
    cars: Sequence[PlacedCar],
    grid: Grid,
    sun_elevation_deg: float,
    sun_azimuth_deg: float,
    *,
    psf_sigma_px: float = 0.0,
    shift_m: tuple[float, float] = (0.0, 0.0),
) -> CarCover:
    """Return how cars and their shadows fill the cells of a grid.

    Parameters
    ----------
    cars : sequence of PlacedCar
    grid : Grid
        In the cars' CRS; its cells are averages of a raster of 1 m.
    sun_elevation_deg, sun_azimuth_deg : float
        Degrees; azimuth clockwise from north.
    psf_sigma_px : float
        Gaussian point spread to apply, cells; 0 leaves plain cell averages.
    shift_m : (float, float)
        (east, north) metres by which the cars are moved before they are drawn.
    """
    out = np.zeros((8, *grid.shape), dtype=np.float32)
    sun = sun_elevation_deg, sun_azimuth_deg
    drawn = _drawn(cars, grid, sun, shift_m, 1 + int(np.ceil(4 * psf_sigma_px)))
    if drawn is not None:
        top, left, cells = drawn
        out[:, top : top + cells.shape[1], left : left + cells.shape[2]] = cells
    if psf_sigma_px > 0:
        out = gaussian_filter(out, (0, psf_sigma_px, psf_sigma_px))
    return CarCover(out[0], out[1], out[2:])


def psf_of(band: int, gsd_m: float) -> float:
    """Return the point spread, pixels, of a band (place in `kinds.BANDS`) on a grid of `gsd_m`, aperture included.

    On a grid finer than 20 m the short-wave infrared bands are resampled from pixels of 20 m.
    """
    wide = band >= SWIR_FROM and gsd_m < NATIVE_SWIR_M
    return PSF_SIGMA_PX * (NATIVE_SWIR_M / gsd_m if wide else 1.0)


def psf_in_cells(band: int, gsd_m: float, cells: int) -> float:
    """Return by how many cells an image of `cells` across a pixel is blurred before it is averaged over pixels.

    The mean over a pixel is itself a blur, by a box one pixel wide, whose variance is 1/12.
    """
    return cells * float(np.sqrt(psf_of(band, gsd_m) ** 2 - 1.0 / 12.0))


@dataclass(frozen=True, eq=False)
class CarChange:
    """What cars do to each band as its detector sees it: reflectance becomes ``ground * (1 - lost) + paint``."""

    lost: NDArray[np.float32]  # (6, rows, columns) share of the ground's light lost, order of `kinds.BANDS`
    paint: NDArray[np.float32]  # (6, rows, columns) reflectance added
    roof: NDArray[np.float32]  # (rows, columns) share under car bodies, spread as the first band is


def changes_by_cars(
    cars: Sequence[PlacedCar],
    grid: Grid,
    sun: tuple[float, float],
    *,
    shade: Sequence[float] = SHADE,
    shift_m: tuple[float, float] = (0.0, 0.0),
) -> CarChange:
    """Return what cars do to the pixels of a grid.

    They are drawn on cells of half a pixel and blurred there: a point spread of half a pixel sampled at whole pixels
    would lose a third of its variance.

    Parameters
    ----------
    cars : sequence of PlacedCar
    grid : Grid
    sun : (float, float)
        Elevation and azimuth, degrees.
    shade : sequence of float
        Share of light left in shadow, order of `kinds.BANDS`.
    shift_m : (float, float)
        (east, north) metres by which the cars are moved.
    """
    a, _, west, _, e, north = grid.transform
    half = Grid(grid.crs, (a / 2, 0.0, west, 0.0, e / 2, north), 2 * grid.width, 2 * grid.height)
    drawn = _drawn(cars, half, sun, shift_m, 2 * int(np.ceil(4 * psf_of(SWIR_FROM, grid.gsd_m))) + 2)
    out = np.zeros((13, *grid.shape), dtype=np.float32)
    if drawn is None:
        return CarChange(out[:6], out[6:12], out[12])
    top, left, cells = drawn
    window = (
        slice(top // 2, top // 2 + cells.shape[1] // 2),
        slice(left // 2, left // 2 + cells.shape[2] // 2),
    )
    spread: dict[float, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    for band in range(len(shade)):
        sigma = psf_in_cells(band, grid.gsd_m, 2)
        if sigma not in spread:
            spread[sigma] = (
                _mean(gaussian_filter(cells[0], sigma), 2),
                _mean(gaussian_filter(cells[1], sigma), 2),
            )
        roof, dark = spread[sigma]
        out[band][window] = roof + dark * np.float32(1.0 - shade[band])
        out[6 + band][window] = _mean(gaussian_filter(cells[2 + band], sigma), 2)
        if band == 0:
            out[12][window] = roof
    return CarChange(out[:6], out[6:12], out[12])


def _drawn(
    cars: Sequence[PlacedCar], grid: Grid, sun: tuple[float, float], shift_m: tuple[float, float], pad: int
) -> tuple[int, int, NDArray[np.float32]] | None:
    """Draw cars and shadows on the part of a grid that they lie in; None where they all stand outside.

    A roof is as high as its neighbour's, so that shadows fall on the ground between trains, not on roofs.

    Returns
    -------
    top, left : int
        Upper left cell of that part, even numbers.
    cells : array of shape (8, rows, columns)
        Roof, shade and six bands of paint; even numbers of rows and columns where the grid has them.
    """
    if not cars:
        return None
    bodies, shadows = _outlines(cars, sun, shift_m)
    west, south, east, north = shapely.total_bounds(shadows)
    (col0, col1), (row0, row1) = grid.to_pixel(np.array([west, east]), np.array([north, south]))
    left, top = max(int(np.floor(col0)) - pad, 0) // 2 * 2, max(int(np.floor(row0)) - pad, 0) // 2 * 2
    right = min(-(-(int(np.ceil(col1)) + pad) // 2) * 2, grid.width)
    bottom = min(-(-(int(np.ceil(row1)) + pad) // 2) * 2, grid.height)
    if right <= left or bottom <= top:
        return None
    step = max(round(grid.gsd_m / FINE_M), 1)
    x, y = grid.to_xy(left, top)
    fine = grid.gsd_m / step
    affine = Affine(fine, 0, float(x), 0, -fine, float(y))
    rows, cols = bottom - top, right - left
    shape = (rows * step, cols * step)
    index = rasterize(
        zip(_rings(bodies), range(1, len(bodies) + 1), strict=True),
        out_shape=shape, transform=affine, fill=0, dtype="int32",
    )  # fmt: skip
    dark = rasterize(_rings(shadows), out_shape=shape, transform=affine, fill=0, default_value=1, dtype="uint8")
    at = np.flatnonzero((dark > 0) | (index > 0))  # few: railcars cover a small part of a yard
    cell = at // shape[1] // step * cols + at % shape[1] // step
    owner = index.ravel()[at]
    under = owner > 0
    colours = np.array([car.colour for car in cars])
    weights = [under, ~under, *(np.where(under, colours[owner - 1, band], 0.0) for band in range(6))]
    made = [np.bincount(cell, weights=weight, minlength=rows * cols) for weight in weights]
    return top, left, (np.stack(made) / step**2).astype(np.float32).reshape(8, rows, cols)


def _rings(polygons: NDArray[np.object_]) -> list[dict[str, object]]:
    """Return polygons without holes as GeoJSON, which takes shapely much longer one by one."""
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    parts = np.split(points, np.flatnonzero(np.diff(owner)) + 1)
    return [{"type": "Polygon", "coordinates": [part.tolist()]} for part in parts]


def add_cars(
    ground: NDArray[np.float32], cars: CarCover, bands: Sequence[int], shade: Sequence[float] = SHADE
) -> NDArray[np.float32]:
    """Return the ground with cars standing on it.

    Parameters
    ----------
    ground : array of shape (bands, rows, columns)
        Reflectance.
    cars : CarCover
        On the same grid.
    bands : sequence of int
        Index into `kinds.BANDS` of each band of `ground`.
    shade : sequence of float
        Share of light left in shadow, order of `kinds.BANDS`.
    """
    out = np.empty_like(ground)
    for place, band in enumerate(bands):
        lost = cars.roof + cars.shade * np.float32(1.0 - shade[band])
        out[place] = ground[place] * (1.0 - lost) + cars.paint[band]
    return out


def _outlines(
    cars: Sequence[PlacedCar], sun: tuple[float, float], shift_m: tuple[float, float]
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the bodies of cars and their `cast_shadow`, moved by `shift_m`; all cars at once, which is faster."""
    bodies = np.array([car.railcar.polygon for car in cars], dtype=object)
    bodies = np.asarray(shapely.transform(bodies, lambda xy: xy + np.asarray(shift_m)))
    away = np.array([shadow_vector(car.height_m, *sun) for car in cars])
    points, owner = shapely.get_coordinates(bodies, return_index=True)
    both, whose = np.concatenate([points, points + away[owner]]), np.concatenate([owner, owner])
    order = np.argsort(whose, kind="stable")
    ends = shapely.multipoints(np.asarray(shapely.points(both[order])), indices=whose[order])
    return bodies, np.asarray(shapely.convex_hull(ends))


def _mean(values: NDArray[np.generic], step: int) -> NDArray[np.float32]:
    rows, cols = values.shape
    blocks = values.reshape(rows // step, step, cols // step, step)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))
