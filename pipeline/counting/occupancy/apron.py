"""Activity on the apron: containers and trucks look like railcars at 10 m, and are told apart by place alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.baseline import fit_pixels
from pipeline.counting.occupancy.target import residual_covariance

FloatArray = NDArray[np.float64]

STAND_OUT = 2.0  # whitened energy over its expectation, in its own spread, below which a pixel is at rest
MIN_PIXELS = 3
CAR_FOOT_M2 = 130.0  # a filled pixel of 10 m bears about three quarters of a car: its length over the pixel's side


def apron_activity(
    values: FloatArray,
    design: FloatArray,
    ridge: FloatArray,
    direction: FloatArray,
    gsd_m: float,
    typical: float,
) -> float | None:
    """Return how busy the apron is against its own past, railcar equivalents; None when it cannot be seen.

    Parameters
    ----------
    values : array of shape (L, B, A)
        Normalised reflectance of apron pixels, NaN where hidden; the last look is judged.
    design, ridge : arrays of shape (L, P) and (P,)
        As for the yard's baseline.
    direction : array of shape (B,)
        Of the mean car.
    gsd_m : float
        Pixel size, metres.
    typical : float
        Amplitude of a pixel that a train fills, noise units of the yard.
    """
    if values.shape[2] < MIN_PIXELS or np.isfinite(values[-1]).all(axis=0).mean() < 0.5:
        return None
    model = fit_pixels(values, design, ridge, direction)
    covariance = residual_covariance(model.residual[:-1], model.weight[:-1])
    last = model.residual[-1]
    seen = np.isfinite(last).all(axis=0)
    bands = len(covariance)
    energy = np.einsum("bn,bn->n", last[:, seen], np.linalg.solve(covariance, last[:, seen])) / model.inflation[seen]
    power = np.maximum(energy - bands - STAND_OUT * np.sqrt(2.0 * bands), 0.0)
    filled = power / (power + (0.5 * typical) ** 2)
    return float(filled.sum() / seen.mean() * gsd_m**2 / CAR_FOOT_M2)
