"""Farrington's flexible detector, as published, on statsmodels: the peer that weekly detectors are held against.

Noufaily et al. 2013 (doi 10.1002/sim.5595) after Farrington et al. 1996 (doi 10.2307/2983331), with the choices that
Salmon, Schumacher and Höhle 2016 (doi 10.18637/jss.v070.i10) describe for the R package surveillance. A quasi-Poisson
regression on reference weeks with trend and seasonal levels is fitted twice, the second time with unusual weeks
weighted down by their Anscombe residuals; a week above a quantile of the prediction is an alarm.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import gammaincinv
from scipy.stats import nbinom, norm, poisson, t
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Threshold = Literal["delta", "nbPlugin", "muan"]

LARGEST_MEAN = 1e9  # beyond it the discrete quantile would be looked for step by step, without an end
LARGEST_LOG = 700.0  # beyond it an exponential is no number; such a mean bounds nothing


@dataclass(frozen=True, slots=True)
class FarringtonSettings:
    """The detector's choices, named as in the R package; the defaults are those of Noufaily et al. 2013."""

    years_back: int = 5  # b
    half_window: int = 3  # w, weeks on either side of the same week of earlier years
    periods: int = 10  # noPeriods: seasonal levels; 1 keeps the windows of 1996 only
    weights_threshold: float = 2.58  # standardised residuals above it lose weight
    weeks_left_out: int = 26  # pastWeeksNotIncluded: the newest weeks, kept out of the reference
    trend: bool = True
    p_trend: float = 1.0  # pThresholdTrend: the trend is kept when its p-value is below
    threshold: Threshold = "nbPlugin"
    alpha: float = 0.005
    least_cases: int = 0  # limit54: no bound unless so many cases
    least_weeks: int = 4  # came in so many weeks up to the tested one
    reweight: bool = True


@dataclass(frozen=True, slots=True)
class FarringtonWeek:
    """What the detector says of one week."""

    index: int  # 0-based week of the series
    observed: float
    bound: float  # NaN where the detector stays silent
    alarm: bool
    expected: float  # fitted mean, cases
    mean: float  # the mean the quantile is taken at: for muan an upper limit of the fitted one
    dispersion: float  # phi, at least 1
    trend: bool  # whether a trend was kept


class _FromData(sm.families.Poisson):  # type: ignore[misc]  # statsmodels is untyped
    """Poisson family whose iterations start at y + 0.1, as R's do; matters where a level holds no case at all."""

    def starting_mu(self, y: FloatArray) -> FloatArray:
        return y + 0.1


@dataclass(frozen=True, eq=False)
class _Fit:
    mean: float  # predicted for the tested week
    se_log: float  # standard error of its logarithm, as R's package has it
    phi: float
    p_trend: float
    with_trend: bool


def farrington(
    observed: Sequence[float] | FloatArray,
    weeks: Sequence[int] | IntArray,
    settings: FarringtonSettings = FarringtonSettings(),
    dates: Sequence[date] | None = None,
) -> tuple[FarringtonWeek, ...]:
    """Judge weeks of a series.

    Parameters
    ----------
    observed : array
        (T,), cases a week, no gaps.
    weeks : sequence of int
        0-based weeks to judge, each with `years_back` years before it.
    settings : FarringtonSettings
    dates : sequence of date, optional
        First days of the weeks. With dates a year back is the same date, moved to the nearest week; without, it is 52
        weeks.

    Raises
    ------
    ValueError
        When a week has too little past.
    """
    y = np.asarray(observed, dtype=np.float64)
    return tuple(_week(y, int(k), settings, dates) for k in weeks)


def _week(y: FloatArray, k: int, settings: FarringtonSettings, dates: Sequence[date] | None) -> FarringtonWeek:
    anchors = _anchors(k, settings.years_back, dates)
    if anchors[-1] - settings.half_window < 0 or k >= len(y):
        raise ValueError(f"week {k} needs {settings.years_back} years and {settings.half_window} weeks before it.")
    level = _levels(anchors, settings)
    reference = np.flatnonzero(level[: max(k - settings.weeks_left_out, 0)] >= 0)
    fit = _fit_kept(y, reference, level, k, settings)
    nothing = FarringtonWeek(k, float(y[k]), math.nan, False, math.nan, math.nan, 1.0, False)
    if fit is None:
        return nothing
    z = float(norm.ppf(1.0 - settings.alpha))
    if settings.threshold == "delta":
        mean, spread = fit.mean, fit.mean * fit.se_log
        tau = fit.phi + spread**2 / mean
        root = mean ** (2.0 / 3.0) + z * math.sqrt(4.0 / 9.0 * tau * mean ** (1.0 / 3.0))
        bound = root**1.5
    else:
        upward = z * fit.se_log if settings.threshold == "muan" else 0.0
        mean = fit.mean * math.exp(upward) if upward < LARGEST_LOG else math.inf
        bound = _quantile(1.0 - settings.alpha, mean, fit.phi)
    recent = float(y[max(k - settings.least_weeks + 1, 0) : k + 1].sum())
    silent = recent < settings.least_cases
    return FarringtonWeek(
        k,
        float(y[k]),
        math.nan if silent else bound,
        not silent and bool(y[k] > bound),
        fit.mean,
        mean,
        fit.phi,
        fit.with_trend,
    )


def _quantile(q: float, mean: float, phi: float) -> float:
    if not math.isfinite(mean):
        return math.nan
    if mean > LARGEST_MEAN:
        # A count so large has as good as a continuous distribution: gamma, of the same mean and variance.
        spread = max(phi, 1.0)
        return float(np.ceil(gammaincinv(mean / spread, q) * spread))
    if phi > 1.0:
        return float(nbinom.ppf(q, mean / (phi - 1.0), 1.0 / phi))
    return float(poisson.ppf(q, mean))


# -- reference weeks ------------------------------------------------------------------------------------------


def _anchors(k: int, years: int, dates: Sequence[date] | None) -> list[int]:
    """Return the tested week and the same week of each earlier year, newest first, as 0-based weeks."""
    if dates is None:
        return [k - 52 * j for j in range(years + 1)]
    day = dates[k]
    out = [k]
    for j in range(1, years + 1):
        past = _years_before(day, j)
        after = (day.weekday() - past.weekday()) % 7  # the same weekday, whichever side is nearer
        nearest = past + timedelta(days=after if after < 7 - after else after - 7)
        out.append(k - round((day - nearest).days / 7))
    return out


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # 29 February: the calendar's own next day
        return date(day.year - years, 3, 1)


def _levels(anchors: Sequence[int], settings: FarringtonSettings) -> IntArray:
    """Return a seasonal level for each week up to the tested one: 0 the tested season, -1 no reference week.

    The weeks around the anchors are one level; what lies between two of them is shared among the others as evenly as
    it goes, the earlier ones taking what is left over.
    """
    w, k = settings.half_window, anchors[0]
    level = np.full(k + 1, -1, dtype=np.int64)
    for newer, anchor in pairwise(anchors):
        level[anchor - w : anchor + w + 1] = 0
        if settings.periods > 1:
            first, last = anchor + w + 1, newer - w
            for number, part in enumerate(np.array_split(np.arange(first, last), settings.periods - 1), start=1):
                level[part] = number
    level[k - w :] = 0
    return level


# -- the regression -------------------------------------------------------------------------------------------


def _fit_kept(
    y: FloatArray, reference: IntArray, level: IntArray, k: int, settings: FarringtonSettings
) -> _Fit | None:
    """Fit with the trend where it may stay: three years, significant, and no extrapolation beyond what was seen."""
    fit = _fit(y, reference, level, k, settings, with_trend=settings.trend)
    if not settings.trend:
        return fit
    if fit is not None and fit.with_trend:
        seen = float(y[reference].max())
        if settings.years_back >= 3 and fit.p_trend < settings.p_trend and fit.mean <= seen:
            return fit
    return _fit(y, reference, level, k, settings, with_trend=False)


def _fit(
    y: FloatArray, reference: IntArray, level: IntArray, k: int, settings: FarringtonSettings, *, with_trend: bool
) -> _Fit | None:
    response, groups = y[reference], level[reference]
    columns = [np.ones(len(reference))]
    tested = [1.0]
    if with_trend:
        columns.append((reference - reference[0]).astype(np.float64))
        tested.append(float(k - reference[0]))
    for number in np.unique(groups[groups > 0]):
        columns.append((groups == number).astype(np.float64))
        tested.append(0.0)
    design, row = np.column_stack(columns), np.array(tested)
    result = _irls(response, design, None)
    if result is None:
        return _fit(y, reference, level, k, settings, with_trend=False) if with_trend else None
    phi = max(_dispersion(result), 1.0)
    weights = np.ones_like(response)
    if settings.reweight:
        residuals = _anscombe(result, phi)
        weights = _weights(residuals, settings.weights_threshold)
        result = _irls(response, design, weights)
        if result is None:
            return None
        phi = max(_dispersion(result), 1.0)
    covariance = np.asarray(result.normalized_cov_params)
    # R's package weighs the working residuals with the prior weights where it scales standard errors, not with the
    # working weights: its errors are too small by about the root of the mean. Followed here, because the port is held
    # against it: bounds "delta" and "muan" are narrower for it, and a trend stays more often.
    mu = np.asarray(result.mu)
    scale = float(np.sum(weights * ((response - mu) / mu) ** 2) / result.df_resid)
    se = math.sqrt(scale * float(row @ covariance @ row))
    p_trend = 1.0
    if with_trend:
        own = math.sqrt(scale * covariance[1, 1])
        p_trend = float(2.0 * t.sf(abs(result.params[1]) / own, result.df_resid)) if own > 0 else 1.0
    return _Fit(float(np.exp(row @ result.params)), se, phi, p_trend, with_trend)


def _irls(response: FloatArray, design: FloatArray, weights: FloatArray | None) -> Any | None:
    """Return a converged quasi-Poisson fit, None when it does not converge in R's 25 iterations to 1e-8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        model = sm.GLM(response, design, family=_FromData(), var_weights=weights)
        result = model.fit(maxiter=25, atol=1e-9, rtol=1e-8)
    return result if result.converged else None


def _dispersion(result: Any) -> float:
    """Return Pearson's chi-squared over the degrees of freedom."""
    return float(result.pearson_chi2 / result.df_resid)


def _anscombe(result: Any, phi: float) -> FloatArray:
    """Return standardised Anscombe residuals of a Poisson fit."""
    y, mu = np.asarray(result.model.endog), np.asarray(result.mu)
    design = np.asarray(result.model.exog)
    working = np.asarray(result.model.weights)
    leverage = working * np.einsum("ij,jk,ik->i", design, np.asarray(result.normalized_cov_params), design)
    raw = 1.5 * (y ** (2.0 / 3.0) * mu ** (-1.0 / 6.0) - np.sqrt(mu))
    return np.asarray(raw / np.sqrt(phi * np.maximum(1.0 - leverage, 1e-12)))


def _weights(residuals: FloatArray, threshold: float) -> FloatArray:
    """Return weights falling with the square of residuals above the threshold, of mean one."""
    raw = np.where(residuals > threshold, np.maximum(residuals, 1e-12) ** -2.0, 1.0)
    return np.asarray(raw * len(raw) / raw.sum())
