"""Which pixels show the ground: cloud masks of the products, mended where they are known to be wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.model import BoolArray, Grid

# Scene classes of Sentinel-2 L2A (Sen2Cor): 0 no data, 1 saturated or defective, 3 cloud shadow, 8 and 9 cloud,
# 10 thin cirrus, 11 snow.
S2_NO_DATA, S2_SHADOW, S2_CLOUDS, S2_SNOW = (0, 1), 3, (8, 9, 10), 11
# Lower byte of Landsat Collection 2 QA_PIXEL (USGS LSDS-1619): bit 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud,
# 4 cloud shadow, 5 snow.
LANDSAT_FILL, LANDSAT_CLOUD, LANDSAT_SNOW = 0b1, 0b11110, 0b100000
CLOUD_MIN_BLUE = 0.10  # reflectance; no water cloud over land is darker
SNOW_NDSI, SNOW_MAX_SWIR = 0.55, 0.15  # snow absorbs at 1.6 um, water cloud does not (Dozier 1989)
ROOF_MAX_M2 = 4000.0  # a lone bright patch no larger than this is a roof or a heap of ballast, not a cloud
ROOF_ALONE_M = 250.0  # alone: no other cloud or shadow so near


def clear_s2(
    classes: NDArray[np.uint8], values: NDArray[np.float32], bands: tuple[str, ...], grid: Grid, grow_m: float
) -> BoolArray:
    """Return the usable pixels of a Sentinel-2 look, True = neither cloud, shadow nor defective.

    The product's classes are taken, except where pixels contradict them: a "cloud" darker in blue than any cloud,
    one with the spectrum of snow, and a lone patch of a roof's size without shadow or other cloud about it.

    Parameters
    ----------
    classes : array of uint8, (rows, columns)
        SCL.
    values : array of float32, (bands, rows, columns)
        Reflectance, nan where invalid.
    bands : tuple of str
    grid : Grid
    grow_m : float
        The mask of clouds and shadows is grown by so much, metres.
    """
    cloud = np.isin(classes, S2_CLOUDS)
    shadow = classes == S2_SHADOW
    blue = _band(values, bands, "blue")
    green, swir = _band(values, bands, "green"), _band(values, bands, "swir16")
    thick = cloud & (classes != 10)
    if blue is not None:
        # Cirrus is no water cloud: it may be thinner than this and still hide cars.
        cloud &= ~(thick & (blue < CLOUD_MIN_BLUE))
    if green is not None and swir is not None:
        cloud &= ~(thick & (ndsi(green, swir) > SNOW_NDSI) & (swir < SNOW_MAX_SWIR))
    cloud = _without_roofs(cloud, shadow, grid)
    hidden = _grown(cloud | shadow, grid, grow_m) | np.isin(classes, S2_NO_DATA)
    out: BoolArray = ~hidden
    return out


def clear_landsat(classes: NDArray[np.uint8], grid: Grid, grow_m: float) -> BoolArray:
    """Return the usable pixels of a Landsat look from the lower byte of QA_PIXEL."""
    cloud = (classes & LANDSAT_CLOUD) > 0
    out: BoolArray = ~(_grown(cloud, grid, grow_m) | ((classes & LANDSAT_FILL) > 0))
    return out


def ndsi(green: NDArray[np.float32], swir: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the normalised difference snow index (Hall et al. 1995, doi:10.1016/0034-4257(95)00137-P)."""
    total = green + swir
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(np.abs(total) > 1e-6, (green - swir) / total, np.nan)
    out: NDArray[np.float32] = np.clip(index, -1.0, 1.0).astype(np.float32)
    return out


def _without_roofs(cloud: BoolArray, shadow: BoolArray, grid: Grid) -> BoolArray:
    labels, count = ndimage.label(cloud, structure=np.ones((3, 3)))
    if not count:
        return cloud
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    small = np.flatnonzero(sizes * grid.gsd_m**2 <= ROOF_MAX_M2)
    small = small[small > 0]
    # What stands for weather: shadows, and clouds too large for a roof. Two roofs do not make a cloud.
    weather = shadow | (cloud & ~np.isin(labels, small))
    if not weather.any():
        return cloud & ~np.isin(labels, small)
    distance = ndimage.distance_transform_edt(~weather) * grid.gsd_m
    nearest = ndimage.minimum(distance, labels, small) if small.size else np.array([])
    alone = small[np.asarray(nearest) > ROOF_ALONE_M]
    out: BoolArray = cloud & ~np.isin(labels, alone)
    return out


def _grown(mask: BoolArray, grid: Grid, by_m: float) -> BoolArray:
    if by_m <= 0 or not mask.any():
        return mask
    out: BoolArray = ndimage.distance_transform_edt(~mask) * grid.gsd_m <= by_m
    return out


def _band(values: NDArray[np.float32], bands: tuple[str, ...], name: str) -> NDArray[np.float32] | None:
    if name not in bands:
        return None
    out: NDArray[np.float32] = values[bands.index(name)]
    return out
