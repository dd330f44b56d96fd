"""Ground beside the tracks that has changed with them: trains end at the tracks, felling, floods and fires do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.stats import chi2

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

RARE = 0.99  # quantile of energies of ordinary ground beyond which a pixel beside the tracks has changed
LEAST = 0.05  # weight of visible pixels beside a yard pixel, of all of them, without which they say nothing
SHARE = 0.5  # of the ground beside a yard pixel that has changed with it, from which it may be ground itself
MIN_LOOKS = 8


def changed_beside(values: FloatArray, seen: BoolArray, outside: FloatArray, middle: FloatArray) -> BoolArray:
    """Return pixels beside the tracks (F,) that the last look shows unlike their past.

    Parameters
    ----------
    values : array of shape (L, C, F)
        Residuals in each pixel's own noise; the last look is judged.
    seen : array of shape (L, F)
    outside : array of shape (L, C, C)
        How ground farther off scatters in each look, that of ordinary looks being 1: rain raises it.
    middle : array of shape (L, C)
        What ground farther off has in common in each look.
    """
    _, channels, _ = values.shape
    away = values - middle[..., None]
    energy = np.einsum("lcf,lcd,ldf->lf", away, np.linalg.inv(outside), away, optimize=True)
    history = seen[:-1] & (seen[:-1].sum(axis=0) >= MIN_LOOKS)
    if not history.any():
        return np.zeros(values.shape[2], dtype=np.bool_)
    unit = float(np.median(energy[:-1][history])) / float(chi2.ppf(0.5, channels))
    return np.asarray(seen[-1] & (energy[-1] > unit * float(chi2.ppf(RARE, channels))))


def doubtful(density: FloatArray, changed: BoolArray, seen: BoolArray, beside: csr_matrix) -> float:
    """Return the share of the cars found that stand where the ground beside the tracks has changed as well.

    Parameters
    ----------
    density : array of shape (N,)
        Cars of each yard pixel.
    changed, seen : arrays of shape (F,)
    beside : csr_matrix of shape (N, F)
        Weights of the pixels beside each yard pixel.
    """
    cars = np.maximum(density, 0.0)
    total = float(cars.sum())
    if total <= 0 or beside.shape[1] == 0:
        return 0.0
    all_ = np.asarray(beside.sum(axis=1)).ravel()
    shown = np.asarray(beside @ seen.astype(np.float64)).ravel()
    share = np.asarray(beside @ (changed & seen).astype(np.float64)).ravel() / np.maximum(shown, 1e-9)
    told = shown > LEAST * np.maximum(all_, 1e-9)
    return float((cars * (told & (share >= SHARE))).sum() / total)
