"""The family of quiet traffic: zero-inflated negative binomials on a lattice of log means.

Every question about the baseline (posterior, predictive tail, surges of ratio 2, 4, 8, season) becomes a shift along
this lattice, so that nothing is fitted by an optimiser and every answer is an average over the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pipeline.model import COUNT_MAX

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEP = math.log(2.0) / 3  # lattice step in log mean: three steps double the mean
LOWEST = 0.3  # smallest baseline mean when traffic runs, railcars: an all-zero past is not a mean of 0
LEVELS = 30  # baseline means from 0.3 to 244
PAD = 3  # further levels on both sides, for the season
RATIOS = (2, 4, 8)
RATIO_SHIFT = (3, 6, 9)  # lattice steps
LATTICE = PAD + LEVELS + PAD + RATIO_SHIFT[-1]  # levels whose probabilities are held; the highest mean is 3900
STEADY = (2.0, 3.0, 5.0, 8.0)  # ratios of surges that fill the yard steadily, whatever the quiet days are like
DISPERSIONS = (0.8, 1.7, 3.6, 12.0)  # size k of the negative binomial: variance = mean + mean**2 / k
ZEROS = (0.0, 0.25, 0.5)  # probability that no traffic runs
KINDS = len(DISPERSIONS) * len(ZEROS)
STEADY_KIND = (len(DISPERSIONS) - 1) * len(ZEROS)  # the narrowest kind, never empty
BASE = LEVELS * KINDS  # nodes of the baseline
SPAN = (PAD + LEVELS + PAD) * KINDS  # the same with room for the season on both sides
NODES = LATTICE * KINDS
SINGLE = 64  # states of the yard: every number below this, then bins that grow by a tenth
EDGES = np.unique(np.concatenate([np.arange(SINGLE), np.rint(SINGLE * 1.1 ** np.arange(25)).clip(max=COUNT_MAX)]))
STATES = len(EDGES)
ODD = 1e-4  # share of looks that are not of the family at all; keeps one odd look from ruling the posterior

SEASONS: tuple[tuple[float, float], ...] = (
    (0.0, 0.0),
    *((amplitude, 2 * np.pi * k / 8) for amplitude in (0.35, 0.7) for k in range(8)),
)  # log amplitude and phase of the one annual harmonic
_AMPLITUDE, _PHASE = np.array(SEASONS).T


@dataclass(frozen=True, eq=False)
class Family:
    """Tables of the lattice; nodes are level × kind, flattened."""

    pmf: FloatArray  # (NODES, COUNT_MAX + 1); the last column holds everything beyond
    mean: FloatArray  # (NODES,), railcars
    empty: FloatArray  # (NODES,), probability of no railcar
    states: NDArray[np.float32]  # (SPAN, STATES), probability of each state of the yard
    prior: FloatArray  # (BASE,), log probabilities


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
    return Family(
        flat, mean.reshape(-1).copy(), flat[:, 0].copy(), _binned(flat[:SPAN]), prior - np.logaddexp.reduce(prior)
    )


def _binned(pmf: FloatArray) -> NDArray[np.float32]:
    return np.add.reduceat(pmf, EDGES.astype(np.int64), axis=1).astype(np.float32)


def state_likelihood(looks: FloatArray) -> NDArray[np.float32]:
    """Return P(look | state of the yard), (looks, STATES), the mean over the numbers of a state."""
    widths = np.diff(np.append(EDGES, COUNT_MAX + 1))
    return (np.add.reduceat(looks, EDGES.astype(np.int64), axis=1) / widths).astype(np.float32)


def probabilities(looks: FloatArray) -> tuple[FloatArray, FloatArray]:
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
    """
    edge = np.argmax(looks >= 0.2585, axis=1)  # first number not contradicted, see likelihood.LOWER
    open_end = looks[:, -1] > 0.5
    weights = looks.copy()
    weights[open_end] = 0.0
    weights[np.flatnonzero(open_end), edge[open_end]] = 1.0
    cumulated = np.cumsum(weights, axis=1)
    cumulated /= cumulated[:, -1:]
    both = np.concatenate([looks, cumulated]) @ family().pmf.T
    outside = looks.mean(axis=1, keepdims=True)
    return np.log((1 - ODD) * both[: len(looks)] + ODD * outside + 1e-300), both[len(looks) :]


def steady_nodes(level: FloatArray) -> IntArray:
    """Return the nodes of steady traffic about so many railcars."""
    step = np.rint(np.log(np.maximum(level, LOWEST) / LOWEST) / STEP).astype(np.int64) + PAD
    return np.asarray(np.minimum(step, LATTICE - 1) * KINDS + STEADY_KIND)


def season_shifts(day: float | FloatArray) -> IntArray:
    """Return by how many lattice steps each of `SEASONS` lifts the mean on days since 1970-01-01.

    Returns
    -------
    ndarray
        (seasons,) for one day, (days, seasons) for several.
    """
    at = 2 * np.pi * np.asarray(day, dtype=np.float64)[..., None] / 365.2425
    return np.asarray(np.rint(_AMPLITUDE * np.cos(at - _PHASE) / STEP), dtype=np.int64)
