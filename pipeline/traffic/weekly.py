"""A detector for weekly counts: how surely does an excess run now, judged against a baseline fitted on the past.

The ideas are those of the yard's judge, for series that come every week and in exact numbers: a negative-binomial
baseline with what the past may hold of outbreaks taken out, sums of likelihood ratios over several sizes of excess
that pool neighbouring weeks, and a threshold from simulating the fitted baseline, its uncertainty included, through
the very same sums. Nothing of the judged weeks enters baseline or threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from pipeline.errors import SeriesError
from pipeline.model import Observation, Outcome
from pipeline.traffic.likelihood import UNJUDGED

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_WEEKS = 26  # fewer past weeks carry no baseline
LEAST_EXCESS = 0.5  # cases a week: an excess below half a case is none, however quiet the series
BURN_IN = 10  # weeks before the first judged one through which the sums are already carried
NODES = ((-math.sqrt(3.0), 1 / 6), (0.0, 2 / 3), (math.sqrt(3.0), 1 / 6))  # Gauss-Hermite, in standard errors
PRIOR = 0.25  # precision of a weak prior on the coefficients of the log mean: sd 2
CLEARLY = 3.0  # log likelihood by which a variance growing with the square must win: odds of twenty
MOST_CASES = 10_000_000.0  # a larger weekly count is an error, not a count


@dataclass(frozen=True, slots=True)
class WeeklySettings:
    """What the detector believes and promises."""

    false_alarms_per_week: float = 0.005  # promised rate of alarms in weeks without excess, those after one included
    period: float = 52.0  # weeks of the annual cycle
    harmonics: int = 2  # at most so many, chosen by BIC
    excesses: tuple[float, ...] = (1.0, 2.0, 3.5, 6.0)  # sizes that are looked for, in standard deviations a week
    onset: float = 0.01  # prior chance that an excess begins in a week
    stays: float = 0.4  # chance that it is still there the week after
    past_onset: float = 0.02  # prior share of past weeks with an excess
    past_excesses: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0)  # their sizes, standard deviations
    paths: int = 2000  # simulated series behind the threshold
    seed: int = 20231005


@dataclass(frozen=True, eq=False)
class WeeklyBaseline:
    """What the past says of every week."""

    coefficients: FloatArray  # (p,), of the log mean
    covariance: FloatArray  # (p, p)
    trend: bool
    harmonics: int
    quadratic: bool  # variance mean + a·mean² when True, mean·(1 + a) when False
    dispersion: float  # a
    dispersion_log_sd: float  # standard error of log a
    weeks: int  # past weeks behind it
    weights: FloatArray  # (weeks,), how sure it is that a past week held no excess
    period: float

    def log_mean(self, week: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the log mean of 0-based weeks and its standard error."""
        design = _design(week, self.weeks, self.period, self.harmonics, trend=self.trend)
        spread = np.einsum("ij,jk,ik->i", design, self.covariance, design)
        return np.clip(design @ self.coefficients, -15.0, 16.0), np.sqrt(np.maximum(spread, 0.0))


@dataclass(frozen=True, slots=True)
class WeeklyLook:
    """What the detector says of one week."""

    week: int  # 0-based
    observed: float  # NaN: not seen
    expected: float
    log_odds: float  # of an excess now against none
    rate: float  # share of weeks without excess whose odds are at least so high; never below what was simulated
    alarm: bool


def weekly_counts(observations: Sequence[Observation]) -> tuple[date, FloatArray]:
    """Return the first Monday of a site's series and the mean count of each week's looks, NaN where none counted.

    So a second opinion on the judge: whole weeks hide what one look shows, and say nothing of how sure a count is.

    Raises
    ------
    SeriesError
        When no look counts.
    """
    weeks: dict[int, list[float]] = {}
    for row in observations:
        if row.count is None or row.outcome not in (Outcome.COUNTED, Outcome.FLAGGED) or row.superseded_by:
            continue
        if UNJUDGED.isdisjoint((*row.flags, *row.count.flags)):
            monday = (row.observed_at.astimezone(UTC).date().toordinal() - 1) // 7
            weeks.setdefault(monday, []).append(row.count.railcars)
    if not weeks:
        raise SeriesError("no look counts railcars, so there is no weekly series.")
    first = min(weeks)
    out = np.full(max(weeks) - first + 1, np.nan)
    for week, values in weeks.items():
        out[week - first] = round(sum(values) / len(values))
    return date.fromordinal(7 * first + 1), out


def fit_weekly(past: Sequence[float] | FloatArray, settings: WeeklySettings = WeeklySettings()) -> WeeklyBaseline:
    """Fit the baseline on past weeks.

    A trend and up to two harmonics enter where BIC wants them; variance grows with the mean or its square, the latter
    where it is clearly likelier. Each past week may have held an excess: it counts as much as it is likely that it
    did not (EM).

    Parameters
    ----------
    past : array
        (T,), counts a week, NaN for weeks without one.

    Raises
    ------
    SeriesError
        When a count is impossible, or there are fewer than 26.
    """
    y = _checked(past)
    week = np.flatnonzero(np.isfinite(y))
    if week.size < LEAST_WEEKS:
        raise SeriesError(
            f"cannot judge yet: {week.size} weeks with a count, and a weekly baseline needs {LEAST_WEEKS}."
        )
    seen = y[week]
    most = settings.harmonics if len(y) >= 2 * settings.period else 0
    forms = [(trend, harmonics) for trend in (False, True) for harmonics in range(most + 1)]
    fits = [_fit(seen, week, len(y), trend, harmonics, False, settings) for trend, harmonics in forms]
    bic = [-2.0 * log_like + len(made.coefficients) * math.log(week.size) for log_like, made in fits]
    log_linear, linear = fits[int(np.argmin(bic))]
    log_square, square = _fit(seen, week, len(y), linear.trend, linear.harmonics, True, settings)
    return square if log_square > log_linear + CLEARLY else linear


def watch_weekly(
    baseline: WeeklyBaseline,
    counts: Sequence[float] | FloatArray,
    first: int,
    settings: WeeklySettings = WeeklySettings(),
) -> tuple[WeeklyLook, ...]:
    """Judge the weeks from `first` on against a baseline fitted on earlier ones.

    A week's answer depends on the counts up to that week only, so later weeks never change it.

    Parameters
    ----------
    baseline : WeeklyBaseline
    counts : array
        (T,), the whole series, the baseline's weeks first; NaN where a week has no count.
    first : int
        0-based first week to judge.

    Raises
    ------
    SeriesError
        When a count is impossible.
    """
    y = _checked(counts)
    begin = max(0, first - BURN_IN)
    span = np.arange(begin, len(y))
    if first >= len(y):
        return ()
    model = _Model(baseline, span, settings)
    odds = model.log_odds(y[None, begin:])[0]
    null = np.sort(_null_odds(baseline, first, settings))
    mean, _ = baseline.log_mean(span)
    out = []
    for week in range(first, len(y)):
        value = float(odds[week - begin])
        stronger = null.size - int(np.searchsorted(null, value - 1e-9, side="left"))
        rate = (stronger + 1) / (null.size + 1)
        seen = bool(np.isfinite(y[week]))
        alarm = seen and rate <= settings.false_alarms_per_week
        expected = float(np.exp(mean[week - begin]))
        out.append(WeeklyLook(week, float(y[week]), expected, value, rate, alarm))
    return tuple(out)


# -- the sums -------------------------------------------------------------------------------------------------


class _Model:
    """Likelihoods of the weeks of a span without and with an excess of each size, and the sums over them."""

    def __init__(self, baseline: WeeklyBaseline, span: IntArray, settings: WeeklySettings) -> None:
        log_mean, se = baseline.log_mean(span)
        self._baseline, self._settings = baseline, settings
        self._means = np.exp(np.array([log_mean + shift * se for shift, _ in NODES]))  # (nodes, weeks)
        self._shares = np.log(np.array([share for _, share in NODES]))
        middle = np.exp(log_mean)
        sd = np.sqrt(_variance(middle, baseline.dispersion, quadratic=baseline.quadratic))
        excess = np.array([np.zeros_like(sd), *(np.maximum(c * sd, LEAST_EXCESS) for c in settings.excesses)])
        self._excess = excess  # (1 + sizes, weeks), cases

    def log_odds(self, counts: FloatArray) -> FloatArray:
        """Return the log odds of an excess in each week given the counts up to it.

        Parameters
        ----------
        counts : ndarray
            (series, weeks), NaN where there is no count.

        Returns
        -------
        ndarray
            (series, weeks).
        """
        sizes = len(self._settings.excesses)
        onset, stays = self._settings.onset, self._settings.stays
        none = np.ones(len(counts))
        some = np.zeros((len(counts), sizes))
        out = np.empty_like(counts)
        for j in range(counts.shape[1]):
            ratio = self._ratios(counts[:, j], j)
            # An excess begins, or stays from the week before; one that has ended is no excess now.
            some, none = (
                (onset / sizes * none[:, None] + stays * some) * ratio,
                (1.0 - onset) * none + (1.0 - stays) * some.sum(axis=1),
            )
            total = none + some.sum(axis=1)
            none, some = none / total, some / total[:, None]
            out[:, j] = np.log(np.maximum(some.sum(axis=1), 1e-300)) - np.log(np.maximum(none, 1e-300))
        return out

    def _ratios(self, counts: FloatArray, j: int) -> FloatArray:
        """Return likelihood ratios (series, sizes) of an excess of each size against none in the span's week `j`."""
        values, back = np.unique(counts, return_inverse=True)
        out = np.ones((len(values), len(self._settings.excesses)))
        seen = np.isfinite(values)
        if seen.any():
            means = self._means[:, j][:, None, None] + self._excess[:, j][None, :, None]
            log_like = _log_pmf(values[seen], means, self._baseline.dispersion, quadratic=self._baseline.quadratic)
            joint = np.logaddexp.reduce(log_like + self._shares[:, None, None], axis=0)  # (1 + sizes, values)
            out[seen] = np.exp(np.minimum(joint[1:] - joint[:1], 300.0)).T
        return np.asarray(out[back])


def _null_odds(baseline: WeeklyBaseline, first: int, settings: WeeklySettings) -> FloatArray:
    """Return the log odds that weeks without excess give, over the year from `first`.

    Parameters are drawn anew for each path, and excesses come as often as they are believed to have come in the past:
    the weeks just after one are weeks without excess too, and the likeliest to be taken for one.
    """
    rng = np.random.default_rng(settings.seed)
    begin = max(0, first - BURN_IN)
    span = np.arange(begin, first + round(settings.period))
    design = _design(span, baseline.weeks, baseline.period, baseline.harmonics, trend=baseline.trend)
    drawn = rng.multivariate_normal(baseline.coefficients, baseline.covariance, settings.paths, method="eigh")
    mean = np.exp(np.clip(drawn @ design.T, -15.0, 16.0))
    spread = baseline.dispersion * np.exp(rng.standard_normal(settings.paths) * baseline.dispersion_log_sd)
    size = _size(mean, spread[:, None], quadratic=baseline.quadratic)
    counts = rng.negative_binomial(size, size / (size + mean)).astype(np.float64)
    sd = np.sqrt(_variance(mean, baseline.dispersion, quadratic=baseline.quadratic))
    excess, now = np.zeros_like(mean), np.zeros(settings.paths)
    begins = settings.past_onset * (1.0 - settings.stays)
    for j in range(mean.shape[1]):
        fresh = np.where(rng.random(settings.paths) < begins, rng.choice(settings.excesses, settings.paths), 0.0)
        now = np.where((now > 0) & (rng.random(settings.paths) < settings.stays), now, fresh)
        excess[:, j] = np.where(now > 0, np.maximum(now * sd[:, j], LEAST_EXCESS), 0.0)
    odds = _Model(baseline, span, settings).log_odds(counts + rng.poisson(excess))
    return np.asarray(odds[:, first - begin :][excess[:, first - begin :] == 0.0])


# -- the baseline ---------------------------------------------------------------------------------------------


def _fit(
    y: FloatArray,
    week: IntArray,
    weeks: int,
    trend: bool,
    harmonics: int,
    quadratic: bool,
    settings: WeeklySettings,
) -> tuple[float, WeeklyBaseline]:
    """Return the log likelihood and the baseline of one form, by EM over which weeks held an excess."""
    design = _design(week, weeks, settings.period, harmonics, trend=trend)
    clean = np.ones(len(y))
    middle = np.zeros(design.shape[1])
    middle[0] = math.log(max(float(y.mean()), 0.5 / len(y)))  # an all-zero past is not a mean of zero
    coefficients = middle
    spread, log_like, information = 0.5, 0.0, np.eye(design.shape[1])
    for turn in range(12):
        for _ in range(3 if turn else 8):
            mean = np.exp(np.clip(design @ coefficients, -15.0, 16.0))
            variance = _variance(mean, spread, quadratic=quadratic)
            worth = clean * mean**2 / variance
            information = design.T @ (worth[:, None] * design) + PRIOR * np.eye(len(coefficients))
            gradient = design.T @ (clean * (y - mean) * mean / variance) - PRIOR * (coefficients - middle)
            coefficients = coefficients + np.clip(np.linalg.solve(information, gradient), -2.0, 2.0)
        mean = np.exp(np.clip(design @ coefficients, -15.0, 16.0))

        def loss(log_spread: float, mean: FloatArray = mean, clean: FloatArray = clean) -> float:
            return -float(clean @ _log_pmf(y, mean, math.exp(log_spread), quadratic=quadratic))

        found = float(minimize_scalar(loss, bounds=(-7.0, 4.0), method="bounded", options={"xatol": 0.01}).x)
        spread = math.exp(found)
        quiet = math.log1p(-settings.past_onset) + _log_pmf(y, mean, spread, quadratic=quadratic)
        odd = math.log(settings.past_onset) + _log_odd(y, mean, spread, quadratic, settings)
        log_like = float(np.logaddexp(quiet, odd).sum())
        before, clean = clean, 1.0 / (1.0 + np.exp(np.clip(odd - quiet, -50.0, 50.0)))
        if float(np.abs(clean - before).max()) < 1e-3:
            break
    curvature = (loss(found + 0.2) - 2.0 * loss(found) + loss(found - 0.2)) / 0.04
    log_sd = 1.0 / math.sqrt(curvature) if curvature > 1.0 else 1.0
    weights = np.zeros(weeks)
    weights[week] = clean
    covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
    made = WeeklyBaseline(
        coefficients, covariance, trend, harmonics, quadratic, spread, log_sd, weeks, weights, settings.period
    )
    return log_like, made


def _log_odd(y: FloatArray, mean: FloatArray, spread: float, quadratic: bool, settings: WeeklySettings) -> FloatArray:
    """Return the log likelihood of weeks with an excess of any size."""
    sd = np.sqrt(_variance(mean, spread, quadratic=quadratic))
    sizes = np.array([np.maximum(c * sd, LEAST_EXCESS) for c in settings.past_excesses])
    each = _log_pmf(y, mean + sizes, spread, quadratic=quadratic)
    return np.asarray(np.logaddexp.reduce(each, axis=0) - math.log(len(sizes)))


def _design(week: IntArray, weeks: int, period: float, harmonics: int, *, trend: bool) -> FloatArray:
    columns: list[FloatArray] = [np.ones(len(week))]
    if trend:
        columns.append(np.asarray((week - weeks / 2.0) / (weeks / 2.0), dtype=np.float64))
    for j in range(1, harmonics + 1):
        angle = 2.0 * np.pi * j * week / period
        columns += [np.cos(angle), np.sin(angle)]
    return np.column_stack(columns)


def _variance(mean: FloatArray, spread: float, *, quadratic: bool) -> FloatArray:
    return mean + spread * (mean**2 if quadratic else mean)


def _size(mean: FloatArray, spread: FloatArray | float, *, quadratic: bool) -> FloatArray:
    """Return the size of the negative binomial with this mean and spread."""
    size = 1.0 / spread if quadratic else mean / spread
    return np.asarray(np.broadcast_to(size, np.broadcast_shapes(np.shape(mean), np.shape(size))))


def _log_pmf(y: FloatArray, mean: FloatArray, spread: float, *, quadratic: bool) -> FloatArray:
    size = _size(mean, spread, quadratic=quadratic)
    out = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    return np.asarray(out + size * np.log(size / (size + mean)) + y * np.log(mean / (size + mean)))


def _checked(counts: Sequence[float] | FloatArray) -> FloatArray:
    y = np.asarray(counts, dtype=np.float64)
    if y.ndim != 1:
        raise SeriesError(f"a weekly series is one row of counts, not an array of shape {y.shape}.")
    bad = np.flatnonzero(~np.isnan(y) & ~((y >= 0) & (y <= MOST_CASES)))
    if bad.size:
        raise SeriesError(f"week {bad[0]} holds {y[bad[0]]!r}, which is no count; leave weeks without a count NaN.")
    return y
