"""From filter images to railcars per pixel: a regression learnt on railcars stood into the yard's own past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pipeline.counting.occupancy.spatial import Whitened

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

KNOTS = (0.0, 0.15, 0.3, 0.5, 0.75, 1.05, 1.5, 2.2)  # shares of a train's amplitude at which the answer may bend
SIGNED = (-0.6, 0.0, 0.4, 0.8, 1.4)
STANDS_OUT, SOFT = 3.2, 0.6  # smoothed amplitude, in its own noise, from which a pixel counts as filled
MOST = 3.0  # amplitudes beyond are as good as this, trains' amplitudes
NOISIER = 1.5  # times the ordinary variance of smoothed images: more is a full yard, not noise
RIDGE = 1e-3  # of the mean square of each feature


@dataclass(frozen=True, eq=False)
class Density:
    """Railcars of a pixel as a linear function of its features."""

    weights: FloatArray  # (K,)

    def railcars(self, features: FloatArray) -> FloatArray:
        """Return railcars per pixel (Q, N)."""
        return np.asarray(features @ self.weights)


@dataclass(frozen=True, eq=False)
class Features:
    """What pixels and their neighbours along the tracks show."""

    values: FloatArray  # (Q, N, K); all 0 where nothing stands out
    filled: FloatArray  # (Q, N) how surely something stands there, 0..1
    amplitude: FloatArray  # (Q, N) of the smoothed image, a train's being 1
    quiet: FloatArray  # (Q,) variance of the smoothed image's quiet pixels, noise units

    def pick(self, places: NDArray[np.intp]) -> Features:
        """Return those of some images."""
        return Features(self.values[places], self.filled[places], self.amplitude[places], self.quiet[places])


def pixel_features(one: Whitened, seen: BoolArray, smooth: csr_matrix, ordinary: float | None = None) -> Features:
    """Return the features of whitened images.

    Parameters
    ----------
    one : Whitened
    seen : array of shape (Q, N)
        True = visible.
    smooth : csr_matrix of shape (N, N)
        Kernel along the tracks.
    ordinary : float, optional
        Noise of ordinary looks once smoothed: an image is not believed to be much noisier, since a full yard has no
        quiet pixels to show its noise. None: the median of these images.
    """
    channels = one.free.shape[1]
    norm = np.maximum(np.asarray(smooth @ seen.T.astype(np.float64)).T, 1e-9)

    def along(image: FloatArray) -> FloatArray:
        return np.asarray((smooth @ image.T).T / norm, dtype=np.float64)

    shown = np.where(seen[:, None], one.free, 0.0)
    wide = np.stack([along(shown[:, c]) for c in range(channels)], axis=1)
    # Neighbours err alike: the noise of the smoothed image is taken from its own quiet pixels.
    power = (wide**2).sum(axis=1)
    quiet = np.maximum(_quiet(power, seen, channels), 0.04)
    most = NOISIER * (float(np.median(quiet)) if ordinary is None else ordinary)
    left = np.minimum(quiet, most)[:, None]
    typical = one.typical[:, None]
    raw = np.sqrt(np.maximum((shown**2).sum(axis=1) - channels, 0.0)) / typical
    far = np.sqrt(np.maximum(power - channels * left, 0.0)) / typical
    excess = np.sqrt(power / left) - np.sqrt(channels)
    filled = np.where(seen, 1.0 / (1.0 + np.exp(-(excess - STANDS_OUT) / SOFT)), 0.0)
    context = along(along(filled))
    signed = np.clip(along(np.where(seen, one.signed, 0.0)) / one.typical_signed[:, None], -MOST, MOST)
    raw, far = np.minimum(raw, MOST), np.minimum(far, MOST)
    parts = [filled * np.maximum(raw - knot, 0.0) for knot in KNOTS]
    parts += [filled * np.maximum(far - knot, 0.0) for knot in KNOTS]
    parts += [filled * np.maximum(signed - knot, 0.0) for knot in SIGNED]
    parts += [filled, context, filled * context, context * raw, context * far, context * signed]
    return Features(np.stack(parts, axis=2) * seen[..., None], filled, far, quiet)


def fit_density(features: FloatArray, target: FloatArray, weight: FloatArray) -> Density:
    """Fit the regression.

    Parameters
    ----------
    features : array of shape (Q, N, K)
    target : array of shape (Q, N)
        Railcars of each pixel.
    weight : array of shape (Q, N)
        Say of each pixel.
    """
    size = features.shape[2]
    flat, y, w = features.reshape(-1, size), target.ravel(), weight.ravel()
    matrix = flat.T @ (w[:, None] * flat)
    matrix[np.diag_indices(size)] += RIDGE * np.diag(matrix) + 1e-9 * np.trace(matrix)
    return Density(np.asarray(np.linalg.solve(matrix, flat.T @ (w * y)), dtype=np.float64))


def _quiet(power: FloatArray, seen: BoolArray, channels: int) -> FloatArray:
    """Return the variance (Q,) of one channel of smoothed images, from the quieter pixels' energies."""
    ordered = np.sort(np.where(seen, power, np.inf), axis=1)
    place = np.clip((seen.sum(axis=1) - 1) * 0.35, 0, None).astype(np.intp)
    low = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    # 35 % point of a chi-square over its degrees of freedom (Wilson and Hilferty 1931).
    point = (1 - 2 / (9 * channels) - 0.3853 * np.sqrt(2 / (9 * channels))) ** 3
    return np.where(np.isfinite(low), low / (channels * point), 1.0)
