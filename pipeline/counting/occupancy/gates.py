"""What keeps a look from being counted: decided on the ground off the yard, before any number exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FIGURES = ("residual", "residual_tail", "residual_near", "light")
SPREAD_FLOOR = 0.16  # of the logarithm of a figure: a calm history must not make a harmless look odd
HISTORY_SIGMA = 5.0  # history looks beyond are left out of the model


@dataclass(frozen=True)
class Unlike:
    """How far a look's off-yard figures lie from their own history, robust sigmas."""

    sigma: dict[str, float]

    @property
    def worst(self) -> tuple[str, float]:
        """Name and value of the gravest figure."""
        name = max(self.sigma, key=lambda key: self.sigma[key])
        return name, self.sigma[name]


def against_history(figures: FloatArray) -> FloatArray:
    """Return robust sigmas (L, G) of logarithmic figures against those of the history, all rows but the last."""
    past = figures[:-1]
    middle = np.median(past, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(past - middle), axis=0), SPREAD_FLOOR)
    return np.asarray((figures - middle) / spread)


def judge(figures: FloatArray) -> Unlike:
    """Compare the last look's figures (rows: looks, columns: `FIGURES`) with those of the history before it."""
    last = against_history(figures)[-1]
    return Unlike({name: float(value) for name, value in zip(FIGURES, last, strict=True)})


def snow_index(green: NDArray[np.float32], swir: NDArray[np.float32]) -> float:
    """Return the median normalised difference snow index (Dozier 1989, doi 10.1016/0034-4257(89)90101-6)."""
    total = green + swir
    good = np.isfinite(total) & (total > 0.01)
    if not good.any():
        return float("nan")
    return float(np.median((green[good] - swir[good]) / total[good]))
