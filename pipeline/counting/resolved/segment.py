"""A track cut into cars: a semi-Markov programme over car lengths, its best cut and the exact spread of its count.

Each station carries evidence that it is occupied and that a car ends there; a cut of the track into cars and empty
stretches scores the sum of that evidence and the prior of its cars' lengths. The best cut is Viterbi's. Mean and
variance of the number of cars under all cuts come from the same forward recursion (moments are carried along
instead of sampling, so that the result has no noise of its own); cf. Murphy 2002, "Hidden semi-Markov models".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.strips import STEP_M

MIN_LENGTH_M, MAX_LENGTH_M = 10.0, 26.0
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """How much the programme believes its classifiers; set once by training on scenes kept apart."""

    occupied: float = 0.08  # per half metre; neighbours are not independent
    boundary: float = 1.0
    entry: float = -5.0  # log-odds of a car before any evidence


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """One track's best cut and the spread of its count."""

    cars: tuple[tuple[float, float], ...]  # (start, end) in metres along the track
    mean: float  # of the number of cars over all cuts
    variance: float


def length_prior() -> tuple[NDArray[np.int_], Vector]:
    """Return car lengths in steps and their log prior.

    Freight 0.93 N(14.05, 0.9) + 0.07 N(16.9, 0.7) (the project's SCIENCE.md), with a share for tank cars of 12 m,
    passenger cars of 24.5 m and a floor for what nobody thought of.
    """
    steps = np.arange(int(MIN_LENGTH_M / STEP_M), int(MAX_LENGTH_M / STEP_M) + 1)
    length = steps * STEP_M

    def normal(mean: float, sd: float) -> Vector:
        return np.asarray(np.exp(-0.5 * ((length - mean) / sd) ** 2) / sd)

    density = (
        0.70 * normal(14.05, 0.9) + 0.18 * normal(12.1, 0.5) + 0.09 * normal(17.0, 0.7) + 0.02 * normal(24.5, 0.6)
    )
    density = density / density.sum() + 0.0005
    return steps, np.log(density / density.sum())


def cut_tracks(
    occupied: Sequence[Vector], boundary: Sequence[Vector], covered: Sequence[NDArray[np.bool_]], weights: Weights
) -> tuple[Cut, ...]:
    """Cut every track of a look into cars.

    Parameters
    ----------
    occupied, boundary : sequence of arrays of shape (stations,)
        Log-odds at stations `STEP_M` apart, of standing under a car and of a car's end, relative to chance.
    covered : sequence of arrays of shape (stations,), bool
        True where the track is seen; no car is put where less than all of it is.
    weights : Weights

    Returns
    -------
    tuple of Cut
        One for each track.
    """
    if not occupied:
        return ()
    steps, prior = length_prior()
    evidence = _evidence(occupied, boundary, covered, weights)
    tracks, size = evidence.total.shape[0], evidence.total.shape[1] - 1
    best = np.zeros((tracks, size + 1))
    choice = np.zeros((tracks, size + 1), dtype=np.int64)
    log_sum, mean, square = np.zeros_like(best), np.zeros_like(best), np.zeros_like(best)
    for s in range(1, size + 1):
        usable = steps[steps <= s]
        begin = s - usable
        scores = evidence.score(s, begin) + prior[: len(usable)] + weights.entry
        path = np.concatenate([best[:, s - 1, None], best[:, begin] + scores], axis=1)
        choice[:, s] = np.argmax(path, axis=1)
        best[:, s] = np.take_along_axis(path, choice[:, s, None], axis=1)[:, 0]
        weight = np.concatenate([log_sum[:, s - 1, None], log_sum[:, begin] + scores], axis=1)
        top = weight.max(axis=1, keepdims=True)
        share = np.exp(weight - top)
        norm = share.sum(axis=1, keepdims=True)
        log_sum[:, s] = (top + np.log(norm))[:, 0]
        share /= norm
        # A car that ends here raises the number of cars in the part behind it by one.
        first = np.concatenate([mean[:, s - 1, None], mean[:, begin] + 1], axis=1)
        second = np.concatenate([square[:, s - 1, None], square[:, begin] + 2 * mean[:, begin] + 1], axis=1)
        mean[:, s] = (share * first).sum(axis=1)
        square[:, s] = (share * second).sum(axis=1)
    variance = np.maximum(square[:, size] - mean[:, size] ** 2, 0.0)
    return tuple(Cut(_trace(choice[t], steps), float(mean[t, size]), float(variance[t])) for t in range(tracks))


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """Sums over stations, so that the evidence of any stretch is a difference; (tracks, stations + 1) each."""

    total: Vector  # of the evidence of standing under a car
    ends: Vector  # of a car's end between two stations
    hidden: Vector  # number of stations that are not seen

    def score(self, end: int, begin: NDArray[np.int_]) -> Vector:
        """Return the evidence for a car between each of `begin` and `end`, (tracks, begins)."""
        scores = self.total[:, end, None] - self.total[:, begin] + self.ends[:, end, None] + self.ends[:, begin]
        return np.where(self.hidden[:, end, None] - self.hidden[:, begin] > 0, -1e6, scores)


def _evidence(
    occupied: Sequence[Vector], boundary: Sequence[Vector], covered: Sequence[NDArray[np.bool_]], weights: Weights
) -> _Evidence:
    size = max(len(o) for o in occupied)
    total = np.zeros((len(occupied), size + 1))
    ends = np.full_like(total, -1e3)
    hidden = np.zeros_like(total)
    for t, (o, b, seen) in enumerate(zip(occupied, boundary, covered, strict=True)):
        n = len(o)
        total[t, 1 : n + 1] = np.cumsum(weights.occupied * np.clip(o, -9, 9))
        total[t, n + 1 :] = total[t, n]
        # A boundary lies between stations: it has the evidence of the better of its two neighbours.
        clipped = weights.boundary * np.clip(b, -9, 9)
        ends[t, 0], ends[t, n] = clipped[0], clipped[-1]
        ends[t, 1:n] = np.maximum(clipped[:-1], clipped[1:])
        hidden[t, 1 : n + 1] = np.cumsum(~seen)
        hidden[t, n + 1 :] = hidden[t, n] + np.arange(1, size - n + 1)
    return _Evidence(total, ends, hidden)


def _trace(choice: NDArray[np.int64], steps: NDArray[np.int_]) -> tuple[tuple[float, float], ...]:
    """Walk the best cut back from the track's end."""
    cars: list[tuple[float, float]] = []
    s = len(choice) - 1
    while s > 0:
        pick = int(choice[s])
        if pick == 0:
            s -= 1
            continue
        start = s - int(steps[pick - 1])
        cars.append((start * STEP_M, s * STEP_M))
        s = start
    return tuple(reversed(cars))
