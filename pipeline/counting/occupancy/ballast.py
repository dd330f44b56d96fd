"""The ground that railcars stand on: ballast, told apart from what a coarse pixel sees besides.

A pixel of 10 to 30 m beside or between tracks sees ballast and soil, grass or paving together, and those of 20 m in
the short-wave infrared still more of it. Railcars and their shadows take light from the ballast alone. Where soil is
bright and ballast dark, light taken in proportion to the whole pixel would be twice too much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.target import BAND_INDEX
from pipeline.simulate.coarse_cars import SWIR_FROM

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROUNDS = 3
HEEDED = 2.0  # robust standard deviations from which a pixel (a roof, a shadow) loses its say
RIDGE = 2.0  # pixels' worth of belief that the surroundings are like the ballast
RANGE = (0.5, 1.8)  # of the ballast in any pixel over the fitted one of the yard


def ballast_ground(
    ground: FloatArray, yard: Yard, bands: tuple[str, ...], seen: BoolArray | None = None
) -> FloatArray:
    """Return the reflectance of the ballast in each yard pixel, from that of the whole pixels.

    The share of ballast in a pixel is known from the tracks but for the width of their beds (`Yard.ballast`); across
    the yard it varies, and so does what lies beside it. A robust regression of the pixels on their shares gives the
    ballast and how far what is beside it differs, the latter another in each part of the yard: linear along and
    across it. Each pixel keeps its own departure from the fit.

    Parameters
    ----------
    ground : ndarray
        (B, N), reflectance of the empty yard, float64, finite where it is seen.
    yard : Yard
    bands : tuple of str
        B names.
    seen : ndarray, optional
        (N,), True = visible; others have no say. None: all are.

    Returns
    -------
    ndarray
        (B, N), float64; where a pixel is not seen, the yard's ballast; as given where none is.
    """
    shown = np.ones(ground.shape[1], dtype=np.bool_) if seen is None else seen
    if not shown.any():
        return ground
    here = np.flatnonzero(shown)
    wide = [int(BAND_INDEX[name] >= SWIR_FROM) for name in bands]
    fits = [
        [_fit(ground[place, here], 1.0 - shares[kind, here], yard.axes[here]) for place, kind in enumerate(wide)]
        for shares in yard.ballast
    ]
    # The width of the beds whose shares tell the pixels best, in all bands together.
    best = min(fits, key=lambda one: float(np.sum(np.log([fit.spread for fit in one]))))
    out = np.empty_like(ground)
    for place, fit in enumerate(best):
        out[place] = fit.ballast
        out[place, here] = np.clip(fit.alone, RANGE[0] * fit.ballast, RANGE[1] * fit.ballast)
    return out


@dataclass(frozen=True, eq=False)
class _Fit:
    """A regression of one band's pixels on how much of them is no ballast."""

    ballast: float
    alone: FloatArray  # pixels without what is no ballast in them
    spread: float  # robust, of what is not told


def _fit(values: FloatArray, rest: FloatArray, axes: FloatArray) -> _Fit:
    design = np.stack([np.ones_like(rest), rest, rest * axes[:, 0], rest * axes[:, 1]], axis=1)
    say: FloatArray = np.ones_like(rest)
    fit: FloatArray = np.zeros(4)
    spread = 1.0
    for _ in range(ROUNDS):
        matrix = design.T @ (say[:, None] * design)
        matrix[1:, 1:] += (RIDGE * float((say * rest**2).sum() / say.sum()) + 1e-9) * np.eye(3)
        fit = np.asarray(np.linalg.solve(matrix, design.T @ (say * values)), dtype=np.float64)
        off = np.abs(values - design @ fit)
        spread = max(1.4826 * float(np.median(off)), 1e-4)
        say = 1.0 / np.maximum(off / (HEEDED * spread), 1.0)
    ballast = float(np.clip(fit[0], values.min(), values.max()))
    return _Fit(ballast, values - design[:, 1:] @ fit[1:], spread)
