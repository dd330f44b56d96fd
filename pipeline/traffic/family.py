"""The family of quiet traffic: zero-inflated negative binomials on a lattice of log means.

Every question about the baseline (posterior, predictive tail, surges of ratio 2, 4, 8, season) becomes a shift along
this lattice, so that nothing is fitted by an optimiser and every answer is an average over the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pipeline.model import COUNT_MAX

FloatArray = NDArray[np.float64]

STEP = np.log(2.0) / 4  # lattice step in log mean: four steps double the mean
LOWEST = 0.3  # smallest baseline mean when traffic runs, railcars: an all-zero past is not a mean of 0
LEVELS = 40  # baseline means from 0.3 to 258
PAD = 5  # further levels below, for the season
LATTICE = PAD + 44  # levels whose probabilities are held; the highest has a mean of 477
DISPERSIONS = (0.7, 2.0, 6.0, 40.0)  # size k of the negative binomial: variance = mean + mean**2 / k
ZEROS = (0.0, 0.2, 0.4, 0.6)  # probability that no traffic runs
KINDS = len(DISPERSIONS) * len(ZEROS)
RATIOS = (2, 4, 8)
RATIO_SHIFT = (4, 8, 12)  # lattice steps
ODD = 1e-4  # share of looks that are not of the family at all; keeps one odd look from ruling the posterior

SEASONS: tuple[tuple[float, float], ...] = (
    (0.0, 0.0),
    *((amplitude, 2 * np.pi * k / 8) for amplitude in (0.35, 0.7) for k in range(8)),
)  # log amplitude and phase of the one annual harmonic


@dataclass(frozen=True, eq=False)
class Family:
    """Tables of the lattice; nodes are level × kind, flattened."""

    pmf: FloatArray  # (LATTICE × KINDS, COUNT_MAX + 1); the last column holds everything beyond
    cdf: FloatArray  # the same, cumulated
    mean: FloatArray  # (LATTICE × KINDS,), railcars
    prior: FloatArray  # (LEVELS × KINDS,), log probabilities


@cache
def family() -> Family:
    """Return the one family, built at first use."""
    level = LOWEST * np.exp(STEP * (np.arange(LATTICE) - PAD))
    n = np.arange(COUNT_MAX + 1)
    pmf = np.empty((LATTICE, len(DISPERSIONS), len(ZEROS), COUNT_MAX + 1))
    for i, k in enumerate(DISPERSIONS):
        share = level[:, None] / (k + level[:, None])
        p = np.exp(gammaln(n + k) - gammaln(k) - gammaln(n + 1.0) + k * np.log1p(-share) + n * np.log(share))
        p[:, -1] += np.maximum(0.0, 1.0 - p.sum(axis=1))
        for j, zero in enumerate(ZEROS):
            pmf[:, i, j] = (1 - zero) * p
            pmf[:, i, j, 0] += zero
    mean = np.broadcast_to(
        level[:, None, None] * (1 - np.array(ZEROS))[None, None, :], (LATTICE, len(DISPERSIONS), len(ZEROS))
    )
    # A weak prior: a yard of about five cars, give or take a factor of four; every shape alike.
    base = level[PAD : PAD + LEVELS]
    prior = -0.5 * (np.log(base / 5.0) / 1.5) ** 2
    prior = np.repeat(prior, KINDS)
    flat = pmf.reshape(LATTICE * KINDS, COUNT_MAX + 1)
    return Family(flat, np.cumsum(flat, axis=1), mean.reshape(-1).copy(), prior - np.logaddexp.reduce(prior))


def log_likelihood(looks: FloatArray) -> FloatArray:
    """Return log P(look | node).

    Parameters
    ----------
    looks : ndarray
        (looks, COUNT_MAX + 1), likelihoods over 0…COUNT_MAX.

    Returns
    -------
    ndarray
        (looks, LATTICE × KINDS).
    """
    inside = looks @ family().pmf.T
    outside = looks.mean(axis=1, keepdims=True)
    return np.asarray(np.log((1 - ODD) * inside + ODD * outside + 1e-300))


def tail(looks: FloatArray) -> FloatArray:
    """Return, for each node, the probability that a quiet look's estimate is at least as large as this look's.

    For a look whose error does not depend on the number, the estimate exceeds when n plus the error does; summed over
    the family that is sum over n of P(n) times the look's normalised cumulative likelihood at n. A likelihood that
    stays high up to the end (a lower limit) counts from its lower edge only, an upper limit never counts.
    """
    edge = np.argmax(looks >= 0.2585, axis=1)  # first number not contradicted, see likelihood.LOWER
    open_end = looks[:, -1] > 0.5
    weights = looks.copy()
    weights[open_end] = 0.0
    weights[np.flatnonzero(open_end), edge[open_end]] = 1.0
    cumulated = np.cumsum(weights, axis=1)
    cumulated /= cumulated[:, -1:]
    out: FloatArray = cumulated @ family().pmf.T
    return out


def season_shift(season: int, day: float) -> int:
    """Return by how many lattice steps a season lifts the mean on a day (days since 1970-01-01)."""
    amplitude, phase = SEASONS[season]
    return round(amplitude * float(np.cos(2 * np.pi * day / 365.2425 - phase)) / STEP)
