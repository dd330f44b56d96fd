"""The ceiling of detection: who knows the yard's true law and the surge's own level, and nothing of the future.

Quiet traffic is followed exactly (a state stays or is drawn anew), and the Shiryaev-Roberts sum of exact likelihood
ratios is the optimal pooling for a surge of known level. Its threshold comes from quiet years of the same yard,
alarms less than a month apart being one. A judge that has to learn all this from two years of looks cannot reach it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom, poisson

from .traffic_world import Rise, Yard, a_stack, look_vector

FloatArray = NDArray[np.float64]

MOST = 200  # railcars; more are as good as this many
ONE_ALARM_DAYS = 30.0
YEAR = 365.2425


def sums(yard: Yard, level: float, years: float, yards: int, seed: int, rises: Sequence[Rise] = ()) -> tuple[
    FloatArray, FloatArray
]:  # fmt: skip
    """Return look days since 1970, (looks,), and the optimal log sums for a surge to `level`, (looks, yards)."""
    days, looks, seen = a_stack(yard, years, yards, seed, rises)
    n = np.arange(MOST + 1)
    quiet = (1.0 - yard.zeros) * nbinom.pmf(n, yard.size, yard.size / (yard.size + yard.mean))
    quiet[0] += yard.zeros
    # During a surge the yard holds the larger of a Poisson number and its quiet traffic.
    surge = np.diff(np.cumsum(quiet) * poisson.cdf(n, level), prepend=0.0)
    state, total, last = np.tile(quiet, (yards, 1)), np.zeros(yards), float(days[0])
    out = np.empty(seen.shape)
    for i, (day, (sd, limit)) in enumerate(zip(days, looks, strict=True)):
        numbers, back = np.unique(seen[i], return_inverse=True)
        told = [look_vector(int(m), sd, limit if m <= limit else 0)[: MOST + 1] for m in numbers]
        vectors = np.array(told)[back]
        stays = np.exp(-(float(day) - last) / yard.dwell_days)
        now = (stays * state + (1.0 - stays) * quiet) * vectors
        alone = np.maximum(now.sum(axis=1), 1e-300)
        state, last = now / alone[:, None], float(day)
        total = (1.0 + total) * (vectors @ surge) / alone
        out[i] = np.log(np.maximum(total, 1e-12))
    return days, out


def episodes(days: FloatArray, hit: NDArray[np.bool_]) -> int:
    """Return how many alarms there are, those less than a month apart being one."""
    count = 0
    for k in range(hit.shape[1]):
        at = days[hit[:, k]]
        count += 1 + int((np.diff(at) > ONE_ALARM_DAYS).sum()) if at.size else 0
    return count


def threshold(yard: Yard, level: float, budget: float, seed: int, yards: int = 60, years: float = 12.0) -> float:
    """Return the log sum that `budget` alarms a year reach in quiet years."""
    days, quiet = sums(yard, level, years, yards, seed)
    span = yards * float(days[-1] - days[0]) / YEAR
    low, high = -5.0, 40.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if episodes(days, quiet >= middle) / span > budget else (low, middle)
    return high
