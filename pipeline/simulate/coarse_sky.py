"""Weather and sensor of a simulated coarse look: haze, cloud and its shadow, snow, residual errors, classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.ndimage import shift as shift_image

from pipeline.simulate.coarse_world import World, smooth_noise
from pipeline.simulate.kinds import GROUNDS

# Scene classes of Sentinel-2 Level-2A (ESA, Level-2A algorithm theoretical basis document, table of classes).
SCL_NODATA, SCL_DARK, SCL_SHADOW, SCL_VEGETATION, SCL_BARE, SCL_WATER = 0, 2, 3, 4, 5, 6
SCL_UNSURE, SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS, SCL_SNOW = 7, 8, 9, 10, 11

HAZE_COLOUR = (1.0, 0.80, 0.62, 0.40, 0.15, 0.08)  # path radiance falls with the wavelength, order of kinds.BANDS
CLOUD_COLOUR = (0.62, 0.61, 0.60, 0.62, 0.48, 0.36)
SHADE_CLOUD = (0.50, 0.42, 0.36, 0.30, 0.22, 0.20)  # light left under a cloud's shadow
# Noise of one pixel, reflectance: a few counts of 10^-4 plus the part that a retrieval adds.
NOISE = (0.0016, 0.0015, 0.0016, 0.0022, 0.0022, 0.0022)


@dataclass(frozen=True, eq=False)
class Weather:
    """What lies between the ground and the sensor; (rows, columns) on the world's grid."""

    cloud: NDArray[np.float32]  # opacity, 0..1
    shadow: NDArray[np.float32]  # of clouds, 0..1
    haze: NDArray[np.float32]  # path reflectance in the blue
    snow: NDArray[np.float32]  # share of the ground covered


def draw_weather(world: World, sky: str, sun: tuple[float, float], rng: np.random.Generator) -> Weather:
    """Draw a sky.

    Parameters
    ----------
    world : World
    sky : {"clear", "cloud", "half", "snow", "haze", "shadow"}
        `half` has broken clouds, `shadow` has the shadow of a cloud on the yard and the cloud elsewhere.
    sun : (float, float)
        Elevation and azimuth, degrees.
    rng : numpy.random.Generator
    """
    shape = world.grid.shape
    none = np.zeros(shape, dtype=np.float32)
    cloud, shadow, haze, snow = none, none, none, none
    if sky == "cloud":
        cloud = np.clip(0.75 + 0.35 * smooth_noise(rng, shape, 25.0), 0.15, 1.0)
        shadow = np.clip(0.6 + 0.4 * smooth_noise(rng, shape, 25.0), 0, 1)
    elif sky in ("half", "shadow"):
        field = smooth_noise(rng, shape, 28.0)
        cut = float(np.quantile(field, rng.uniform(0.45, 0.75) if sky == "half" else 0.6))
        thick = np.clip((field - cut) / 0.35, 0, 1)
        height = rng.uniform(700, 2500)
        step = world.grid.gsd_m
        away = height / np.tan(np.deg2rad(max(sun[0], 15.0))) / step
        azimuth = np.deg2rad(sun[1])
        move = (float(away * np.cos(azimuth)), float(-away * np.sin(azimuth)))  # rows down, columns east
        shadow = np.clip(shift_image(thick, move, order=1, mode="grid-wrap"), 0, 1)
        if sky == "half":
            cloud = thick
        else:  # the cloud itself stands outside the window
            rows, cols = np.nonzero(world.yard)
            middle = (rows.mean(), cols.mean())
            top = np.unravel_index(np.argmax(shadow), shape)
            shadow = shift_image(shadow, (middle[0] - top[0], middle[1] - top[1]), order=1, mode="grid-wrap")
            shadow = np.clip(shadow * rng.uniform(0.7, 1.0), 0, 1)
    elif sky == "haze":
        level = rng.uniform(0.02, 0.07)
        haze = level * np.clip(1 + 0.5 * smooth_noise(rng, shape, 40.0), 0.1, 3)
    elif sky == "snow":
        depth = rng.uniform(0.25, 1.0)
        snow = np.clip(depth + 0.3 * smooth_noise(rng, shape, 6.0) - 0.35 * world.yard, 0, 1)
    out = [np.asarray(field, dtype=np.float32) for field in (cloud, shadow, haze, snow)]
    return Weather(out[0], out[1], out[2], out[3])


def lay_snow(ground: NDArray[np.float32], snow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the ground (6, rows, columns) with a share of it under snow."""
    white = np.array(GROUNDS["snow"], dtype=np.float32)[:, None, None]
    return np.asarray(ground * (1 - snow) + 0.85 * white * snow, dtype=np.float32)


def shine_through(
    ground: NDArray[np.float32], weather: Weather, rng: np.random.Generator, *, residual: float = 1.0
) -> NDArray[np.float32]:
    """Return surface reflectance as a processor would retrieve it through this sky.

    Parameters
    ----------
    ground : array of shape (6, rows, columns)
    weather : Weather
    rng : numpy.random.Generator
    residual : float
        Scale of what atmospheric correction leaves: gain errors of 2.5 %, offsets of 0.003 falling with the
        wavelength (Doxani et al. 2018, doi 10.3390/rs10020352, give 0.005 to 0.02 as overall uncertainty), and a
        smooth gradient over the window.
    """
    shape = ground.shape[1:]
    gain = 1 + residual * (rng.normal(0, 0.02) + rng.normal(0, 0.012, 6))
    offset = residual * rng.normal(0, 0.003) * np.array(HAZE_COLOUR) + residual * rng.normal(0, 0.0008, 6)
    drift = residual * 0.0012 * smooth_noise(rng, shape, 60.0)
    out = np.empty_like(ground)
    for band in range(6):
        lit = 1 - weather.shadow * (1 - SHADE_CLOUD[band])
        value = ground[band] * lit * np.float32(gain[band]) + np.float32(offset[band])
        value = value + (drift + weather.haze * (1 - 2.0 * ground[band])) * np.float32(HAZE_COLOUR[band])
        out[band] = value * (1 - weather.cloud) + np.float32(CLOUD_COLOUR[band]) * weather.cloud
    return out


def classify(
    values: NDArray[np.float32],
    cloud: NDArray[np.float32],
    shadow: NDArray[np.float32],
    snow: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return a scene classification with the errors that real ones have.

    Thin cloud and cloud edges are missed, most light shadow is missed, a few bright roofs are called cloud.

    Parameters
    ----------
    values : array of shape (6, rows, columns)
        Reflectance at 10 m, order of `kinds.BANDS`.
    cloud, shadow, snow : arrays of shape (rows, columns)
        Shares at 10 m.
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (rows, columns), uint8
    """
    _, _, red, nir, swir, _ = values
    ndvi = (nir - red) / np.maximum(nir + red, 1e-3)
    out = np.full(red.shape, SCL_BARE, dtype=np.uint8)
    out[ndvi > 0.4] = SCL_VEGETATION
    out[(nir < 0.05) & (swir < 0.05)] = SCL_WATER
    wobble = 0.08 * gaussian_filter(rng.standard_normal(red.shape), 2.0)
    missing = rng.random() < 0.45  # in so many scenes shadow detection fails as a whole
    if not missing:
        out[(shadow + wobble) > 0.55] = SCL_SHADOW
    out[snow > 0.45] = SCL_SNOW
    out[cloud > 0.25 + wobble] = SCL_CLOUD_MEDIUM
    out[binary_dilation(cloud > 0.6 + wobble, iterations=1)] = SCL_CLOUD_HIGH
    bright = (values[0] > 0.42) & (rng.random(red.shape) < 0.6)
    out[bright & (out == SCL_BARE)] = SCL_CLOUD_MEDIUM
    return out


def add_noise(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return reflectance (6, rows, columns) with detector and retrieval noise."""
    noise = rng.standard_normal(values.shape).astype(np.float32)
    sigma = np.array(NOISE, dtype=np.float32)[:, None, None]
    return np.asarray(values + noise * sigma * np.sqrt(0.5 + np.clip(values, 0, 1) / 0.3), dtype=np.float32)
