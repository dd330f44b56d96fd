"""How long a state of the yard stays, from how alike neighbouring looks are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.traffic.likelihood import Evidence

FloatArray = NDArray[np.float64]

GRID = (2.0, 3.0, 4.0, 5.5, 7.0, 10.0, 14.0, 20.0, 28.0)  # days
PRIOR_LOG_SD = 0.9  # of the dwell about the configured one, natural logs: 4 days may be 1 or 17


def dwell_posterior(looks: Sequence[Evidence], quiet: FloatArray, typical_days: float) -> FloatArray:
    """Return the probabilities of the dwells in `GRID`.

    Between two looks the state has stayed with probability exp(-gap / dwell), otherwise it was drawn anew from the
    quiet distribution; each pair of neighbours speaks for the mixture of both.

    Parameters
    ----------
    looks : sequence of Evidence
        In date order.
    quiet : ndarray
        (COUNT_MAX + 1,), predictive distribution of the number of railcars.
    typical_days : float
        Centre of the prior, days.

    Returns
    -------
    ndarray
        (len(GRID),), sums to 1.
    """
    grid = np.asarray(GRID)
    score = -0.5 * (np.log(grid / typical_days) / PRIOR_LOG_SD) ** 2
    told = [look for look in looks if look.own.min() < 0.5]
    if len(told) > 1:
        vectors = np.array([look.own for look in told])
        days = np.array([look.day for look in told])
        alone = vectors @ quiet
        both = (vectors[:-1] * vectors[1:]) @ quiet / np.maximum(alone[:-1], 1e-12)
        stays = np.exp(-np.diff(days)[None, :] / grid[:, None])
        mixed = stays * both[None, :] + (1.0 - stays) * alone[None, 1:]
        score = score + np.log(np.maximum(mixed, 1e-12)).sum(axis=1)
    weight = np.exp(score - score.max())
    return np.asarray(weight / weight.sum())


def middle(posterior: FloatArray) -> float:
    """Return the geometric mean of a posterior over `GRID`, days."""
    return float(np.exp(posterior @ np.log(GRID)))
