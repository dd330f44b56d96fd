"""From the yard's change in brightness to railcars: scale, zero and noise are unknown, and the interval says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr

from pipeline.model import COUNT_MAX, FloatArray

# Of a car's brightness about the kinds' mean: geometry, load, double bounce (simulated yards, tuning seeds).
LN_SCALE_MEAN, LN_SCALE_SD = -0.05, 0.28
# Railcars in the yard on average, gamma prior: the public record says "fewer than 20".
USUAL_MEAN, USUAL_SHAPE = 16.0, 2.0
# Of the yard's noise about that of patches off the yard: ballast grows no plants and is not ploughed (the same).
LN_NOISE_MEAN, LN_NOISE_SD = -0.3, 0.35
PAST_WEIGHT = 0.4  # of a past look without a known count: cars stay for days, so that looks are not independent
# How a yard's number may have differed from look to look, standard deviation over its mean, besides exponentially.
SPREADS = (0.3, 0.6)
# Variance per car of what stands in the yard about the mean car: kinds and loads differ by 40 % in brightness and
# come in rakes of about ten, nearly 0.4**2 * 10.
MIX = 1.5
FALSE_ALARM, POWER = 0.01, 0.95
PROMISED = 0.90  # probability of the interval
BELOW = 200  # the posterior is followed this far below zero, so that an empty yard's interval reaches zero
STEP = 4  # railcars between the numbers that are weighed; a look's noise is ten railcars at best
USUAL = np.array([1, 2, 4, 6, 8, 10, 13, 16, 20, 24, 28, 33, 38, 44, 52, 60, 70, 85, 100, 120], dtype=np.float64)


@dataclass(frozen=True)
class Pair:
    """A past look on a date with a known count."""

    change: float
    railcars: float
    sd: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """What the change says about the number of railcars."""

    railcars: float
    low: float
    high: float
    detection_limit: float
    empty_p: float  # probability that an empty yard shows at least this change
    likelihood: FloatArray  # (COUNT_MAX + 1,), maximum 1
    scale: float  # change per railcar, posterior mean
    usual: float  # railcars that the past mean stands for, posterior mean
    noise_cars: float  # standard deviation of one look, railcars


@dataclass(frozen=True, eq=False)
class _States:
    """What scale, usual and noise may be, all (states, 1), with weights that sum to 1."""

    scale: FloatArray
    usual: FloatArray
    variance: FloatArray  # of the change, speckle and weather of the look and of its past's mean
    weight: FloatArray
    mix: float  # variance per car, railcars


def estimate(
    change: float, noise: float, past: FloatArray, scale: float, pairs: Sequence[Pair], *, pooling: float = 1.0
) -> Estimate:
    """Weigh every number of railcars against a change in brightness.

    The model is ``change = scale * (railcars - usual) + noise``: Gaussian noise, `usual` the past's mean number.
    Scale, usual and noise are summed out over a grid, weighed by their priors, by the known dates and by how the
    past's changes scatter.

    Parameters
    ----------
    change : float
        Of the look, or the mean of several.
    noise : float
        Standard deviation of one look's change over empty ground.
    past : array of shape (looks,)
        Changes of the past looks, finite; their mean is what `change` departs from.
    scale : float
        Change per railcar that kinds and geometry lead one to expect.
    pairs : sequence of Pair
        Past looks with known counts.
    pooling : float
        Noise of `change` over that of one look: below 1 when it is the mean of several.
    """
    states = _states(noise, past, scale, pairs, pooling)
    a, m, w = states.scale, states.usual, states.weight
    numbers = np.arange(-BELOW, COUNT_MAX + BELOW + 1, STEP, dtype=np.float64)
    sd = np.sqrt(states.variance + a**2 * states.mix * np.maximum(numbers, 0.0))
    density = np.exp(-0.5 * ((change - a * (numbers - m)) / sd) ** 2) / sd
    told = np.log(np.maximum((w * density).sum(axis=0), 1e-300))
    likelihood = np.interp(np.arange(COUNT_MAX + 1.0), numbers, told)
    # Each state keeps its weight: a flat prior on the number would favour dim cars without end.
    mass = density.sum(axis=1, keepdims=True)
    posterior = (w * density / np.where(mass > 0, mass, 1.0)).sum(axis=0)
    best = _quantile(posterior, numbers, 0.5)
    low, high = _shortest(np.where(numbers >= 0, posterior, 0.0), numbers)
    best = float(np.clip(best, low, high))
    root = np.sqrt(states.variance)
    return Estimate(
        float(np.clip(best, 0, COUNT_MAX)),
        float(np.clip(low, 0, COUNT_MAX)),
        float(np.clip(high, 0, COUNT_MAX)),
        _detection_limit(states),
        float((w * ndtr(-(change + a * m) / root)).sum()),
        np.asarray(np.exp(likelihood - likelihood.max())),
        float((a * w).sum()),
        float((m * w).sum()),
        float((root / a * w).sum()),
    )


def _states(noise: float, past: FloatArray, scale: float, pairs: Sequence[Pair], pooling: float) -> _States:
    """Weigh scale, usual and noise by their priors, the known dates and the scatter of the past."""
    scales = scale * np.exp(LN_SCALE_MEAN + LN_SCALE_SD * np.linspace(-2.4, 2.4, 13))
    sds = noise * np.exp(LN_NOISE_MEAN + LN_NOISE_SD * np.linspace(-2.2, 2.2, 6))
    a, m, s = (g.ravel() for g in np.meshgrid(scales, USUAL, sds, indexing="ij"))
    log_w = (
        -0.5 * ((np.log(a / scale) - LN_SCALE_MEAN) / LN_SCALE_SD) ** 2
        - 0.5 * ((np.log(s / noise) - LN_NOISE_MEAN) / LN_NOISE_SD) ** 2
        - USUAL_SHAPE * m / USUAL_MEAN
        + (USUAL_SHAPE - 1.0) * np.log(m)
        + np.log(np.interp(m, USUAL, np.gradient(USUAL)))
        + PAST_WEIGHT * _scatter(past, a * m, s)
    )
    for pair in pairs:
        spread = np.sqrt(s**2 + a**2 * (pair.sd**2 + MIX * max(pair.railcars, 0.0)))
        log_w = log_w + _log_normal(pair.change - a * (pair.railcars - m), spread)
    w = np.exp(log_w - log_w.max())
    keep = w > 2e-3
    # Cars stay for days: the passes of one mean see many of them twice.
    mix = MIX * (1.0 if pooling == 1.0 else 0.5)
    return _States(
        a[keep, None],
        m[keep, None],
        s[keep, None] ** 2 * (pooling**2 + 1.0 / max(len(past), 1)),
        w[keep, None] / w[keep].sum(),
        mix,
    )


def _scatter(past: FloatArray, usual: FloatArray, noise: FloatArray) -> FloatArray:
    """Return the logarithm of how well the past's changes fit a yard whose cars come and go, (states,).

    Its number is taken as exponential about its mean (a yard with surges; with noise an exponentially modified
    Gaussian, Grushka 1972, doi 10.1021/ac60319a011) or as normal (a steady yard); whichever fits better counts.

    Parameters
    ----------
    past : array of shape (looks,)
    usual, noise : arrays of shape (states,)
        Change that the mean number of cars makes, and standard deviation of the change without cars.
    """
    c, rate = past[:, None], 1.0 / usual
    x = c + usual
    surging = np.log(rate) + 0.5 * (rate * noise) ** 2 - rate * x + log_ndtr(x / noise - rate * noise)
    ways = [surging.sum(axis=0)]
    ways += [_log_normal(c, np.sqrt(noise**2 + (spread * usual) ** 2)).sum(axis=0) for spread in SPREADS]
    return np.asarray(np.logaddexp.reduce(PAST_WEIGHT * np.stack(ways), axis=0) / PAST_WEIGHT)


def _log_normal(x: FloatArray, sd: FloatArray) -> FloatArray:
    """Return the logarithm of the normal density of mean 0 and standard deviation `sd`."""
    return np.asarray(-0.5 * (x / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))


def _quantile(mass: FloatArray, numbers: FloatArray, p: float) -> float:
    return float(np.interp(p, np.cumsum(mass) / mass.sum(), numbers + STEP / 2))


def _shortest(mass: FloatArray, numbers: FloatArray) -> tuple[float, float]:
    """Return the shortest interval that holds `PROMISED` of the numbers that exist.

    An interval with as much left out above as below would never reach an empty yard; this one reaches zero wherever
    zero is among the likelier numbers.
    """
    total = float(mass.sum())
    if total <= 0:
        return 0.0, 0.0
    ends = np.append(numbers - STEP / 2, numbers[-1] + STEP / 2)
    summed = np.append(0.0, np.cumsum(mass) / total)
    # A first cell reaches from zero on, not from half a step below.
    at = np.maximum(ends, 0.0)
    below = np.linspace(0.0, 1.0 - PROMISED, 41)
    risen = summed + 1e-12 * np.arange(len(summed))
    low, high = np.interp(below, risen, at), np.interp(below + PROMISED, risen, at)
    best = int(np.argmin(high - low))
    return float(low[best]), float(high[best])


def _detection_limit(states: _States) -> float:
    """Return the smallest number that passes the 1 % threshold of an empty yard with 95 % power."""
    a, m, w, root = states.scale, states.usual, states.weight, np.sqrt(states.variance)
    low, high = float((-a * m - 8 * root).min()), float((-a * m + 8 * root).max())
    for _ in range(30):
        middle = 0.5 * (low + high)
        below = float((w * ndtr((middle + a * m) / root)).sum())
        low, high = (middle, high) if below < 1.0 - FALSE_ALARM else (low, middle)
    threshold = high

    def power(number: float) -> float:
        spread = np.sqrt(states.variance + a**2 * states.mix * number)
        return float((w * ndtr((a * (number - m) - threshold) / spread)).sum())

    low, high = 0.0, float(COUNT_MAX)
    if power(high) < POWER:
        return high
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high
