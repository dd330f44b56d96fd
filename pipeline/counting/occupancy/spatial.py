"""Takes out of filter images what is common to the yard, and sums what stands out along the tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROUNDS = 7
CAR_SIDE = 1.0  # residuals above so many sigma, on the side of cars, lose their say in the zero
FREE_SIDE = 2.3
CORRELATED_PX = 6.0  # neighbouring pixels err alike: so many of them count as one against the prior
UNIT_RANGE = (0.7, 1.8)  # a look's noise over the history's
KEEP_EXCESS = 2.2  # smoothed energy over its expectation, in units of its spread, from which a pixel is occupied
SOFT = 0.5


@dataclass(frozen=True, eq=False)
class ModeFit:
    """Q images of C channels without their spatial modes; channel 0 is the mean car's, the others whitened."""

    filled: FloatArray  # (Q, N) how far each pixel looks like a train's, 0..1
    sums: FloatArray  # (Q, 2) over the yard: filled pixels, amplitude over the typical train's
    beta: FloatArray  # (Q, C, K) modes
    unit: FloatArray  # (Q,) noise of the image over that of the history


def spatial_terms(axes: FloatArray, columns: FloatArray) -> FloatArray:
    """Return the regressors of the spatial modes for every channel, (C, N, K).

    Parameters
    ----------
    axes : array of shape (N, 2)
        Along and across, about -1..1.
    columns : array of shape (C, J, N)
        What errors of gain, season, moisture and registration look like in each channel.
    """
    u, v = axes[:, 0], axes[:, 1]
    smooth = np.stack([np.ones_like(u), u, v, u**2 - (u**2).mean(), u * v, v**2 - (v**2).mean(), u**3], axis=1)
    centred = columns - columns.mean(axis=2, keepdims=True)
    scaled = centred / np.maximum(centred.std(axis=2, keepdims=True), 1e-9)
    channels = columns.shape[0]
    return np.concatenate([np.broadcast_to(smooth, (channels, *smooth.shape)), scaled.transpose(0, 2, 1)], axis=2)


def remove_modes(
    images: FloatArray,
    seen: BoolArray,
    terms: FloatArray,
    smooth: csr_matrix,
    sigma_px: FloatArray,
    mean_share: float,
    typical: FloatArray,
    prior: FloatArray | None = None,
) -> ModeFit:
    """Regress each image robustly on spatial terms and sum what stands out.

    The zero is that of the pixels without cars: pixels that stand out in any channel, and those that stand out on
    the side of cars sooner, lose their say, so that trains do not raise it. A full yard has no such pixels; there
    the prior, how large the modes were in the history, keeps the zero where it was.

    Parameters
    ----------
    images : array of shape (Q, C, N)
        Noise units.
    seen : array of shape (Q, N)
        True = visible.
    terms : array of shape (C, N, K)
    smooth : csr_matrix of shape (N, N)
    sigma_px : array of shape (C, N)
        Noise of each pixel; a pixel's say is its inverse square.
    mean_share : float
        Share of the cars' energy that lies in their mean, 0..1: how one-sided they are.
    typical : array of shape (Q,)
        Amplitude of a pixel with a train on one track under the image's sun, noise units.
    prior : array of shape (C, K), optional
        Standard deviation of each mode, noise units; None: wide.
    """
    number, channels, pixels = images.shape
    size = terms.shape[2]
    filled = np.where(seen[:, None], images, 0.0) / sigma_px
    scaled_terms = terms / sigma_px[..., None]
    outer = np.einsum("cnk,cnj->cnkj", scaled_terms, scaled_terms).reshape(channels, pixels, -1)
    spread_of_modes = np.full((channels, size), 30.0) if prior is None else prior
    start = _quantile(filled[:, 0], seen, 0.5 - 0.15 * mean_share) if prior is None else np.zeros(number)
    z = filled[:, 0] - start[:, None]
    weight = seen * np.where(z > 3.0, 0.1, 1.0)
    rest = filled
    beta = np.zeros((number, channels, size))
    car_side = CAR_SIDE + (1 - mean_share) * (FREE_SIDE - CAR_SIDE)
    units = np.ones((number, channels))
    for _ in range(ROUNDS):
        rest = np.empty_like(filled)
        for channel in range(channels):
            penalty = np.diag(CORRELATED_PX / spread_of_modes[channel] ** 2)
            matrix = (weight @ outer[channel]).reshape(number, size, size) + penalty
            right = (weight * filled[:, channel]) @ scaled_terms[channel]
            beta[:, channel] = np.linalg.solve(matrix, right[..., None])[..., 0]
            rest[:, channel] = np.where(seen, filled[:, channel] - beta[:, channel] @ scaled_terms[channel].T, 0.0)
        units = np.clip(np.stack([_spread(rest[:, c], seen) for c in range(channels)], axis=1), *UNIT_RANGE)
        z = rest / units[..., None]
        energy = (z[:, 1:] ** 2).sum(axis=1) / max(channels - 1, 1)
        weight = 1.0 / (1.0 + np.maximum(energy - 1.5, 0.0) ** 2)
        weight /= 1.0 + (np.maximum(z[:, 0] - car_side, 0.0) / 0.5) ** 2
        weight *= seen
    free = max(channels - 1, 1)
    norm = np.asarray(smooth @ seen.T.astype(np.float64)).T
    wide = np.stack([np.asarray(smooth @ rest[:, c].T).T / np.maximum(norm, 1e-9) for c in range(channels)], axis=1)
    wide_units = np.stack([_spread(wide[:, c], seen) for c in range(channels)], axis=1)
    wide_units = np.minimum(wide_units, 0.7 * units)
    wide_excess = (((wide / wide_units[..., None])[:, 1:] ** 2).sum(axis=1) - free) / np.sqrt(2.0 * free)
    kept = np.where(seen, 1.0 / (1.0 + np.exp(-(wide_excess - KEEP_EXCESS) / SOFT)), 0.0)
    power = np.maximum((rest[:, 1:] ** 2).sum(axis=1) - free * units[:, 1:].mean(axis=1)[:, None] ** 2, 0.0)
    filled_share = power / (power + (0.5 * typical[:, None]) ** 2)
    amplitude = np.sqrt(power) / typical[:, None]
    sums = np.stack([(kept * filled_share).sum(axis=1), (kept * amplitude).sum(axis=1)], axis=1)
    return ModeFit(kept * filled_share, sums, beta, units[:, 1:].mean(axis=1))


def prior_of_modes(beta: FloatArray) -> FloatArray:
    """Return how large each mode (Q, C, K) was in the history: a robust spread about zero, with a floor, (C, K)."""
    return np.asarray(np.maximum(1.4826 * np.median(np.abs(beta), axis=0), 0.05))


def _spread(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Return a robust standard deviation (Q,) of visible pixels, from the quieter half of their sizes.

    Cars fill less than half of a yard, so that the 40 % quantile of |value| is that of empty pixels; it is the
    0.524 sigma point of a Gaussian.
    """
    ordered = np.sort(np.where(seen, np.abs(values), np.inf), axis=1)
    place = np.clip((seen.sum(axis=1) - 1) * 0.4, 0, None).astype(np.intp)
    middle = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(middle), middle / 0.524, 1.0) + 1e-9


def _quantile(values: FloatArray, seen: BoolArray, q: float) -> FloatArray:
    """Return a quantile (Q,) over visible pixels."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=1)
    place = np.clip((seen.sum(axis=1) - 1) * q, 0, None).astype(np.intp)
    out = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(out), out, 0.0)
