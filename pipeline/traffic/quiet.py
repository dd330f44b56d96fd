"""Simulated quiet yards: this site's own look dates, errors, dwell and posterior, and nothing but quiet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from pipeline.model import COUNT_MAX
from pipeline.traffic.engine import Reading
from pipeline.traffic.family import KINDS, PAD, family, log_likelihood, probabilities, season_shifts
from pipeline.traffic.likelihood import DAYS_A_YEAR, LOWER, Z90, Evidence, N

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SDS = (0.0, 1.0, 2.0, 4.0, 7.0, 12.0, 20.0, 40.0)  # classes of a look's error at ten railcars
FEW = 96  # estimates below it have tables of their own: larger ones are rare
DRIFT = 0.05  # standard deviation of the slow drift of a simulated level, log a year
TURNS_DAYS = 1500.0  # a drift goes half of this one way, then back: it never runs far
FEW_LOOKS = 25.0  # so many independent looks weigh as much as the fitted family when quiet traffic is drawn
TABLE_DIGITS = 5  # of log likelihoods: hides in which order a matrix product was summed
LIMITS = (0, 5, 10, 20, 30, 50, 80)  # classes of "at most"


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """How wrong a look may be: sd at ten railcars, growing with the root of the number, and an upper limit."""

    sd: float
    limit: int  # numbers up to it are seen as "at most `limit`" only; 0: none

    def sd_at(self, railcars: NDArray[np.generic] | float) -> FloatArray:
        """Return the standard deviation at a number of railcars."""
        return np.asarray(self.sd * np.sqrt((np.asarray(railcars, dtype=np.float64) + 10.0) / 20.0))


def error_class(look: Evidence) -> ErrorClass:
    """Return the class of a look's error, from the width of its own likelihood."""
    vector = look.likelihood
    flat = np.flatnonzero(vector >= 0.9)
    if vector[0] >= 0.9 and flat.size >= 5 and flat[-1] < COUNT_MAX:
        # As in `look_vectors`: 0.9 is reached 1.28 sd below the limit, LOWER 0.65 sd above it.
        spread = (float(np.flatnonzero(vector >= LOWER)[-1]) - float(flat[-1])) / 1.93
        edge = float(flat[-1]) + 1.28 * spread
        limit = min(LIMITS[1:], key=lambda value: abs(value - edge))
        return ErrorClass(_nearest(spread / float(np.sqrt((edge + 10.0) / 20.0))), limit)
    inside = np.flatnonzero(vector >= LOWER)
    best, first, last = int(vector.argmax()), int(inside[0]), int(inside[-1])
    # Each end of the central 90 % lies Z90 standard deviations off, as large as they are there; a side that is cut
    # off at zero or at the end says nothing.
    sides = [
        abs(end - best) / (Z90 * float(np.sqrt((end + 10.0) / 20.0)))
        for end in (first, last)
        if 0 < end < COUNT_MAX or (end == 0 == best)
    ]
    sd = sum(sides) / len(sides) if sides else SDS[-1]
    return ErrorClass(_nearest(sd), 0)


def _nearest(sd: float) -> float:
    return min(SDS, key=lambda value: abs(np.log((value + 0.5) / (sd + 0.5))))


def reading_of(looks: FloatArray, day: float) -> Reading:
    """Return what likelihood vectors (S, COUNT_MAX + 1) of one date say to the recursion."""
    cumulated = np.cumsum(looks, axis=1)
    possible = looks >= LOWER
    first = np.argmax(possible, axis=1)
    last = COUNT_MAX - np.argmax(possible[:, ::-1], axis=1)
    half = np.argmax(cumulated >= 0.5 * cumulated[:, -1:], axis=1)
    # A lower limit is taken at its edge, not at the middle of the numbers it leaves open.
    best = np.where(looks[:, -1] > 0.5, first, half).astype(np.float64)
    flat = looks >= 0.9
    # Rounding takes away what another order of summation inside the matrix product may leave.
    log_like, tail, steady = probabilities(looks)
    log_like = np.round(log_like, TABLE_DIGITS)
    return Reading(
        day,
        log_like.astype(np.float32),
        np.arange(len(looks)),
        np.exp(log_like).astype(np.float32),
        tail.astype(np.float32),
        np.round(steady, 9).astype(np.float32),
        best,
        last.astype(np.float64),
        looks.min(axis=1) < 0.5,
        flat[:, 0] & (flat.sum(axis=1) >= 5),
        first > 0,
    )


def table_of(looks: FloatArray) -> NDArray[np.float32]:
    """Return the table of `reading_of` alone, (S, NODES), for looks that only the baseline still needs."""
    return np.round(log_likelihood(looks), TABLE_DIGITS).astype(np.float32)


def look_vectors(estimate: FloatArray, kind: ErrorClass) -> FloatArray:
    """Return likelihoods (S, COUNT_MAX + 1) of whole-number estimates seen with an error class."""
    sd = np.maximum(kind.sd_at(N), 0.05)[None, :]
    gap = N[None, :] - estimate[:, None]
    out = np.exp(-0.5 * (gap / sd) ** 2)
    if kind.limit:
        below = estimate <= kind.limit
        # The estimate lay at or below the limit: the probability of that, for each true number.
        out[below] = ndtr((kind.limit + 0.5 - N) / sd[0])
    return np.asarray(out / out.max(axis=1, keepdims=True))


def estimate_reading(estimate: IntArray, kind: ErrorClass, day: float) -> Reading:
    """Return the reading of whole-number estimates (S,) seen with an error class on a day."""
    few = int(estimate.max(initial=0)) < FEW
    table = _readings(kind, FEW if few else COUNT_MAX + 1)
    return Reading(
        day, table.table, estimate, table.like[estimate], table.tail[estimate], table.steady[estimate],
        table.best[estimate], table.edge[estimate], table.informative[estimate], table.upper_limit[estimate],
        table.above_zero[estimate],
    )  # fmt: skip


@lru_cache(maxsize=64)
def _readings(kind: ErrorClass, size: int) -> Reading:
    """Return the readings of the estimates 0…size - 1."""
    return reading_of(look_vectors(np.arange(size, dtype=np.float64), kind), 0.0)


@dataclass(frozen=True, eq=False)
class Nodes:
    """Quiet traffic of S simulated yards."""

    node: IntArray  # (S,), index into BASE
    season: int
    cdf: FloatArray | None = None  # (S, COUNT_MAX + 1), where the past itself is drawn from as well

    def draw(self, rng: np.random.Generator, day: float) -> IntArray:
        """Draw the true number of railcars of each yard on a day."""
        if self.cdf is not None:
            return np.asarray((self.cdf < rng.random(len(self.node))[:, None]).sum(axis=1))
        level, kind = np.divmod(self.node, KINDS)
        place = (PAD + level + season_shifts(day)[self.season]) * KINDS + kind
        drawn = (family().cdf[place] < rng.random(len(place), dtype=np.float32)[:, None]).sum(axis=1)
        return np.asarray(np.minimum(drawn, COUNT_MAX))


def from_the_past(nodes: Nodes, looks: FloatArray, weight: FloatArray, rng: np.random.Generator) -> Nodes:
    """Return quiet traffic that follows the site's own looks where there are many, its nodes where there are few.

    What one look says of the number, given the yard's node, averaged over the looks: the first step of the
    nonparametric likelihood (an EM step from the node), with a Bayesian bootstrap of the looks for its uncertainty.

    Parameters
    ----------
    nodes : Nodes
        Without a season.
    looks : ndarray
        (looks, COUNT_MAX + 1), likelihoods.
    weight : ndarray
        (looks,), how far each is a piece of evidence of its own.
    rng : numpy.random.Generator
    """
    pmf = family().pmf[PAD * KINDS + nodes.node]
    alone = np.maximum(pmf @ looks.T, 1e-9)
    share = rng.exponential(size=alone.shape) * weight
    past = pmf * ((share / share.sum(axis=1, keepdims=True) / alone) @ looks)
    trust = weight.sum() / (weight.sum() + FEW_LOOKS)
    cdf = np.cumsum(trust * past + (1.0 - trust) * pmf, axis=1)
    return Nodes(nodes.node, nodes.season, cdf / cdf[:, -1:])


def tiled(days: FloatArray, years: float, start: float) -> tuple[FloatArray, IntArray]:
    """Repeat look dates end to end over `years`; return days and, for each, the look that it repeats."""
    span = max(float(days[-1] - days[0]) + float(np.median(np.diff(days))), 1.0) if len(days) > 1 else 7.0
    if span > 350.0:
        span = DAYS_A_YEAR * max(1, round(span / DAYS_A_YEAR))  # keep the season of gaps in its season
    copies = int(np.ceil(years * DAYS_A_YEAR / span)) + 1
    index = np.tile(np.arange(len(days)), copies)
    out = (np.asarray(days)[None, :] + span * np.arange(copies)[:, None]).ravel()
    order = np.argsort(out, kind="stable")
    out, index = out[order], index[order]
    keep = out < out[0] + years * DAYS_A_YEAR
    return out[keep] - out[0] + start, index[keep]


def quiet_looks(
    days: FloatArray,
    classes: Sequence[ErrorClass],
    nodes: Nodes,
    dwell_days: FloatArray | float,
    rng: np.random.Generator,
) -> Iterator[Reading]:
    """Yield the readings of quiet yards on the given days.

    A state stays for `dwell_days`, then is drawn anew; what is counted of it drifts slowly, another way in each yard.
    """
    truth = nodes.draw(rng, float(days[0]))
    before = float(days[0])
    slope, phase = rng.normal(0.0, DRIFT / DAYS_A_YEAR, len(truth)), rng.random(len(truth))
    for day, kind in zip(days, classes, strict=True):
        stays = rng.random(len(truth)) < np.exp(-(float(day) - before) / dwell_days)
        truth = np.where(stays, truth, nodes.draw(rng, float(day)))
        way = np.abs((float(day) / TURNS_DAYS + phase) % 1.0 - 0.5) - 0.25
        counted = truth * np.exp(slope * TURNS_DAYS * way)
        noise = rng.standard_normal(len(truth)) * kind.sd_at(counted)
        estimate = np.clip(np.rint(counted + noise), 0, COUNT_MAX).astype(np.int64)
        yield estimate_reading(estimate, kind, float(day))
        before = float(day)
