"""The family of quiet traffic: zero-inflated overdispersed counts on a lattice of log means.

Every question about the baseline (posterior, predictive tail, season) becomes a shift along this lattice, so that
nothing is fitted by an optimiser and every answer is an average over the posterior. The shapes are negative binomials
and one Poisson-lognormal, whose tail is heavier; all hold a small share of visits: states of another order, which a
past of two years need not have shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pipeline.model import COUNT_MAX
from pipeline.traffic.likelihood import DAYS_A_YEAR

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEP = math.log(2.0) / 3  # lattice step in log mean: three steps double the mean
LOWEST = 0.3  # smallest baseline mean when traffic runs, railcars: an all-zero past is not a mean of 0
LEVELS = 30  # baseline means from 0.3 to 244
PAD = 3  # further levels on both sides, for the season
LATTICE = PAD + LEVELS + PAD  # levels whose probabilities are held; the highest mean is 490
DISPERSIONS = (0.8, 1.7, 3.6, 12.0)  # size k of the negative binomial: variance = mean + mean**2 / k
SIGMAS = (0.7,)  # standard deviation of the log mean of the Poisson-lognormal
SHAPES = len(DISPERSIONS) + len(SIGMAS)
ZEROS = (0.0, 0.25, 0.5)  # probability that no traffic runs
ZERO_SHARES = (0.15, 0.35, 0.5)  # prior of each: SCIENCE section 4 reckons with 40 % empty days
SHAPE_SHARES = (0.08, 0.2, 0.3, 0.22, 0.2)  # prior of each
KINDS = SHAPES * len(ZEROS)
BASE = LEVELS * KINDS  # nodes of the baseline
NODES = LATTICE * KINDS  # the same with room for the season on both sides
VISITS = 0.005  # share of quiet states that are visits, whose number is exponential
VISIT_RATIO = 3.0  # their mean, times the level
VISIT_LEAST = 20.0  # and at least, railcars
STEADY_STEP = math.log(2.0) / 4
STEADY_LOWEST = 4.0  # railcars
STEADY_LEVELS = 30  # levels of steady traffic from 4 to 609
STEADY_SIZE = 40.0  # of their negative binomial: day by day about as many, whatever the quiet days are like
ODD = 1e-4  # share of looks that are not of the family at all; keeps one odd look from ruling the posterior

PHASES = 12  # a month apart
SEASONS: tuple[tuple[float, float], ...] = (
    (0.0, 0.0),
    *((amplitude, 2 * np.pi * k / PHASES) for amplitude in (0.25, 0.45, 0.7) for k in range(PHASES)),
)  # log amplitude and phase of the one annual harmonic
_AMPLITUDE, _PHASE = np.array(SEASONS).T


@dataclass(frozen=True, eq=False)
class Family:
    """Tables of the lattice; nodes are level × kind, flattened."""

    pmf: FloatArray  # (NODES, COUNT_MAX + 1); the last column holds everything beyond
    cdf: NDArray[np.float32]  # (NODES, COUNT_MAX + 1)
    mean: FloatArray  # (NODES,), railcars, visits apart
    empty: FloatArray  # (NODES,), probability of no railcar
    prior: FloatArray  # (BASE,), log probabilities
    steady: FloatArray  # (STEADY_LEVELS, COUNT_MAX + 1), of steady traffic


@cache
def family() -> Family:
    """Return the one family, built at first use."""
    level = LOWEST * np.exp(STEP * (np.arange(LATTICE) - PAD))
    visits = _exponential(np.maximum(VISIT_RATIO * level, VISIT_LEAST))
    pmf = np.empty((LATTICE, SHAPES, len(ZEROS), COUNT_MAX + 1))
    shapes = [_negative_binomial(level, k) for k in DISPERSIONS] + [_lognormal(level, sigma) for sigma in SIGMAS]
    for i, p in enumerate(shapes):
        for j, zero in enumerate(ZEROS):
            pmf[:, i, j] = (1 - VISITS) * (1 - zero) * p + VISITS * visits
            pmf[:, i, j, 0] += (1 - VISITS) * zero
    mean = np.broadcast_to(level[:, None, None] * (1 - np.array(ZEROS)), (LATTICE, SHAPES, len(ZEROS)))
    # A weak prior: a yard of about five cars, give or take a factor of four, that is empty on many days.
    base = level[PAD : PAD + LEVELS]
    shape = np.log(np.outer(SHAPE_SHARES, ZERO_SHARES)).ravel()
    prior = (-0.5 * (np.log(base / 5.0) / 1.5) ** 2)[:, None] + shape[None, :]
    prior = prior.ravel()
    flat = pmf.reshape(NODES, COUNT_MAX + 1)
    steady = STEADY_LOWEST * np.exp(STEADY_STEP * np.arange(STEADY_LEVELS))
    return Family(
        flat,
        np.cumsum(flat, axis=1).astype(np.float32),
        mean.reshape(-1).copy(),
        flat[:, 0].copy(),
        prior - np.logaddexp.reduce(prior),
        _negative_binomial(steady, STEADY_SIZE),
    )


def _negative_binomial(mean: FloatArray, k: float) -> FloatArray:
    """Return probabilities of 0…COUNT_MAX, (means, COUNT_MAX + 1); the last holds everything beyond."""
    n = np.arange(COUNT_MAX + 1)
    share = mean[:, None] / (k + mean[:, None])
    p = np.exp(gammaln(n + k) - gammaln(k) - gammaln(n + 1.0) + k * np.log1p(-share) + n * np.log(share))
    return _closed(p)


def _lognormal(mean: FloatArray, sigma: float) -> FloatArray:
    """Return probabilities of a Poisson number whose own mean is lognormal about `mean`, by Gauss-Hermite."""
    n = np.arange(COUNT_MAX + 1)
    at, weight = np.polynomial.hermite_e.hermegauss(40)
    p = np.zeros((len(mean), COUNT_MAX + 1))
    for z, w in zip(at, weight / weight.sum(), strict=True):
        rate = mean[:, None] * np.exp(sigma * z - sigma**2 / 2)
        p += w * np.exp(n * np.log(rate) - rate - gammaln(n + 1.0))
    return _closed(p)


def _exponential(mean: FloatArray) -> FloatArray:
    """Return probabilities of an exponential number rounded up, so never zero."""
    n = np.arange(COUNT_MAX + 1)
    p = np.exp(-np.maximum(n - 1, 0) / mean[:, None]) - np.exp(-n / mean[:, None])
    return _closed(p)


def _closed(p: FloatArray) -> FloatArray:
    p[:, -1] += np.maximum(0.0, 1.0 - p.sum(axis=1))
    return p


def probabilities(looks: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what each node says of looks.

    Parameters
    ----------
    looks : ndarray
        (looks, COUNT_MAX + 1), likelihoods over 0…COUNT_MAX, maximum 1.

    Returns
    -------
    log_likelihood : ndarray
        (looks, NODES), log P(look | node).
    tail : ndarray
        (looks, NODES), the probability that a quiet look's estimate is at least as large as this look's. For a look
        whose error does not depend on the number, the estimate exceeds when n plus the error does; summed over the
        family that is the sum over n of P(n) times the look's normalised cumulative likelihood at n. A likelihood
        that stays high up to the end (a lower limit) counts from its lower edge only, an upper limit never counts.
    steady : ndarray
        (looks, STEADY_LEVELS), P(look | steady traffic about the level).
    """
    edge = np.argmax(looks >= 0.2585, axis=1)  # first number not contradicted, see likelihood.LOWER
    open_end = looks[:, -1] > 0.5
    weights = looks.copy()
    weights[open_end] = 0.0
    weights[np.flatnonzero(open_end), edge[open_end]] = 1.0
    cumulated = np.cumsum(weights, axis=1)
    cumulated /= cumulated[:, -1:]
    outside = looks.mean(axis=1, keepdims=True)
    tail = cumulated @ family().pmf.T
    return log_likelihood(looks), tail, (1 - ODD) * (looks @ family().steady.T) + ODD * outside


def log_likelihood(looks: FloatArray) -> FloatArray:
    """Return log P(look | node), (looks, NODES), of likelihoods (looks, COUNT_MAX + 1) whose maximum is 1."""
    outside = looks.mean(axis=1, keepdims=True)
    return np.asarray(np.log((1 - ODD) * (looks @ family().pmf.T) + ODD * outside + 1e-300))


def steady_place(level: FloatArray) -> IntArray:
    """Return the places of steady traffic about so many railcars."""
    step = np.rint(np.log(np.maximum(level, STEADY_LOWEST) / STEADY_LOWEST) / STEADY_STEP).astype(np.int64)
    return np.asarray(np.minimum(step, STEADY_LEVELS - 1))


def season_shifts(day: float | FloatArray) -> IntArray:
    """Return by how many lattice steps each of `SEASONS` lifts the mean on days since 1970-01-01.

    Returns
    -------
    ndarray
        (seasons,) for one day, (days, seasons) for several.
    """
    at = 2 * np.pi * np.asarray(day, dtype=np.float64)[..., None] / DAYS_A_YEAR
    return np.asarray(np.rint(_AMPLITUDE * np.cos(at - _PHASE) / STEP), dtype=np.int64)
