"""The judge's one recursion, over any number of series with the same look dates at once.

The live series is a stack of one; calibration runs many simulated quiet yards through the very same code, so that a
threshold is checked on what will use it. Everything here is causal: a step sees the looks up to its own.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.config import AlarmSettings
from pipeline.traffic.family import BASE, KINDS, NODES, PAD, family, season_shifts, steady_place
from pipeline.traffic.likelihood import DAYS_A_YEAR
from pipeline.traffic.trend import moved, spread
from pipeline.traffic.window import Window

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

AFTER_ALARM = 0.2  # weight of the looks of an episode of tier alert or high once it has ended
BEFORE_REGIME = 0.02  # weight of the looks before a new regime
BEFORE_BREAK = 0.03  # weight of the looks before a canopy: they counted more of the yard
CALM_LOOKS = 2  # telling looks inside the band that end an episode
KEEP_DAYS = 1470.0  # beyond the baseline window, for its season and for windows frozen by an episode
# What the prediction leaves outside the band that holds 90 %: its shape is estimated, and where quiet traffic is of
# another family a band of nominal 90 % held 85 to 88 %, one of 92 % held 87 to 89 %
# (tests/benchmarks/bench_traffic_rates.py).
BAND_TAIL = 0.066
SUM_CAP = 1e30  # the pooled statistic is held below this; it orders nothing above
SMALLEST_TAIL = 1e-30  # the same for the tail of a single look

# What the sum looks for: ratios to what is expected, by no less than so many times the effect floor's excess.
SURGES = ((2.7, 1.0), (3.5, 1.5), (5.0, 2.5), (8.0, 4.0))
# The single look has e to this power less of the budget than the sum: what it is for is far above the threshold.
LOOK_COST = 1.2
STEADY = 0.85  # share of a surge's looks that show it; the others are as on quiet days

# What became of a series at a step.
NOTHING, OPENED, ENDED, REGIME = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Reading:
    """What one date's looks say to the recursion; S series."""

    day: float  # days since 1970-01-01
    table: Float32Array  # (estimates, NODES), log P(estimate | node)
    row: IntArray  # (S,), the estimate of each series: a row of the table
    like: Float32Array  # (S, NODES), P(look | node)
    tail: Float32Array  # (S, NODES), P(a quiet estimate >= this one | node)
    steady: Float32Array  # (S, STEADY_LEVELS), P(look | steady traffic about the level)
    best: FloatArray  # (S,), middle of the look's likelihood, railcars; the edge of a lower limit
    edge: FloatArray  # (S,), largest number that the look does not contradict, railcars
    informative: BoolArray  # (S,)
    upper_limit: BoolArray  # (S,), it says "at most" and no more: can calm, never alarm
    above_zero: BoolArray  # (S,), an empty yard is contradicted: without that nothing alarms


@dataclass(frozen=True, eq=False)
class Step:
    """What the recursion answers for one date; S series."""

    expected: FloatArray  # (S,), railcars
    p_look: FloatArray  # (S,), predictive tail of this look alone
    log_sum: FloatArray  # (S,), log of the pooled statistic
    score: FloatArray  # (S,), -log of the calibrated rate a year; -inf where no alarm is possible. Without scores:
    # 1 where the single look may alarm, plus 2 where the sum may
    by_sum: BoolArray  # (S,), the pooled statistic is the stronger one
    rise: FloatArray  # (S, surges), log evidence for each since it would best have begun; 0: it has not
    inside: BoolArray  # (S,), inside the 90 % band
    telling: BoolArray  # (S,), says whether traffic is above the baseline: neither blank nor a loose upper limit
    judged: BoolArray  # (S,), enough looks stand behind the baseline
    looks: FloatArray  # (S,), looks behind the baseline
    event: IntArray  # (S,), NOTHING, OPENED, ENDED, REGIME
    open: BoolArray  # (S,), an episode is open after this look
    weights: Float32Array  # (S, NODES), posterior before this look, lifted by the season


@dataclass(frozen=True, eq=False)
class Scores:
    """How the two statistics become one score: -log of a rate a year, from simulated quiet yards."""

    look_x: FloatArray  # -log tail, ascending
    look_y: FloatArray  # score
    sum_x: FloatArray  # log pooled statistic, ascending
    sum_y: FloatArray
    watch: float  # score from which an episode opens
    alert: float  # score from which its looks are kept out of the baseline: leaving every watch out would bias it

    def of_look(self, x: FloatArray) -> FloatArray:
        """Return the score of -log tails, extended linearly beyond the last simulated value."""
        return _extended(x, self.look_x, self.look_y) - LOOK_COST

    def of_sum(self, x: FloatArray) -> FloatArray:
        """Return the score of log pooled statistics."""
        return _extended(x, self.sum_x, self.sum_y)


def _extended(x: FloatArray, at: FloatArray, y: FloatArray) -> FloatArray:
    # Beyond the largest simulated value only the order matters: a rate below what was checked is never printed. Below
    # the smallest, the rate is that of all runs together: where hardly any ever came, any is rare.
    out = np.interp(x, at, y)
    return np.asarray(np.where(x > at[-1], y[-1] + (x - at[-1]), out))


class Engine:
    """State of S series; `step` moves it by one look."""

    def __init__(
        self, size: int, settings: AlarmSettings, scores: Scores | None = None, dwell_days: float = 4.0
    ) -> None:
        self.size = size
        self.settings = settings
        self.scores = scores  # None: statistics only, no episodes
        self.dwell_days = dwell_days
        keep = settings.baseline_days + max(KEEP_DAYS, 2.0 * settings.new_regime_days)
        self.window = Window(size, float(settings.guard_days), float(settings.baseline_days), keep)
        self.sums: FloatArray = np.zeros((size, len(SURGES)))  # Shiryaev–Roberts, a surge each
        self.sums_before: FloatArray = self.sums.copy()
        self.is_open: BoolArray = np.zeros(size, dtype=np.bool_)
        self.since: FloatArray = np.full(size, np.nan)  # day on which the open episode began
        self.rise: FloatArray = np.zeros_like(self.sums)  # log evidence since each surge would best have begun
        self.rise_before: FloatArray = np.zeros_like(self.sums)
        self.calm: IntArray = np.zeros(size, dtype=np.int64)
        self.calm_before: IntArray = np.zeros(size, dtype=np.int64)
        self.gap: FloatArray = np.full(size, 1e9)  # days between this day's look and the informative one before
        self.last: FloatArray = np.full(size, -1e9)  # day of the last informative look
        self.strongest: FloatArray = np.full(size, -1e9)  # score of the open episode
        self.peak: FloatArray = np.zeros(size)  # largest number since no surge was in sight, railcars
        self.peak_before: FloatArray = np.zeros(size)
        self.broken: BoolArray = np.zeros(size, dtype=np.bool_)  # the open episode began before a break
        self.trend: FloatArray = np.zeros(size)  # of what is counted, log a year
        self.middle: FloatArray = np.full(size, np.nan)  # mean day of the baseline's looks, while there is a trend
        self.last_day = -1.0
        self.last_year = 0

    def copy(self) -> Engine:
        """Return an engine in the same state that goes its own way; the looks' tables are shared."""
        shared: dict[int, object] = {id(table): table for table in self.window.tables}
        return deepcopy(self, shared)

    # -- the step ---------------------------------------------------------------------------------------------

    def prepare(self, t: float) -> bool:
        """Bring the baseline to a day before its look is known; return True when a calendar year begins with it."""
        year = datetime.fromtimestamp(t * 86400.0, tz=UTC).year
        turned = year != self.last_year
        if turned and self.window.days:
            free = ~self.is_open
            self.window.rebuild(np.flatnonzero(free))  # afresh: rounding does not pile up over decades
            self.window.choose_season(free)
        self.last_year = year
        self.window.move(t, ~self.is_open)
        return turned

    def posterior(self, t: float) -> Float32Array:
        """Return the (S, BASE) probabilities of the nodes on a day, from the baseline as it stands."""
        reference = np.where(self.is_open, self.since, t)
        logits = self.window.total * self.window.fade(reference)[:, None]
        logits += family().prior
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits.astype(np.float32))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def lifted(self, weights: Float32Array, t: float) -> Float32Array:
        """Return (S, BASE) probabilities at their (S, NODES) places on the lattice, moved by the season."""
        out = np.zeros((self.size, NODES), dtype=np.float32)
        shift = season_shifts(t)[self.window.season]
        for step in np.unique(shift):
            first = (PAD + int(step)) * KINDS
            rows = shift == step
            if rows.all():
                out[:, first : first + BASE] = weights
            else:
                out[rows, first : first + BASE] = weights[rows]
        return out

    def ahead(self, t: float) -> FloatArray:
        """Return by how much the trend has lifted each series since the baseline's middle, (S,), log."""
        if not self.trend.any() or self.window.entered == self.window.expired:
            return np.zeros(self.size)
        self.middle = np.where(self.is_open, self.middle, self.window.middle())
        return np.nan_to_num(self.trend * (t - self.middle) / DAYS_A_YEAR)

    def enough(self) -> BoolArray:
        """Tell for each series whether enough looks stand behind the baseline."""
        return np.asarray(self.window.count >= self.settings.min_baseline_looks)

    def step(self, reading: Reading) -> Step:
        """Judge one date's looks and take them in."""
        t, fam = reading.day, family()
        self.prepare(t)
        again = bool(np.floor(t) == np.floor(self.last_day))
        weights, ahead = self.lifted(self.posterior(t), t), self.ahead(t)
        if ahead.any():
            reading = replace(reading, like=moved(reading.like, ahead), tail=moved(reading.tail, ahead))
        p_look = np.clip(_average(weights, reading.tail), SMALLEST_TAIL, 1.0)
        expected, empty = (weights @ fam.mean) * np.exp(ahead), weights @ fam.empty

        gap = self.gap if again else np.where(reading.informative, t - self.last, self.gap)
        fresh = np.where(reading.informative, -np.expm1(-np.maximum(gap, 0.0) / self.dwell_days), 0.0)
        before = self.sums_before if again else self.sums
        # A second look at the same standing cars is no second piece of evidence: it counts as far as it is fresh.
        ratios = self._ratios(weights, reading, expected) ** fresh[:, None]
        sums = np.minimum((1.0 + before) * ratios, SUM_CAP)
        judged = self.enough()
        sums[~judged] = 0.0
        sums = np.where(reading.informative[:, None], sums, before)
        log_sum = np.log(np.maximum(sums.mean(axis=1), 1e-12))

        inside = (p_look >= np.where(empty > 0.05, BAND_TAIL, BAND_TAIL / 2.0)) | reading.upper_limit
        least = np.maximum(
            self.settings.min_ratio * np.maximum(expected, 1.0), expected + self.settings.min_excess_cars
        )
        telling = reading.informative & (~reading.upper_limit | (reading.edge <= least))
        # The effect floor: for the single look its own number, for the sum the largest since no surge was in sight,
        # when this look too lies nearer to that than to the baseline.
        peak = self.peak_before if again else self.peak
        told = np.where(reading.informative & ~reading.upper_limit, reading.best, 0.0)
        self.peak_before = peak
        former = self.rise_before if again else self.rise
        grown = np.maximum(former + np.log(np.maximum(ratios, 1e-12)), 0.0)
        rise = np.where(reading.informative[:, None], grown, former)
        self.rise_before, self.rise = former, rise
        self.peak = np.where((rise == 0.0).all(axis=1), told, np.maximum(peak, told))
        able = judged & reading.informative & ~reading.upper_limit & reading.above_zero
        large = able & (reading.best >= least)
        lasting = able & (self.peak >= least) & (reading.best >= (expected + least) / 2.0)
        score, by_sum = self._score(p_look, log_sum, large, lasting)

        self.sums_before, self.sums = before.copy(), sums
        self.gap = gap
        looks = self.window.count.copy()
        # n looks with correlation c from one to the next tell as much as n (1 - c) / (1 + c) independent ones.
        self.window.put(t, reading.table, reading.row, fresh / (2.0 - fresh), reading.best, replace=again)
        event = self._episodes(t, score, inside, telling, again=again)
        self.last = np.where(reading.informative, t, self.last)
        self.last_day = t
        return Step(
            expected, p_look, log_sum, score, by_sum, rise, inside, telling, judged, looks, event,
            self.is_open.copy(), spread(weights, ahead) if ahead.any() else weights,
        )  # fmt: skip

    def _ratios(self, weights: Float32Array, reading: Reading, expected: FloatArray) -> FloatArray:
        """Return P(look | surge) / P(look | quiet), (S, surges), for the surges that the pooled statistic looks for.

        A surge is steady: traffic that fills the yard day by day about a multiple of what is expected, but by no less
        than the effect floor, on all but a few looks.
        """
        quiet = np.maximum(_average(weights, reading.like), 1e-12)
        every, excess = np.arange(self.size), self.settings.min_excess_cars
        out = np.empty((self.size, len(SURGES)))
        for i, (ratio, least) in enumerate(SURGES):
            level = np.maximum(ratio * expected, expected + least * excess)
            out[:, i] = STEADY * reading.steady[every, steady_place(level)] / quiet + (1.0 - STEADY)
        return out

    def _score(
        self, p_look: FloatArray, log_sum: FloatArray, large: BoolArray, lasting: BoolArray
    ) -> tuple[FloatArray, BoolArray]:
        if self.scores is None:
            return np.where(large, 1.0, 0.0) + np.where(lasting, 2.0, 0.0), lasting
        a = np.where(large, self.scores.of_look(-np.log(p_look)), -np.inf)
        b = np.where(lasting, self.scores.of_sum(log_sum), -np.inf)
        return np.maximum(a, b), b > a

    # -- episodes ---------------------------------------------------------------------------------------------

    def break_off(self, t: float) -> None:
        """Make the looks before a day weigh little: from then on the same traffic shows as another number."""
        before = np.flatnonzero(np.array(self.window.days) < t)
        self.window.weight[before] *= BEFORE_BREAK
        self.broken |= self.is_open
        self.window.rebuild(np.arange(self.size))

    def _episodes(
        self, t: float, score: FloatArray, inside: BoolArray, telling: BoolArray, *, again: bool
    ) -> IntArray:
        event = np.zeros(self.size, dtype=np.int64)
        if self.scores is None:
            return event
        opening = ~self.is_open & (score >= self.scores.watch)
        if opening.any():
            event[opening] = OPENED
            self.is_open |= opening
            self.since[opening] = t
            self.calm[opening] = 0
        self.strongest = np.where(self.is_open, np.maximum(self.strongest, score), -1e9)
        calm = self.calm_before if again else self.calm
        self.calm_before = calm.copy()
        now = np.where(telling, np.where(inside, calm + 1, 0), calm)
        self.calm = np.where(self.is_open & ~opening & ~self.broken, now, 0)
        ended = self.is_open & (self.calm >= CALM_LOOKS)
        regime = self.is_open & ~ended & (t - self.since >= self.settings.new_regime_days)
        if ended.any() or regime.any():
            self._close(ended, regime)
            event[ended], event[regime] = ENDED, REGIME
        return event

    def _close(self, ended: BoolArray, regime: BoolArray) -> None:
        """Weigh the looks of closed episodes and sum their windows again."""
        days = np.array(self.window.days)
        closed = ended | regime
        alert = np.inf if self.scores is None else self.scores.alert
        lasting = np.where(self.strongest >= alert, AFTER_ALARM, 1.0)
        rows = np.flatnonzero(closed)
        for row in rows:
            within = days >= self.since[row]
            factor = np.where(within, lasting[row], 1.0) if ended[row] else np.where(within, 1.0, BEFORE_REGIME)
            self.window.weight[: len(days), row] *= factor
        self.is_open &= ~closed
        self.broken &= ~closed
        self.since[closed] = np.nan
        self.calm[closed] = 0
        self.calm_before[closed] = 0
        self.sums[closed] = 0.0
        self.sums_before[closed] = 0.0
        self.rise[closed] = 0.0
        self.rise_before[closed] = 0.0
        self.peak[closed] = 0.0
        self.peak_before[closed] = 0.0
        self.window.rebuild(rows)


def _average(weights: Float32Array, values: Float32Array) -> FloatArray:
    """Return the average of values at the nodes, (S, NODES), over the posterior."""
    return np.asarray(np.einsum("sj,sj->s", weights, values), dtype=np.float64)
