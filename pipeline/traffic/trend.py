"""The site's own trend: how many per cent a year more, or fewer, railcars its looks count, shrunk towards none.

A baseline of two years stands for a day about a year before the look that it judges. Where the counting bias grew by
5 % a year, quiet yards gave 1.36 times as many alerts as plain ones, and with this trend 1.16 to 1.26 times, as the
prior is wider or narrower (30 yards of seed 103 of tests/benchmarks/bench_traffic_rates.py, at the same thresholds).
Two years of looks hardly tell such a trend; six tell it to 4 % a year.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.traffic.family import BASE, KINDS, LATTICE, NODES, PAD, STEP, family, season_shifts
from pipeline.traffic.likelihood import DAYS_A_YEAR
from pipeline.traffic.window import Window

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

PRIOR_SD = 0.15  # of the trend, log a year: of the counting bias and of the traffic together
MOST = 0.1  # no steeper trend is believed, log a year
LEAST_DAYS = 700.0  # a shorter record says more of its seasons than of its trend
FREE = STEP / 2.0  # the level between two of the lattice


def trend_of(window: Window, row: int = 0, until: float = np.inf) -> tuple[float, float]:
    """Return the posterior mean and standard deviation of a series' trend, log a year.

    At each node the log likelihood of the looks is taken as a quadratic in a shift of the level and a slope, from
    differences along the lattice; with a normal prior on both that is a normal posterior with an evidence, and the
    nodes are averaged by it. Looks weigh as in the baseline: by how far they are evidence of their own, and little
    in alarms that ended.

    Parameters
    ----------
    window : Window
        All looks kept count, those in the guard period apart.
    row : int
        The series.
    until : float
        Looks from this day on do not count: an episode is open since then. Days since 1970-01-01.
    """
    days, weight, block = window.told(row)
    use = (weight > 0) & (days < until)
    if not use.any() or np.ptp(days[use]) < LEAST_DAYS:
        return 0.0, PRIOR_SD
    days, weight, block = days[use], weight[use], block[use]
    first = (PAD - 1 + season_shifts(days)[:, window.season[row]]) * KINDS
    wide = np.arange(BASE + 2 * KINDS)
    lines = block[np.arange(len(days))[:, None], np.clip(first[:, None] + wide, 0, NODES - 1)].astype(np.float64)
    below, here, above = lines[:, :BASE], lines[:, KINDS : KINDS + BASE], lines[:, 2 * KINDS :]
    slope, bend = (above - below) / (2.0 * STEP), (above - 2.0 * here + below) / STEP**2
    years = (days - np.average(days, weights=weight)) / DAYS_A_YEAR
    moments = np.stack([weight, weight * years, weight * years**2])
    level, (pull, turn), (stiff, cross, spin) = weight @ here, moments[:2] @ slope, -(moments @ bend)
    # Precision of (shift, slope) at each node; where the likelihood is no hill the prior alone stands.
    a, c = np.maximum(stiff, 0.0) + FREE**-2, np.maximum(spin, 0.0) + PRIOR_SD**-2
    b = np.clip(cross, -0.9 * np.sqrt(a * c), 0.9 * np.sqrt(a * c))
    det = a * c - b**2
    mean, variance = (a * turn - b * pull) / det, a / det
    share = level + family().prior
    share = np.exp(share - share.max())
    share /= share.sum()
    middle = float(share @ mean)
    doubt = float(np.sqrt(share @ (variance + (mean - middle) ** 2)))
    return float(np.clip(middle, -MOST, MOST)), doubt


def moved(table: Float32Array, log_factor: FloatArray) -> Float32Array:
    """Return what nodes say, (S, NODES), if all their means were larger by a factor each.

    Logarithms are linear between two places on the lattice: averaging the values themselves would make a tail too
    heavy, whichever way the level moves.

    Parameters
    ----------
    table : ndarray
        (S, NODES), probabilities.
    log_factor : ndarray
        (S,), natural logarithm.
    """
    logs = np.log(np.maximum(table, 1e-30)).reshape(len(table), LATTICE, KINDS)
    places = np.clip(np.arange(LATTICE) + (log_factor / STEP)[:, None], 0.0, LATTICE - 1.0)
    low = np.minimum(places.astype(np.int64), LATTICE - 2)
    part = (places - low)[:, :, None]
    rows = np.arange(len(table))[:, None]
    out = (1.0 - part) * logs[rows, low] + part * logs[rows, low + 1]
    return np.asarray(np.exp(out.reshape(table.shape)), dtype=np.float32)


def spread(weights: Float32Array, log_factor: FloatArray) -> Float32Array:
    """Return node probabilities (S, NODES) whose mean is moved by a factor each, shared between two places.

    Parameters
    ----------
    weights : ndarray
        (S, NODES).
    log_factor : ndarray
        (S,), natural logarithm; at most a step of the lattice either way.
    """
    grid = weights.reshape(len(weights), LATTICE, KINDS)
    up, down = np.zeros_like(grid), np.zeros_like(grid)
    up[:, 1:], down[:, :-1] = grid[:, :-1], grid[:, 1:]
    up[:, -1] += grid[:, -1]
    down[:, 0] += grid[:, 0]
    higher = np.clip(np.expm1(log_factor) / np.expm1(STEP), 0.0, 1.0)[:, None, None]
    lower = np.clip(np.expm1(log_factor) / np.expm1(-STEP), 0.0, 1.0)[:, None, None]
    out = (1.0 - higher - lower) * grid + higher * up + lower * down
    return np.asarray(out.reshape(weights.shape), dtype=np.float32)
