"""From a sum to a number of railcars with an interval: scale and zero, learnt from known dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from pipeline.model import COUNT_MAX

FloatArray = NDArray[np.float64]

# What is believed before any date is known. Prototypes were uncertain by 15 % in scale and 6 to 11 cars in zero; nine
# simulated sites (seeds 900 to 908) scatter by 11 % and 2 cars since their cars answer like a balanced fleet.
PRIOR_SCALE, PRIOR_SCALE_SD = 1.0, 0.11
PRIOR_ZERO, PRIOR_ZERO_SD = 0.0, 2.0
HEEDED = 10.0  # degrees of freedom of the Student weights
PRIOR_LOOKS = 8.0  # weight, in known dates, of the believed noise against what known dates show
# Degrees of freedom of an error. Known dates tell how large errors are on the mean; single looks (paint, rain)
# stay as heavy-tailed as they are. While cars were stood on whole pixels instead of ballast, 19 for 12 known dates
# covered seeds 1130 to 1141 at 84 %.
TAILS = 12.0
FEW = 1.0  # railcars that a yard usually bears, least
Z90, Z95, Z99 = 1.645, 1.645, 2.326


@dataclass(frozen=True)
class Noise:
    """Variance of one look's number around scale and zero: floor² + per_car × n + (relative × n)²."""

    floor: float  # railcars, of an empty yard
    per_car: float
    relative: float

    def variance(self, railcars: FloatArray | float) -> FloatArray:
        """Return the variance at a true number, railcars²."""
        n = np.maximum(np.asarray(railcars, dtype=np.float64), 0.0)
        return np.asarray(self.floor**2 + self.per_car * n + (self.relative * n) ** 2)


@dataclass(frozen=True)
class Calibration:
    """x = zero + scale × n + noise, with what is not known about them."""

    zero: float
    scale: float
    covariance: tuple[tuple[float, float], tuple[float, float]]  # of (zero, scale)
    stretch: float  # factor on the noise's standard deviation
    freedom: float  # degrees of freedom of the Student distribution
    known: int

    def spread(self, noise: Noise, railcars: FloatArray | float) -> FloatArray:
        """Return the standard deviation of x at a true number, calibration included."""
        n = np.maximum(np.asarray(railcars, dtype=np.float64), 0.0)
        (a, b), (_, d) = self.covariance
        return np.asarray(np.sqrt(noise.variance(n) * self.stretch**2 + a + 2 * b * n + d * n**2))


def calibrate(x: FloatArray, railcars: FloatArray, sd: FloatArray, noise: list[Noise]) -> Calibration:
    """Learn scale and zero from dates with a known number, by Bayesian regression on the prior above.

    Parameters
    ----------
    x : array of shape (K,)
        Uncalibrated numbers of the known dates; K may be 0.
    railcars, sd : arrays of shape (K,)
        Known numbers and their standard deviations.
    noise : list of Noise, K long
    """
    precision = np.diag([PRIOR_ZERO_SD**-2, PRIOR_SCALE_SD**-2])
    right = precision @ np.array([PRIOR_ZERO, PRIOR_SCALE])
    prior, prior_right = precision.copy(), right.copy()
    solution, covariance = np.array([PRIOR_ZERO, PRIOR_SCALE]), np.linalg.inv(precision)
    stretch = 1.0
    variance = np.array([float(n.variance(m)) for n, m in zip(noise, railcars, strict=True)])
    for _ in range(4):
        if len(x) == 0:
            break
        total = variance * stretch**2 + (solution[1] * sd) ** 2
        residual = x - solution[0] - solution[1] * railcars
        # A known number may be wrong (another day, another place): Student weights keep one from deciding.
        # Errors grow with the number and lean to the high side: heeding large ones too little would bias the scale.
        weight = (HEEDED + 1.0) / (HEEDED + residual**2 / total) / total
        design = np.stack([np.ones_like(railcars), railcars], axis=1)
        precision = prior + design.T @ (weight[:, None] * design)
        covariance = np.linalg.inv(precision)
        solution = covariance @ (prior_right + design.T @ (weight * x))
        residual = x - design @ solution
        chi = float(np.minimum(residual**2 / (variance + (solution[1] * sd) ** 2), 16.0).sum())
        stretch = float(np.sqrt(np.clip((PRIOR_LOOKS + chi) / (PRIOR_LOOKS + max(len(x) - 1, 0)), 0.4, 6.0)))
    return Calibration(
        float(solution[0]), float(np.clip(solution[1], 0.4, 2.0)),
        ((float(covariance[0, 0]), float(covariance[0, 1])), (float(covariance[1, 0]), float(covariance[1, 1]))),
        stretch, TAILS, len(x),
    )  # fmt: skip


def median_number(likelihood: FloatArray, usual: float) -> float:
    """Return the median of the number of railcars that a likelihood over 0…N leaves.

    The number that fits best would lean to the high side: it is cut at zero, and errors grow with the number, so that
    a reading is more often one of fewer cars that came out high than the other way. The prior is 1 / (n + usual):
    above the usual number of the yard every ratio is as likely as another (Jeffreys 1961, section 3.1, for a scale),
    below it every number. It moves a sure look by little. The interval and the likelihood know no prior.

    Parameters
    ----------
    likelihood : array of shape (N + 1,)
    usual : float
        Railcars; below `FEW` it counts as that.
    """
    n = np.arange(len(likelihood), dtype=np.float64)
    share = np.cumsum(likelihood / (n + max(usual, FEW)))
    share /= share[-1]
    place = int(np.searchsorted(share, 0.5))
    if place == 0:
        return 0.0
    return float(place - 0.5 + (0.5 - share[place - 1]) / (share[place] - share[place - 1]))


@dataclass(frozen=True, eq=False)
class Stated:
    """A number of railcars as it may be said."""

    railcars: float
    low: float
    high: float
    detection_limit: float
    threshold: float  # railcars above which an empty yard is contradicted at 1 %
    likelihood: tuple[float, ...]


def state(x: float, calibration: Calibration, noise: Noise, usual: float = 0.0) -> Stated:
    """Return number, central 90 % interval, detection limit and likelihood of a look.

    The interval holds the numbers that the look does not contradict at 5 % on either side; it is that of the
    likelihood's own spread at each number, not of the best value's.

    Parameters
    ----------
    x : float
        Uncalibrated number.
    calibration : Calibration
    noise : Noise
        Of this look.
    usual : float
        Uncalibrated number of the yard's ordinary looks; it bears on the best number alone.
    """
    n = np.arange(COUNT_MAX + 1, dtype=np.float64)
    expected = calibration.zero + calibration.scale * n
    spread = calibration.spread(noise, n)
    plain = float(np.clip((x - calibration.zero) / calibration.scale, 0.0, COUNT_MAX))
    t90 = float(student.ppf(0.95, calibration.freedom))
    fine = np.linspace(0.0, COUNT_MAX, 4 * COUNT_MAX + 1)
    off = (x - calibration.zero - calibration.scale * fine) / calibration.spread(noise, fine)
    inside = fine[np.abs(off) <= t90]
    low, high = (float(inside[0]), float(inside[-1])) if inside.size else (plain, plain)
    if low <= 0.25:
        low = 0.0
    threshold = calibration.zero + Z99 * spread[0]
    seen = np.flatnonzero(expected - Z95 * spread >= threshold)
    limit = float(n[seen[0]]) if seen.size else float(COUNT_MAX)
    density = student.logpdf((x - expected) / spread, calibration.freedom) - np.log(spread)
    likelihood = np.exp(density - density.max())
    best = median_number(likelihood, (usual - calibration.zero) / calibration.scale)
    best = float(np.clip(best, low, high))
    return Stated(
        round(best, 3), round(low, 3), round(high, 3), limit,
        round(float(Z99 * spread[0] / calibration.scale), 3),
        tuple(float(f"{value:.6g}") for value in likelihood),
    )  # fmt: skip
