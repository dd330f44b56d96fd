"""What keeps a look from being counted: decided on the ground off the yard, before any number exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FIGURES = ("residual", "residual_tail", "residual_near", "light", "shade", "veil")
# Rain, growth and harvest raise these by much and are dealt with look by look; patches of light are not.
GRAVITY = np.array([0.6, 0.6, 0.7, 0.6, 1.0, 1.0])
SPREAD_FLOOR = 0.16  # of the logarithm of a figure: a calm history must not make a harmless look odd
SEASON_DAYS, SEASON_LOOKS = 40.0, 5  # a season is known by so many looks within so many days, of any year
SEASON_FULL = 12  # looks of a season from which its own spread has as much say as the year's
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


def against_history(figures: FloatArray, days: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return robust sigmas, times `GRAVITY`, of looks' logarithmic figures against earlier looks of the same season.

    A look is measured against the history of its own season alone: ground that nobody has yet seen green is not odd
    for being green. Where the season holds too few looks the whole history is taken, and the number says so.

    Parameters
    ----------
    figures : array of shape (L, G)
        The last row is the look to be judged; the others are its history.
    days : array of shape (L,)
        Days of the year.

    Returns
    -------
    sigma : array of shape (L, G)
    neighbours : array of shape (L,)
        History looks of the same season.
    """
    apart = np.abs(days[:, None] - days[None, :])
    near = np.minimum(apart, 365.25 - apart) <= SEASON_DAYS
    np.fill_diagonal(near, False)
    near[:, -1] = False
    number = near.sum(axis=1)
    away = np.zeros_like(figures)
    alike = np.zeros_like(figures)
    for row in range(len(figures)):
        others = figures[near[row]] if number[row] >= SEASON_LOOKS else figures[:-1]
        middle = np.median(others, axis=0)
        away[row] = figures[row] - middle
        alike[row] = (1.4826 * np.median(np.abs(others - middle), axis=0)) ** 2
    # Few looks of a season tell their spread badly: that of the whole history speaks too.
    whole = (1.4826 * np.median(np.abs(away[:-1]), axis=0)) ** 2
    say = np.minimum(number, SEASON_FULL)[:, None] / (SEASON_FULL + np.minimum(number, SEASON_FULL)[:, None])
    spread = np.sqrt(np.maximum(say * alike + (1 - say) * whole, whole * 0.5))
    sigma = GRAVITY * away / np.maximum(spread, SPREAD_FLOOR)
    return sigma, number


def snow_index(green: NDArray[np.float32], swir: NDArray[np.float32]) -> float:
    """Return the median normalised difference snow index (Dozier 1989, doi 10.1016/0034-4257(89)90101-6)."""
    total = green + swir
    good = np.isfinite(total) & (total > 0.01)
    if not good.any():
        return float("nan")
    return float(np.median((green[good] - swir[good]) / total[good]))
