"""From the yard's change in brightness to railcars: scale, zero and noise are unknown, and the interval says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pipeline.model import COUNT_MAX, FloatArray

LN_SCALE_SD = 0.5  # of a car's brightness about the kinds' mean: geometry, load, double bounce
USUAL_MEAN = 14.0  # railcars in the yard on average, prior (exponential): the public record says "fewer than 20"
LN_NOISE_SD = 0.35  # of the noise about its estimate
# Variance per car of what stands in the yard about the mean car: kinds differ by 35 % in brightness and come in
# rakes of about ten, 0.35**2 * 10.
MIX = 1.2
FALSE_ALARM, POWER = 0.01, 0.95
BELOW = 200  # the posterior is followed this far below zero, so that an empty yard's interval reaches zero


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
    likelihood: FloatArray  # (COUNT_MAX + 1,), maximum 1
    scale: float  # change per railcar, posterior mean
    usual: float  # railcars that the past mean stands for, posterior mean
    noise_cars: float  # standard deviation of one look, railcars


def estimate(
    change: float, noise: float, looks: int, scale: float, pairs: Sequence[Pair], *, pooling: float = 1.0
) -> Estimate:
    """Weigh every number of railcars against a change in brightness.

    The model is ``change = scale * (railcars - usual) + noise``: Gaussian noise, `usual` the past's mean number.
    Scale, usual and noise are summed out over a grid, weighed by their priors and by the known dates.

    Parameters
    ----------
    change : float
        Of the look, or the mean of several.
    noise : float
        Standard deviation of one look's change over empty ground.
    looks : int
        Past looks behind the mean.
    scale : float
        Change per railcar that kinds and geometry lead one to expect.
    pairs : sequence of Pair
        Past looks with known counts.
    pooling : float
        Noise of `change` over that of one look: below 1 when it is the mean of several.
    """
    scales = scale * np.exp(LN_SCALE_SD * np.linspace(-2.4, 2.4, 17))
    usuals = np.concatenate([np.arange(0.0, 30.0, 2.0), np.arange(30.0, 121.0, 10.0)])
    sds = noise * np.exp(LN_NOISE_SD * np.linspace(-2, 2, 7))
    a, m, s = (g.ravel() for g in np.meshgrid(scales, usuals, sds, indexing="ij"))
    width = np.gradient(usuals)
    log_w = (
        norm.logpdf(np.log(a / scale), 0, LN_SCALE_SD)
        - m / USUAL_MEAN
        + np.log(np.interp(m, usuals, width))
        + norm.logpdf(np.log(s / noise), 0, LN_NOISE_SD)
    )
    for pair in pairs:
        spread = np.sqrt(s**2 + a**2 * (pair.sd**2 + MIX * max(pair.railcars, 0.0)))
        log_w = log_w + norm.logpdf(pair.change, a * (pair.railcars - m), spread)
    w = np.exp(log_w - log_w.max())
    keep = w > 1e-4
    a, m, s, w = a[keep, None], m[keep, None], s[keep, None], w[keep, None] / w[keep].sum()
    s2 = s**2 * (pooling**2 + 1.0 / looks)
    mix = MIX * (1.0 if pooling == 1.0 else 0.5)  # cars stay for days: the passes of one mean see many of them twice
    numbers = np.arange(-BELOW, COUNT_MAX + BELOW + 1, dtype=np.float64)
    sd = np.sqrt(s2 + a**2 * mix * np.maximum(numbers, 0.0))
    density = np.exp(-0.5 * ((change - a * (numbers - m)) / sd) ** 2) / sd
    likelihood = (w * density).sum(axis=0)[BELOW : BELOW + COUNT_MAX + 1]
    peak = float(likelihood.max())
    # Each (scale, usual, noise) keeps its weight: a flat prior on the number would favour dim cars without end.
    mass = density.sum(axis=1, keepdims=True)
    posterior = (w * density / np.where(mass > 0, mass, 1.0)).sum(axis=0)
    low, best, high = np.interp((0.05, 0.5, 0.95), np.cumsum(posterior) / posterior.sum(), numbers + 0.5)
    return Estimate(
        float(np.clip(best, 0, COUNT_MAX)),
        float(np.clip(low, 0, COUNT_MAX)),
        float(np.clip(high, 0, COUNT_MAX)),
        _detection_limit(a, m, s2, w, mix),
        likelihood / peak if peak > 0 else np.ones(COUNT_MAX + 1),
        float((a * w).sum()),
        float((m * w).sum()),
        float((np.sqrt(s2) / a * w).sum()),
    )


def _quantile(centre: FloatArray, width: FloatArray, w: FloatArray, p: float) -> float:
    """Return a quantile of a mixture of Gaussians by bisection."""
    low = float((centre - 8 * width).min())
    high = float((centre + 8 * width).max())
    for _ in range(45):
        middle = 0.5 * (low + high)
        if float((w * norm.cdf(middle, centre, width)).sum()) < p:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _detection_limit(a: FloatArray, m: FloatArray, s2: FloatArray, w: FloatArray, mix: float) -> float:
    """Return the smallest number that passes the 1 % threshold of an empty yard with 95 % power."""
    threshold = _quantile(-a * m, np.sqrt(s2), w, 1.0 - FALSE_ALARM)

    def power(number: float) -> float:
        return float((w * norm.sf(threshold, a * (number - m), np.sqrt(s2 + a**2 * mix * number))).sum())

    low, high = 0.0, float(COUNT_MAX)
    if power(high) < POWER:
        return high
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if power(middle) < POWER else (low, middle)
    return high
