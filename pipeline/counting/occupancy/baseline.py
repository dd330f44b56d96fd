"""What each yard pixel shows when no car stands on it: season, moisture and view, from the yard's own past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROUNDS = 6
NOISE_FLOOR = 2.5e-3  # reflectance: detector noise and what registration leaves
# Ridge penalties, in looks: the mean is free; season needs evidence; patterns of the controls need more.
RIDGE_MEAN, RIDGE_SEASON, RIDGE_HALF, RIDGE_FACTOR, RIDGE_ORBIT = 1e-3, 1.0, 4.0, 3.0, 2.0


@dataclass(frozen=True, eq=False)
class PixelModel:
    """Baseline of N yard pixels in B bands, and what every look leaves over."""

    residual: FloatArray  # (L, B, N) value minus baseline; history looks as if left out of the fit; NaN where hidden
    coefficients: FloatArray  # (N, P, B)
    fitted: FloatArray  # (L, B, N) the baseline on each look's day, the last being the look to be counted
    inflation: FloatArray  # (N,) variance of a residual over that of one look's noise, at least 1
    weight: FloatArray  # (L, N) how much each look counted; low where cars stood


def fit_pixels(
    values: FloatArray, design: FloatArray, ridge: FloatArray, direction: FloatArray, say: FloatArray | None = None
) -> PixelModel:
    """Fit the baseline of each pixel from the history, asymmetrically.

    Parameters
    ----------
    values : array of shape (L, B, N)
        Normalised reflectance, NaN where hidden; the last look does not shape the fit.
    design : array of shape (L, P)
        Regressors.
    ridge : array of shape (P,)
        Penalties.
    direction : array of shape (B,)
        Weights of bands that make a railcar positive; cars darken, so residuals that are positive in this
        direction are heeded less: a pixel that often bears cars keeps the baseline of its empty days.
    say : array of shape (L,), optional
        How much each look may shape the fit; None: all alike.
    """
    looks, bands, pixels = values.shape
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    filled = np.where(seen[:, None], values, 0.0)
    size = design.shape[1]
    outer = (design[:, :, None] * design[:, None, :]).reshape(looks, -1)
    weight: FloatArray = seen.astype(np.float64)
    if say is not None:
        weight *= say[:, None]
    weight[-1] = 0.0
    shown = weight.copy()
    penalty = np.diag(ridge)
    coefficients: FloatArray = np.zeros((pixels, size, bands))
    inverse: FloatArray = np.zeros((pixels, size, size))
    for turn in range(ROUNDS):
        matrix = (weight.T @ outer).reshape(pixels, size, size) + penalty
        right = ((filled * weight[:, None]).transpose(2, 1, 0) @ design).transpose(0, 2, 1)
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        coefficients = inverse @ right
        if turn == ROUNDS - 1:
            break
        residual = filled - np.einsum("lp,npb->lbn", design, coefficients, optimize=True)
        score = np.einsum("b,lbn->ln", direction, residual, optimize=True)
        weight = shown * _asymmetric(score, shown)
    leverage = weight * np.einsum("lp,npq,lq->ln", design, inverse, design, optimize=True)
    fitted = np.einsum("lp,npb->lbn", design, coefficients, optimize=True)
    left_out = 1.0 / np.maximum(1.0 - np.clip(leverage, 0, 0.8), 0.2)
    residual = np.where(seen[:, None], (values - fitted) * left_out[:, None], np.nan)
    inflation = 1.0 + np.einsum("p,npq,q->n", design[-1], inverse, design[-1], optimize=True)
    return PixelModel(residual, coefficients, fitted, inflation, weight)


def _asymmetric(score: FloatArray, shown: FloatArray) -> FloatArray:
    """Return weights (L, N) that fall quickly for car-like residuals and slowly for the others.

    The scale is that of the negative side, which holds no dark cars.
    """
    masked = np.where(shown > 0, score, np.nan)
    with np.errstate(invalid="ignore"):
        below = np.where(masked < 0, -masked, np.nan)
    scale = 1.4826 * _nan_median(below)
    typical = float(np.median(scale[np.isfinite(scale)])) if np.isfinite(scale).any() else 1.0
    scale = np.where(np.isfinite(scale), np.maximum(scale, 0.5 * typical), typical) + 1e-12
    z = np.where(shown > 0, score / scale, 0.0)
    high = 1.0 / (1.0 + np.maximum(z - 0.6, 0.0) ** 2)
    low = 1.0 / (1.0 + (np.maximum(-z - 2.0, 0.0) / 1.5) ** 2)
    return np.asarray(high * low)


def _nan_median(values: FloatArray) -> FloatArray:
    """Return the median over the first axis, NaN where nothing is there, without a warning."""
    ordered = np.sort(values, axis=0)  # NaN last
    number = np.isfinite(values).sum(axis=0)
    place = np.maximum(number - 1, 0) // 2
    out = np.take_along_axis(ordered, place[None], axis=0)[0]
    return np.where(number > 0, out, np.nan)
