"""Takes out of a filter image what is common to the yard, and sums what is left along the tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

FloatArray = NDArray[np.float64]

ROUNDS = 12
CAR_SIDE = 1.0  # residuals above so many sigma, on the side of cars, lose their say in the zero
FREE_SIDE = 2.5
KEEP_SIGMA = 2.0  # smoothed pixels within so many sigma of zero are empty
SOFT = 0.35  # width of the passage from empty to kept, sigma


@dataclass(frozen=True, eq=False)
class ModeFit:
    """Q filter images without their spatial modes."""

    rest: FloatArray  # (Q, N) cars per pixel, 0 where hidden
    sigma: FloatArray  # (Q,) of the smoothed images' empty pixels
    total: FloatArray  # (Q,) cars: sum of what stands out, over the visible part
    plain: FloatArray  # (Q,) cars: sum of everything left
    kept: FloatArray  # (Q, N) share of each pixel that was summed


def spatial_terms(axes: FloatArray, columns: list[FloatArray]) -> FloatArray:
    """Return the regressors of the spatial mode, (N, K): smooth in place, and images that errors resemble.

    Parameters
    ----------
    axes : array of shape (N, 2)
        Along and across, about -1..1.
    columns : list of arrays of shape (N,)
        Baseline, season, moisture and gradient images in cars per pixel for a unit error.
    """
    u, v = axes[:, 0], axes[:, 1]
    smooth = [np.ones_like(u), u, v, u**2 - u.var(), u * v, v**2 - v.var(), u**3]
    rest = []
    for column in columns:
        centred = column - column.mean()
        spread = centred.std()
        if spread > 1e-12:
            rest.append(centred / spread)
    return np.stack(smooth + rest, axis=1)


def remove_modes(
    images: FloatArray, seen: NDArray[np.bool_], terms: FloatArray, smooth: csr_matrix, sigma_px: FloatArray
) -> ModeFit:
    """Regress each filter image robustly on spatial terms and sum what stands out.

    The zero is that of the pixels without cars: residuals on the side of cars are down-weighted, so that trains do
    not raise it. What is kept is judged on the image smoothed along the tracks, on both sides alike, so that noise
    cancels in the sum.

    Parameters
    ----------
    images : array of shape (Q, N)
        Cars per pixel.
    seen : array of shape (Q, N)
        True = visible.
    terms : array of shape (N, K)
    smooth : csr_matrix of shape (N, N)
    sigma_px : array of shape (N,)
        Relative noise of each pixel; the pixels' say is its inverse square.
    """
    number, pixels = images.shape
    size = terms.shape[1]
    outer = (terms[:, :, None] * terms[:, None, :]).reshape(pixels, -1)
    prior = np.diag([1e-6] + [0.02 * pixels / 100] * 6 + [0.05 * pixels / 100] * (size - 7))
    filled = np.where(seen, images, 0.0)
    say = seen / np.maximum(sigma_px, 1e-9)[None] ** 2
    say = say / np.maximum(say.max(axis=1, keepdims=True), 1e-12)
    # Start from the level that most pixels share rather than from the mean, which trains pull.
    start = _quantile(filled, seen, 0.4)
    weight = say * (filled <= (start + _spread(filled - start[:, None], seen) * 1.0)[:, None])
    rest = filled
    for _ in range(ROUNDS):
        matrix = (weight @ outer).reshape(number, size, size) + prior
        right = (weight * filled) @ terms
        beta = np.linalg.solve(matrix, right[..., None])[..., 0]
        rest = np.where(seen, filled - beta @ terms.T, 0.0)
        sigma = _spread(rest, seen)
        z = rest / sigma[:, None]
        high = 1.0 / (1.0 + (np.maximum(z - CAR_SIDE, 0.0) / 0.5) ** 2)
        low = 1.0 / (1.0 + (np.maximum(-z - FREE_SIDE, 0.0) / 1.0) ** 2)
        weight = say * high * low
    norm = np.asarray(smooth @ seen.T.astype(np.float64)).T
    wide = np.asarray(smooth @ rest.T).T / np.maximum(norm, 1e-9)
    sigma = _spread(wide, seen)
    z = np.abs(wide) / sigma[:, None]
    kept = np.where(seen, 1.0 / (1.0 + np.exp(-(z - KEEP_SIGMA) / SOFT)), 0.0)
    return ModeFit(rest, sigma, (kept * rest).sum(axis=1), rest.sum(axis=1), kept)


def _spread(values: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """Return a standard deviation (Q,) from the side without cars: values below zero."""
    below = np.where(seen & (values < 0), -values, np.nan)
    ordered = np.sort(below, axis=1)
    number = np.isfinite(below).sum(axis=1)
    place = np.maximum((number - 1) // 2, 0)
    middle = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.where(number > 3, 1.4826 * middle, 1.0) + 1e-9


def _quantile(values: FloatArray, seen: NDArray[np.bool_], q: float) -> FloatArray:
    """Return a quantile (Q,) over visible pixels."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=1)
    place = np.clip((seen.sum(axis=1) - 1) * q, 0, None).astype(np.intp)
    out = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(out), out, 0.0)
