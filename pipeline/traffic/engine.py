"""The judge's one recursion, over any number of series with the same look dates at once.

The live series is a stack of one; calibration runs many simulated quiet yards through the very same code, so that a
threshold is checked on what will use it. Everything here is causal: a step sees the looks up to its own.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.config import AlarmSettings
from pipeline.traffic.family import (
    BASE,
    KINDS,
    ODD,
    PAD,
    RATIO_SHIFT,
    SPAN,
    STATES,
    STEADY,
    family,
    season_shifts,
    steady_nodes,
)
from pipeline.traffic.window import Window

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

AFTER_ALARM = 0.2  # weight of the looks of an episode of tier alert or high once it has ended
BEFORE_REGIME = 0.02  # weight of the looks before a new regime
BEFORE_BREAK = 0.03  # weight of the looks before a canopy: they counted more of the yard
CALM_LOOKS = 2  # telling looks inside the band that end an episode
KEEP_DAYS = 400.0  # beyond the baseline window, for windows frozen by an episode
SUM_CAP = 1e30  # the pooled statistic is held below this; it orders nothing above
SMALLEST_TAIL = 1e-30  # the same for the tail of a single look

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
    state: Float32Array  # (S, STATES), P(look | state of the yard)
    best: FloatArray  # (S,), middle of the look's likelihood, railcars; the edge of a lower limit
    edge: FloatArray  # (S,), largest number that the look does not contradict, railcars
    informative: BoolArray  # (S,)
    upper_limit: BoolArray  # (S,), zero is not contradicted: can calm, never alarm


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
    weights: Float32Array  # (S, SPAN), posterior before this look, lifted by the season


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
        return _extended(x, self.look_x, self.look_y)

    def of_sum(self, x: FloatArray) -> FloatArray:
        """Return the score of log pooled statistics."""
        return _extended(x, self.sum_x, self.sum_y)


def _extended(x: FloatArray, at: FloatArray, y: FloatArray) -> FloatArray:
    # Beyond the largest simulated value only the order matters: a rate below what was checked is never printed.
    out = np.interp(x, at, y, left=-np.inf)
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
        self.sums: FloatArray = np.zeros((size, len(RATIO_SHIFT) + len(STEADY)))  # Shiryaev–Roberts, a surge each
        self.sums_before: FloatArray = self.sums.copy()
        self.is_open: BoolArray = np.zeros(size, dtype=np.bool_)
        self.since: FloatArray = np.full(size, np.nan)  # day on which the open episode began
        self.rise: FloatArray = np.zeros_like(self.sums)  # log evidence since each surge would best have begun
        self.rise_before: FloatArray = np.zeros_like(self.sums)
        # Probabilities of the yard's state after the last look, were all quiet; rows sum to 1.
        self.filter: Float32Array = np.full((size, STATES), 1.0 / STATES, dtype=np.float32)
        self.filter_before: Float32Array = self.filter.copy()
        self.calm: IntArray = np.zeros(size, dtype=np.int64)
        self.calm_before: IntArray = np.zeros(size, dtype=np.int64)
        self.gap: FloatArray = np.full(size, 1e9)  # days between this day's look and the informative one before
        self.last: FloatArray = np.full(size, -1e9)  # day of the last informative look
        self.strongest: FloatArray = np.full(size, -1e9)  # score of the open episode
        self.peak: FloatArray = np.zeros(size)  # largest number since no surge was in sight, railcars
        self.peak_before: FloatArray = np.zeros(size)
        self.broken: BoolArray = np.zeros(size, dtype=np.bool_)  # the open episode began before a break
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
        """Return (S, BASE) probabilities at their (S, SPAN) places on the lattice, moved by the season."""
        out = np.zeros((self.size, SPAN), dtype=np.float32)
        shift = season_shifts(t)[self.window.season]
        for step in np.unique(shift):
            first = (PAD + int(step)) * KINDS
            rows = shift == step
            if rows.all():
                out[:, first : first + BASE] = weights
            else:
                out[rows, first : first + BASE] = weights[rows]
        return out

    def enough(self) -> BoolArray:
        """Tell for each series whether enough looks stand behind the baseline."""
        return np.asarray(self.window.count >= self.settings.min_baseline_looks)

    def step(self, reading: Reading) -> Step:
        """Judge one date's looks and take them in."""
        t, fam = reading.day, family()
        self.prepare(t)
        again = bool(np.floor(t) == np.floor(self.last_day))
        weights = self.lifted(self.posterior(t), t)
        like = reading.like
        p_look = np.clip(_average(weights, reading.tail), SMALLEST_TAIL, 1.0)
        expected, empty = weights @ fam.mean[:SPAN], weights @ fam.empty[:SPAN]

        gap = self.gap if again else np.where(reading.informative, t - self.last, self.gap)
        fresh = np.where(reading.informative, -np.expm1(-np.maximum(gap, 0.0) / self.dwell_days), 0.0)
        before = self.sums_before if again else self.sums
        quiet = self._quiet(weights, reading, gap, again=again)
        ratios = np.stack(self._surges(weights, like, expected), axis=1) / quiet[:, None]
        sums = np.minimum((1.0 + before) * ratios, SUM_CAP)
        judged = self.enough()
        sums[~judged] = 0.0
        sums = np.where(reading.informative[:, None], sums, before)
        log_sum = np.log(np.maximum(sums.mean(axis=1), 1e-12))

        inside = (p_look >= np.where(empty > 0.05, 0.10, 0.05)) | reading.upper_limit
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
        able = judged & reading.informative & ~reading.upper_limit
        large = able & (reading.best >= least)
        lasting = able & (self.peak >= least) & (reading.best >= (expected + least) / 2.0)
        score, by_sum = self._score(p_look, log_sum, large, lasting)

        self.sums_before, self.sums = before.copy(), sums
        self.gap = gap
        looks = self.window.count.copy()
        self.window.put(t, reading.table, reading.row, fresh, reading.best, replace=again)
        event = self._episodes(t, score, inside, telling, again=again)
        self.last = np.where(reading.informative, t, self.last)
        self.last_day = t
        return Step(
            expected, p_look, log_sum, score, by_sum, rise, inside, telling, judged, looks, event,
            self.is_open.copy(), weights,
        )  # fmt: skip

    def _quiet(self, weights: Float32Array, reading: Reading, gap: FloatArray, *, again: bool) -> FloatArray:
        """Return P(look | quiet, the looks before) and follow the yard's state, as it would be were all quiet.

        A state stays with probability exp(-gap / dwell), otherwise it is drawn anew from the baseline: a second look
        at the same standing cars is no second piece of evidence, other cars of the same number are.
        """
        stays = np.exp(-np.maximum(gap, 0.0) / self.dwell_days)[:, None].astype(np.float32)
        former = self.filter_before if again else self.filter
        now = (stays * former + (1.0 - stays) * (weights @ family().states)) * reading.state
        quiet = np.maximum(now.sum(axis=1, dtype=np.float64), 1e-12)
        self.filter_before = former
        after = (now / quiet[:, None]).astype(np.float32)
        self.filter = np.where(reading.informative[:, None], after, former)
        return np.asarray((1.0 - ODD) * quiet + ODD * reading.state.mean(axis=1))

    def _surges(self, weights: Float32Array, like: Float32Array, expected: FloatArray) -> list[FloatArray]:
        """Return P(look | surge) for each surge that the pooled statistic looks for.

        More of the same: the quiet family with 2, 4 and 8 times the mean. Steady: traffic that fills the yard day by
        day, narrow about a multiple of what is expected, but by no less than the effect floor.
        """
        more = [_average(weights, like[:, steps * KINDS :]) for steps in RATIO_SHIFT]
        every, excess = np.arange(self.size), self.settings.min_excess_cars
        for ratio in STEADY:
            level = np.maximum(ratio * expected, expected + excess * ratio / 2.0)
            more.append(like[every, steady_nodes(level)].astype(np.float64))
        return more

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
        self.window.rebuild(rows)


def _average(weights: Float32Array, values: Float32Array) -> FloatArray:
    """Return the average of values at the first `SPAN` nodes, (S, SPAN or more), over the posterior."""
    return np.asarray(np.einsum("sj,sj->s", weights, values[:, :SPAN]), dtype=np.float64)
