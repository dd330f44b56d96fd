"""Brightness of the yard in one relative orbit, look by look, against controls off the yard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import binary_dilation, gaussian_filter, uniform_filter
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from pipeline.model import BoolArray, FloatArray, Grid, Look, Site

POLARISATIONS = ("vv", "vh")
HALF_WIDTH_M = 4.0  # of a track's strip: a car, its foot and its layover
KEEP_OFF_M = 45.0  # controls stay so far from any track: twice the resolution
CONTROL_REACH_M = 900.0  # and not farther than this, so that weather and incidence are alike
MAX_CONTROLS = 40
RIDGE = 0.4  # how strongly a place may follow plants and fields, standard deviation
SEASON_SD = 0.1  # of the yard's own yearly swing, logarithm of power (0.4 dB)
SIX = 6
POOLED_LEAST = 0.5  # six passes share some of the yard's own moisture and season, which patches cannot show
LIVELY_PX = 5  # side of the mean on which liveliness is judged
Place = tuple[NDArray[np.intp], FloatArray]  # flat pixel indices and their weights


@dataclass(frozen=True, eq=False)
class YardSeries:
    """The yard's relative change in every look of one orbit; the last one is the look to be counted."""

    change: FloatArray  # (polarisations, looks): brightness over the past's mean and the controls' gain, minus 1
    empty_noise: FloatArray  # (polarisations,): its standard deviation on patches off the yard, NaN with fewer than 3
    own_noise: FloatArray  # (polarisations,): of the yard itself in its quieter half, cars that come and go included
    pooling: float  # noise of the mean of six passes over that of one, on the same patches
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
    strip: BaseGeometry = unary_union([track.line for track in tracks]).buffer(HALF_WIDTH_M)
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

    The yard's weighted brightness is compared with its own past mean, and what moisture and season do to the
    controls is taken out. Patches of the yard's own shape, laid off the yard, are measured alike: their scatter is
    the noise of empty ground, speckle, moisture and season together.

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
    clear = np.stack([one.clear for one in (*past, look)])
    year = 2 * np.pi * np.array([one.scene.observed_at.timetuple().tm_yday for one in (*past, look)]) / 365.25
    change, empty_noise, own_noise, pooled = [], [], [], []
    for name in names:
        stack = np.stack([one.band(name) for one in (*past, look)]).astype(np.float64)
        stack[~(clear & np.isfinite(stack) & (stack > 0))] = np.nan
        mean = _past_mean(stack[:-1])
        weather = _weather(stack, mean, reach & ~keep_off & np.isfinite(mean), year)
        inside = np.flatnonzero(near)
        yard = _calmed(_ratios(stack, mean, (inside, weights.ravel()[inside])), weather)
        empty = [_calmed(_ratios(stack, mean, patch), weather)[:-1] for patch in patches]
        change.append(yard)
        empty_noise.append(float(np.median([_spread(e) for e in empty])) if len(empty) >= 3 else np.nan)
        own_noise.append(_half_width(yard[:-1]))
        pooled.append(_pooling(empty))
    total = float(weights.sum())
    return YardSeries(
        np.array(change),
        np.array(empty_noise),
        np.array(own_noise),
        max(pooled, default=1.0),
        float((weights**2).sum() / total),
        total,
        names,
    )


def _past_mean(stack: FloatArray) -> FloatArray:
    """Return the mean over looks, NaN where fewer than half of them saw the pixel."""
    seen = np.isfinite(stack).sum(axis=0)
    total = np.nansum(stack, axis=0)
    return np.asarray(np.where(seen * 2 >= len(stack), total / np.maximum(seen, 1), np.nan))


def _ratios(stack: FloatArray, mean: FloatArray, place: Place) -> FloatArray:
    """Return, for each look, weighted brightness over that of the mean on the same usable pixels, (looks,)."""
    index, weight = place
    images, past = stack.reshape(len(stack), -1)[:, index], mean.ravel()[index]
    good = np.isfinite(images) & np.isfinite(past)
    above = np.where(good, images, 0.0) @ weight
    below = np.where(good, past, 0.0) @ weight
    return np.asarray(np.divide(above, below, out=np.full(len(stack), np.nan), where=below > 0))


def _weather(stack: FloatArray, mean: FloatArray, ground: BoolArray, year: FloatArray) -> FloatArray:
    """Return what the ground off the yard does from look to look, (looks, 4), logarithms.

    The first column is the calm half of the controls (moisture, calibration), the second by how much the liveliest
    quarter (plants, worked fields) departs from it, the last two are the year's harmonic. Liveliness is judged on
    the mean of 5 by 5 pixels, below which speckle hides it; the brightest and darkest tenth, buildings and water,
    are left out of both.
    """
    looks = len(stack)
    if ground.sum() < 50:
        return np.column_stack([np.zeros((looks, 2)), np.cos(year), np.sin(year)])
    relative = np.where(ground, stack / np.where(ground, mean, 1.0), np.nan)[:-1].astype(np.float32)
    finite = np.isfinite(relative)
    side = (1, LIVELY_PX, LIVELY_PX)
    # Liveliness is the past's alone. The median is of every fourth pixel, whose windows overlap anyway.
    smooth = uniform_filter(np.where(finite, relative, np.float32(0)), side)
    smooth = (smooth / np.maximum(uniform_filter(finite.astype(np.float32), side), np.float32(1e-3)))[:, ground]
    smooth /= np.median(smooth[:, ::4], axis=1)[:, None]
    lively = smooth.std(axis=0)
    level = mean[ground]
    ordinary = (level >= np.quantile(level, 0.1)) & (level <= np.quantile(level, 0.9))
    low, high = np.quantile(lively[ordinary], [0.5, 0.75])
    index = np.flatnonzero(ground)
    columns = []
    for chosen in (index[ordinary & (lively <= low)], index[ordinary & (lively >= high)]):
        gain = _ratios(stack, mean, (chosen, np.ones(chosen.size)))
        columns.append(np.log(np.where(np.isfinite(gain) & (gain > 0), gain, 1.0)))
    return np.column_stack([columns[0], columns[1] - columns[0], np.cos(year), np.sin(year)])


def _calmed(ratio: FloatArray, weather: FloatArray) -> FloatArray:
    """Return the relative change of a place with the weather's part taken out, (looks,).

    The calm controls' change is calibration and rain, and is taken out whole. How strongly a place follows plants
    and fields is fitted to its past alone, by a ridge about "not at all", with little weight on bright outliers,
    which are cars.
    """
    log = np.log(np.where(np.isfinite(ratio) & (ratio > 0), ratio, np.nan))
    past = np.isfinite(log[:-1])
    if past.sum() < 4:
        return np.asarray(np.exp(log - weather[:, 0]) - 1.0)
    y = (log[:-1] - weather[:-1, 0])[past]
    x = np.column_stack([np.ones(y.size), weather[:-1, 1:][past]])
    precision = np.diag([1e-6, 1 / RIDGE**2, 1 / SEASON_SD**2, 1 / SEASON_SD**2])
    beta: FloatArray = np.zeros(4)
    weight, sigma = np.ones(y.size), 1.0
    for _ in range(6):
        rest = y - x @ beta
        middle = float(np.median(rest))
        sigma = max(1.4826 * float(np.median(np.abs(rest - middle))), 1e-4)
        z = (rest - middle) / sigma
        weight = np.where(z > 1.0, 1.0 / np.maximum(z, 1e-9), np.where(z < -2.0, 2.0 / np.maximum(-z, 1e-9), 1.0))
        beta = np.linalg.solve((x.T * weight) @ x / sigma**2 + precision, (x.T * weight) @ y / sigma**2)
    # A past look took part in its own correction, the look to be counted did not. Each past look is corrected by
    # the fit without it (Cook & Weisberg 1982, Residuals and Influence in Regression, 2.2.8), or its cars would
    # seem dimmer than those of today.
    reach = np.linalg.solve((x.T * weight) @ x / sigma**2 + precision, (x.T * (weight / sigma**2)))
    own = np.clip((x * reach.T).sum(axis=1), 0.0, 0.9)
    without = beta[:, None] - reach * ((y - x @ beta) / (1.0 - own))
    taken = np.asarray(weather[:, 1:] @ beta[1:])
    taken[:-1][past] = (x[:, 1:] * without[1:].T).sum(axis=1)
    return np.asarray(np.exp(log - weather[:, 0] - taken) - 1.0)


def _pooling(empty: Sequence[FloatArray]) -> float:
    """Return by how much the mean of six passes is quieter than one, measured on empty ground."""
    if len(empty) < 3 or empty[0].size < 2 * SIX:
        return 1.0
    ratios = [
        float(np.nanstd(np.convolve(one, np.ones(SIX) / SIX, mode="valid"))) / max(float(np.nanstd(one)), 1e-9)
        for one in empty
    ]
    return float(np.clip(np.nanmedian(ratios), POOLED_LEAST, 1.0))


def _patches(weights: FloatArray, keep_off: BoolArray) -> list[Place]:
    """Return the yard's weights moved to places off the yard, at most `MAX_CONTROLS`, in a fixed order."""
    rows, cols = np.nonzero(weights > 0)
    height, width = weights.shape
    values = weights[rows, cols]
    made: list[Place] = []
    step_r, step_c = max(int(np.ptp(rows) + 1) // 2, 3), max(int(np.ptp(cols) + 1) // 4, 3)
    for dr in range(-height, height, step_r):
        for dc in range(-width, width, step_c):
            r, c = rows + dr, cols + dc
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            if inside.mean() < 0.8:
                continue
            free = inside.copy()
            free[inside] = ~keep_off[r[inside], c[inside]]
            if free.mean() >= 0.78:
                made.append((r[free] * width + c[free], values[free]))
    return made[:: max(-(-len(made) // MAX_CONTROLS), 1)]


def _spread(values: FloatArray) -> float:
    """Return a standard deviation, as the mean of the plain and the robust one."""
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return float("inf")
    robust = 1.4826 * float(np.median(np.abs(finite - np.median(finite))))
    return 0.5 * (robust + float(finite.std(ddof=1)))


def _half_width(values: FloatArray) -> float:
    """Return a standard deviation from the shortest half of the values, which surges do not reach.

    Rousseeuw & Leroy 1988, doi 10.1111/j.1467-9574.1988.tb01224.x, with their small-sample factor.
    """
    finite = np.sort(values[np.isfinite(values)])
    half = finite.size // 2 + 1
    if finite.size < 4:
        return float("inf")
    shortest = float((finite[half - 1 :] - finite[: finite.size - half + 1]).min())
    return shortest / (2 * 0.6745) * (1 + 5.0 / finite.size)
