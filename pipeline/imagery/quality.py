"""A chip becomes a look: values, clear pixels, and what stands against counting it. One chip, no history."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from pipeline.config.schema import QualitySettings
from pipeline.flags import canonical
from pipeline.imagery.clear import LANDSAT_SNOW, S2_SNOW, clear_landsat, clear_s2, ndsi
from pipeline.imagery.radiometry import to_values
from pipeline.model import BoolArray, Chip, Grid, Look, Site

TRACK_HALF_M = 5.0  # a railcar is 3 m wide, and a track line of OpenStreetMap is right to a few metres
SNOW_SHARE = 0.5  # of the track area in the product's own snow class, where there is no short-wave infrared


def look_at(chip: Chip, site: Site, settings: QualitySettings) -> Look:
    """Judge one chip by itself.

    Parameters
    ----------
    chip : Chip
    site : Site
    settings : QualitySettings

    Returns
    -------
    Look
        Its flags say what was found; `detail` is a sentence for each flag that rejects it. `clear_fraction` is of
        the pixels within a few metres of the tracks that exist on the day, those outside the image included.
    """
    day = chip.scene.observed_at.date()
    values, verdict = to_values(chip)
    area, inside = track_area(site, chip.grid, day)
    clear = chip.valid & np.isfinite(values).all(axis=0)
    clear &= _clear(chip, values, settings)
    flags = set(verdict.flags)
    said: list[str] = []
    measures = dict(verdict.measures)
    if any(asset.calibration == "" for item in chip.scene.items for asset in item.assets):
        flags.add("RADAR_UNCALIBRATED")
    if chip.scene.date_uncertain:
        flags.add("DATE_UNCERTAIN")
    if any(track.provisional for track in site.tracks_on(day)):
        flags.add("TRACKS_PROVISIONAL")
    if site.zones_on(day, "canopy"):
        flags.add("CANOPY")
    seen = area & chip.valid
    fraction = float((area & clear).sum()) / float(area.sum()) * inside if area.any() else 0.0
    if not area.any():
        flags.add("TRACKS_OUTSIDE")
        said.append(f"No track of {site.name} that exists on {day} lies inside the image.")
    elif not seen.any():
        flags.add("NO_DATA")
        said.append("The image holds no valid pixel over the track area.")
    elif _constant(chip.values[:, seen]):
        flags.add("CONSTANT_IMAGE")
        said.append("The image is constant over the track area; it shows nothing.")
    elif fraction < settings.min_clear_fraction:
        flags.add("CLOUDY")
        said.append(
            f"Only {100 * fraction:.1f} % of the track area was clear; the limit is "
            f"{100 * settings.min_clear_fraction:.0f} %."
        )
    elif fraction < settings.partly_clear_below:
        flags.add("PARTLY_CLEAR")
    snow = _snow(chip, values, area & clear)
    if snow is not None:
        name, figure, limit = snow[0], snow[1], settings.snow_ndsi if snow[0] == "ndsi" else SNOW_SHARE
        measures[name] = round(figure, 4)
        if figure > limit:
            flags.add("SNOW")
            said.append(f"Snow lies on the tracks ({name} {figure:.2f}, limit {limit:.2f}).")
    if verdict.detail:
        said.append(verdict.detail)
    return Look(
        site=chip.site,
        scene=chip.scene,
        grid=chip.grid,
        bands=chip.bands,
        values=values,
        clear=clear,
        clear_fraction=round(fraction, 6),
        flags=canonical(flags),
        measures=dict(sorted(measures.items())),
        detail=" ".join(said),
    )


def track_area(site: Site, grid: Grid, day: date) -> tuple[BoolArray, float]:
    """Return the pixels of the track area, and how much of the tracks lies on the grid.

    Parameters
    ----------
    site : Site
    grid : Grid
    day : date
        Tracks and canopies in force on it.

    Returns
    -------
    area : array of bool, (rows, columns)
        True within a few metres of a track and not under a canopy.
    inside : float
        Share of the tracks' length that lies on the grid, 0..1.
    """
    canopies = [zone.area for zone in site.zones_on(day, "canopy")]
    lines: list[BaseGeometry] = [track.line for track in site.tracks_on(day)]
    for canopy in canopies:
        lines = [line.difference(canopy) for line in lines]
    total = sum(line.length for line in lines)
    if total <= 0:
        return np.zeros(grid.shape, dtype=bool), 0.0
    frame = box(*grid.bounds)
    share = sum(line.intersection(frame).length for line in lines) / total
    reach = max(TRACK_HALF_M, 0.6 * grid.gsd_m)
    shapes = [line.buffer(reach, cap_style="flat") for line in lines if not line.is_empty]
    area = rasterize(shapes, out_shape=grid.shape, transform=Affine(*grid.transform), fill=0, dtype="uint8") > 0
    return area, min(share, 1.0)


def _clear(chip: Chip, values: NDArray[np.float32], settings: QualitySettings) -> BoolArray:
    if chip.classes is None:
        return np.ones(chip.grid.shape, dtype=bool)
    if chip.scene.sensor == "sentinel-2":
        return clear_s2(chip.classes, values, chip.bands, chip.grid, settings.cloud_dilate_m)
    if chip.scene.sensor == "landsat":
        return clear_landsat(chip.classes, chip.grid, settings.cloud_dilate_m)
    return np.ones(chip.grid.shape, dtype=bool)


def _constant(seen: NDArray[np.generic]) -> bool:
    return bool(seen.shape[1] > 1 and all(band.min() == band.max() for band in seen))


def _snow(chip: Chip, values: NDArray[np.float32], where: BoolArray) -> tuple[str, float] | None:
    """Return a measure of snow over clear track pixels: NDSI, or the share of the product's snow class."""
    if not where.any() or chip.scene.sensor not in ("sentinel-2", "landsat"):
        return None
    if "green" in chip.bands and "swir16" in chip.bands:
        green, swir = (values[chip.bands.index(name)][where] for name in ("green", "swir16"))
        index = ndsi(green, swir)
        return ("ndsi", float(np.nanmedian(index))) if np.isfinite(index).any() else None
    if chip.classes is None:
        return None
    classes = chip.classes[where]
    snow = classes == S2_SNOW if chip.scene.sensor == "sentinel-2" else (classes & LANDSAT_SNOW) > 0
    return "snow_share", float(snow.mean())
