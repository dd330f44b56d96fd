"""What one railcar adds to a coarse look: its roof and its shadow for that day's sun, weighted over the bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.model import CAR_PITCH_M
from pipeline.simulate.coarse_cars import SHADE, shadow_vector
from pipeline.simulate.kinds import BANDS, KINDS

FloatArray = NDArray[np.float64]

BAND_INDEX = {**{name: number for number, name in enumerate(BANDS)}, "nir08": BANDS.index("nir")}
CAR_HEIGHT_M = float(sum(kind.share * kind.height_m for kind in KINDS.values()))
CAR_BODY_M, CAR_WIDTH_M = 12.9, 3.06
CAR_PAINT = np.array(
    [sum(kind.share * np.mean([c[band] for c in kind.colours]) for kind in KINDS.values()) for band in range(6)]
)  # mean reflectance of a mixed yard's roofs, order of BANDS
CAR_AREA_M2 = CAR_BODY_M * CAR_WIDTH_M
SHRINK = 0.25  # of the covariance towards its diagonal


def usable_bands(bands: tuple[str, ...]) -> tuple[str, ...]:
    """Return the bands that the target is defined for, in the order given."""
    return tuple(name for name in bands if name in BAND_INDEX)


def car_response(
    ground: FloatArray, bands: tuple[str, ...], gsd_m: float, sun: tuple[float, float], heading_rad: float
) -> FloatArray:
    """Return what one car changes, summed over pixels: reflectance times pixels, (B, N).

    Parameters
    ----------
    ground : array of shape (B, N)
        Reflectance of the empty ground.
    bands : tuple of str
    gsd_m : float
        Pixel size, metres.
    sun : (float, float)
        Elevation and azimuth, degrees.
    heading_rad : float
        Direction of the tracks, anticlockwise from east.
    """
    east, north = shadow_vector(CAR_HEIGHT_M, *sun)
    across = abs(-east * np.sin(heading_rad) + north * np.cos(heading_rad))
    roof = CAR_BODY_M * CAR_WIDTH_M / gsd_m**2
    shade = (CAR_BODY_M * across + 0.3 * (CAR_PITCH_M - CAR_BODY_M) * CAR_WIDTH_M) / gsd_m**2
    number = [BAND_INDEX[name] for name in bands]
    lost = roof + shade * (1.0 - np.array(SHADE)[number])
    return np.asarray(roof * CAR_PAINT[number][:, None] - lost[:, None] * ground)


def band_weights(response: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the weights (B,) of the whitened matched filter for the mean car, noise of unit variance.

    Parameters
    ----------
    response : array of shape (B,)
        Of one car, mean over the yard.
    covariance : array of shape (B, B)
        Of the residuals of empty pixels.
    """
    toward = np.linalg.solve(covariance, response)
    return np.asarray(toward / np.sqrt(max(float(response @ toward), 1e-12)))


def residual_covariance(residual: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the covariance (B, B) of residuals (L, B, N) of pixels that bore no car, robustly.

    What a whole look has in common is taken out first: the spatial modes deal with it. Residuals are limited to
    three robust standard deviations, and the covariance is drawn towards its diagonal.
    """
    bands = residual.shape[1]
    keep = (weight > 0.5) & np.isfinite(residual).all(axis=1)
    parts = [residual[number][:, keep[number]] for number in range(len(residual)) if keep[number].sum() > 5]
    if not parts:
        return np.eye(bands) * 0.01**2
    flat = np.concatenate([part - np.median(part, axis=1, keepdims=True) for part in parts], axis=1)
    spread = 1.4826 * np.median(np.abs(flat), axis=1, keepdims=True) + 1.5e-3
    flat = np.clip(flat, -3 * spread, 3 * spread)
    matrix = flat @ flat.T / flat.shape[1]
    matrix = (1 - SHRINK) * matrix + SHRINK * np.diag(np.diag(matrix))
    return np.asarray(matrix + np.eye(bands) * 0.001**2)
