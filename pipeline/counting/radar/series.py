"""Brightness of the yard in one relative orbit, look by look, against controls off the yard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import binary_dilation, gaussian_filter
from shapely.ops import unary_union

from pipeline.model import BoolArray, FloatArray, Grid, Look, Site

POLARISATIONS = ("vv", "vh")
HALF_WIDTH_M = 4.0  # of a track's strip: a car, its foot and its layover
KEEP_OFF_M = 45.0  # controls stay so far from any track: twice the resolution
CONTROL_REACH_M = 900.0  # and not farther than this, so that weather and incidence are alike
MAX_CONTROLS = 40


@dataclass(frozen=True, eq=False)
class YardSeries:
    """The yard's relative change in every look of one orbit; the last one is the look to be counted."""

    change: FloatArray  # (polarisations, looks): brightness over the past's mean and the controls' gain, minus 1
    noise: FloatArray  # (polarisations,): standard deviation of the same for empty ground, from controls and past
    controls: FloatArray  # (polarisations, control patches): change of each in the last look
    share: float  # mean weight on track pixels: how much of a car's return the weights keep
    area_px: float  # sum of the weights
    polarisations: tuple[str, ...]


def yard_weights(site: Site, look: Look, grid: Grid) -> FloatArray:
    """Return the share of each pixel under track strips, softened by the sensor's resolution, (rows, columns)."""
    day = look.scene.observed_at.date()
    tracks = site.tracks_on(day)
    if not tracks:
        return np.zeros(grid.shape)
    step = max(round(grid.gsd_m / 2.5), 1)
    a, b, c, d, e, f = grid.transform
    strip = unary_union([track.line for track in tracks]).buffer(HALF_WIDTH_M)
    for zone in (*site.zones_on(day, "canopy"), *site.zones_on(day, "ignore")):
        strip = strip.difference(zone.area)
    if strip.is_empty:
        return np.zeros(grid.shape)
    fine = rasterize(
        [(strip, 1)],
        out_shape=(grid.height * step, grid.width * step),
        transform=Affine(a / step, b, c, d, e / step, f),
        dtype="uint8",
    )
    share = fine.reshape(grid.height, step, grid.width, step).mean(axis=(1, 3))
    soft = gaussian_filter(share, 8.0 / grid.gsd_m)
    return np.asarray(np.where(soft > 0.05, soft, 0.0))


def yard_series(look: Look, past: Sequence[Look], weights: FloatArray) -> YardSeries:
    """Measure the yard in every look of one orbit and platform.

    Each look is divided by its gain, the ratio of controls to their past mean; the yard's weighted brightness is
    then compared with its own past mean. Patches of the yard's own shape, laid off the yard, are measured alike:
    their scatter is the noise of empty ground, speckle, moisture and season together.

    Parameters
    ----------
    look : Look
        The look to be counted, gamma0 in linear power.
    past : sequence of Look
        Earlier looks of the same platform, relative orbit and grid.
    weights : array of shape (rows, columns)
        As of `yard_weights`, positive somewhere.

    Returns
    -------
    YardSeries
    """
    names = tuple(name for name in POLARISATIONS if all(name in one.bands for one in (look, *past)))
    near = weights > 0
    gsd = look.grid.gsd_m
    keep_off = binary_dilation(near, iterations=max(round(KEEP_OFF_M / gsd), 1))
    reach = binary_dilation(near, iterations=max(round(CONTROL_REACH_M / gsd), 2))
    patches = _patches(weights, keep_off)
    change, noise, last = [], [], []
    for name in names:
        stack = np.stack([one.band(name) for one in (*past, look)]).astype(np.float64)
        usable = np.stack([one.clear for one in (*past, look)]) & np.isfinite(stack) & (stack > 0)
        stack = np.where(usable, stack, np.nan)
        count = np.maximum(usable[:-1].sum(axis=0), 1)
        mean = np.where(usable[:-1].any(axis=0), np.nansum(stack[:-1], axis=0) / count, np.nan)
        ground = reach & ~keep_off & np.isfinite(mean)
        stable = _stable(stack[:-1], mean, ground)
        gain = np.array([_ratio(image, mean, stable.astype(float)) for image in stack])
        gain = np.where(np.isfinite(gain) & (gain > 0), gain, 1.0)
        yard = np.array([_ratio(i / g, mean, weights) for i, g in zip(stack, gain, strict=True)]) - 1.0
        empty = [
            np.array([_ratio(i / g, mean, patch) for i, g in zip(stack, gain, strict=True)]) - 1.0 for patch in patches
        ]
        change.append(yard)
        noise.append(_noise(yard[:-1], [patch[:-1] for patch in empty], mean, weights, len(past)))
        last.append([float(patch[-1]) for patch in empty])
    total = float(weights.sum())
    return YardSeries(
        np.array(change), np.array(noise), np.array(last), float((weights**2).sum() / total), total, names
    )


def _ratio(image: FloatArray, mean: FloatArray, weights: FloatArray) -> float:
    good = np.isfinite(image) & np.isfinite(mean) & (weights > 0)
    below = float((weights[good] * mean[good]).sum())
    return float((weights[good] * image[good]).sum()) / below if below > 0 else float("nan")


def _stable(stack: FloatArray, mean: FloatArray, ground: BoolArray) -> BoolArray:
    """Return the control pixels of ordinary brightness: no buildings that flash, no water, no worked fields."""
    if not ground.any():
        return ground
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.nanstd(np.where(ground, stack, np.nan)[:, ground] / mean[ground], axis=0)
    level = mean[ground]
    low, high = np.nanquantile(level, [0.1, 0.9])
    chosen = (level >= low) & (level <= high) & (spread <= np.nanmedian(spread))
    out = np.zeros_like(ground)
    out[ground] = chosen
    return out


def _patches(weights: FloatArray, keep_off: BoolArray) -> list[NDArray[np.float64]]:
    """Return the yard's weights moved to places off the yard, at most `MAX_CONTROLS`, in a fixed order."""
    rows, cols = np.nonzero(weights > 0)
    height, width = weights.shape
    made: list[NDArray[np.float64]] = []
    step_r, step_c = max((np.ptp(rows) + 1) // 2, 3), max((np.ptp(cols) + 1) // 4, 3)
    for dr in range(-height, height, int(step_r)):
        for dc in range(-width, width, int(step_c)):
            r, c = rows + dr, cols + dc
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            if inside.mean() < 0.8 or keep_off[r[inside], c[inside]].mean() > 0.02:
                continue
            patch = np.zeros_like(weights)
            patch[r[inside], c[inside]] = weights[rows[inside], cols[inside]]
            patch[keep_off] = 0.0
            made.append(patch)
    skip = max(int(np.ceil(len(made) / MAX_CONTROLS)), 1)
    return made[::skip]


def _noise(
    yard: FloatArray, empty: Sequence[FloatArray], mean: FloatArray, weights: FloatArray, looks: int
) -> float:
    """Return the standard deviation of one look's change over empty ground.

    The yard's own past holds cars too, so its scatter is an upper bound; the controls' median is the estimate.
    """
    unbias = np.sqrt(looks / max(looks - 1.0, 1.0))
    own = _spread(yard) * unbias
    if len(empty) < 3:
        return max(own, 1e-3)
    off = float(np.median([_spread(series) for series in empty])) * unbias
    return max(min(own, off), 0.25 * off, 1e-3)


def _spread(values: FloatArray) -> float:
    """Return a standard deviation, as the mean of the plain and the robust one."""
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return float("inf")
    robust = 1.4826 * float(np.median(np.abs(finite - np.median(finite))))
    return 0.5 * (robust + float(finite.std()))
