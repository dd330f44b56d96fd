"""The judge's one recursion, over any number of series with the same look dates at once.

The live series is a stack of one; calibration runs many simulated quiet yards through the very same code, so that a
threshold is checked on what will use it. Everything here is causal: a step sees the looks up to its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.config import AlarmSettings
from pipeline.traffic.family import (
    DISPERSIONS,
    KINDS,
    LATTICE,
    LEVELS,
    PAD,
    RATIO_SHIFT,
    SEASONS,
    ZEROS,
    family,
    season_shift,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

Row = NDArray[np.float32] | Callable[[], NDArray[np.float32]]

HALF_LIFE_DAYS = 540.0  # older looks fade: allows a slow drift of the counting bias
AFTER_ALARM = 0.1  # weight of alarming looks once their episode has ended
BEFORE_REGIME = 0.02  # weight of the looks before a new regime
BEFORE_BREAK = 0.1  # weight of the looks before a canopy: they counted more of the yard
CALM_LOOKS = 2  # informative looks inside the band that end an episode
KEEP_DAYS = 400.0  # beyond the baseline window, for windows frozen by an episode
SUM_CAP = 1e30  # the pooled statistic is held below this; it orders nothing above

# What became of a series at a step.
NOTHING, OPENED, ENDED, REGIME = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Reading:
    """What one date's looks say to the recursion; S series."""

    day: float  # days since 1970-01-01
    log_like: FloatArray  # (S, LATTICE × KINDS), log P(look | node)
    tail: FloatArray  # (S, LATTICE × KINDS), P(a quiet estimate >= this one | node)
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
    score: FloatArray  # (S,), -log of the calibrated rate a year; -inf where no alarm is possible
    by_sum: BoolArray  # (S,), the pooled statistic is the stronger one
    inside: BoolArray  # (S,), inside the 90 % band
    telling: BoolArray  # (S,), says whether traffic is above the baseline: neither blank nor a loose upper limit
    judged: BoolArray  # (S,), enough looks stand behind the baseline
    looks: FloatArray  # (S,), looks behind the baseline
    event: IntArray  # (S,), NOTHING, OPENED, ENDED, REGIME
    open: BoolArray  # (S,), an episode is open after this look
    weights: FloatArray  # (S, LEVELS × KINDS), posterior before this look
    shift: IntArray  # (S,), the season's shift on this day


@dataclass(frozen=True, eq=False)
class Scores:
    """How the two statistics become one score: -log of a rate a year, from simulated quiet yards."""

    look_x: FloatArray  # -log tail, ascending
    look_y: FloatArray  # score
    sum_x: FloatArray  # log pooled statistic, ascending
    sum_y: FloatArray
    watch: float  # score from which an episode opens

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


@dataclass
class Engine:
    """State of S series; `step` moves it by one look."""

    size: int
    settings: AlarmSettings
    scores: Scores | None = None  # None: statistics only, no episodes
    dwell_days: float | FloatArray = 4.0  # (S,) or one for all
    days: list[float] = field(default_factory=list)  # of the looks in the ring
    ring: list[Row] = field(default_factory=list)  # (S, LATTICE × KINDS) each, or what makes it
    weight: list[FloatArray] = field(default_factory=list)  # (S,) each; 0 for looks that say nothing
    entered: int = 0  # ring index of the first look still in the guard
    expired: int = 0  # ring index of the first look still in the window
    origin: float = float("nan")

    def __post_init__(self) -> None:
        s = self.size
        self.total: FloatArray = np.zeros((s, LEVELS * KINDS))  # weighted log likelihood of the baseline
        self.count: FloatArray = np.zeros(s)
        self.season: IntArray = np.zeros(s, dtype=np.int64)
        self.sums: FloatArray = np.zeros((s, len(RATIO_SHIFT)))
        self.sums_before: FloatArray = np.zeros((s, len(RATIO_SHIFT)))
        self.is_open: BoolArray = np.zeros(s, dtype=np.bool_)
        self.since: FloatArray = np.full(s, np.nan)  # day on which the open episode began
        self.calm: IntArray = np.zeros(s, dtype=np.int64)
        self.calm_before: IntArray = np.zeros(s, dtype=np.int64)
        self.gap: FloatArray = np.full(s, 1e9)  # days between this day's look and the informative one before
        self.last: FloatArray = np.full(s, -1e9)  # day of the last informative look
        self.broken: BoolArray = np.zeros(s, dtype=np.bool_)  # the open episode began before a break
        self.last_day = -1.0
        self.last_year = 0

    # -- the step ---------------------------------------------------------------------------------------------

    def prepare(self, t: float) -> bool:
        """Bring the baseline to a day before its look is known; return True when a calendar year begins with it."""
        if np.isnan(self.origin):
            self.origin = float(np.floor(t))
        year = datetime.fromtimestamp(t * 86400.0, tz=UTC).year
        turned = year != self.last_year
        if turned and self.days:
            self._new_year()
        self.last_year = year
        self._move_window(t)
        return turned

    def posterior(self, t: float) -> FloatArray:
        """Return the (S, LEVELS × KINDS) probabilities of the nodes on a day, from the baseline as it stands."""
        reference = np.where(self.is_open, self.since, t)
        logits = family().prior + self.total * self._fade(reference)[:, None]
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def enough(self) -> BoolArray:
        """Tell for each series whether enough looks stand behind the baseline."""
        return np.asarray(self.count >= self.settings.min_baseline_looks)

    def step(self, reading: Reading) -> Step:
        """Judge one date's looks and take them in."""
        t, fam = reading.day, family()
        self.prepare(t)
        again = np.floor(t) == np.floor(self.last_day)
        shift = np.array([season_shift(int(s), t) for s in self.season]) if self.season.any() else 0 * self.season
        levels = PAD + shift[:, None] + np.arange(LEVELS)[None, :]
        weights = self.posterior(t)
        likelihood = np.exp(reading.log_like)
        quiet = _average(weights, likelihood, levels)
        p_look = np.clip(_average(weights, reading.tail, levels), 1e-300, 1.0)
        fixed = np.broadcast_to(fam.mean, likelihood.shape)
        expected = _average(weights, fixed, levels)
        empty = _average(weights, np.broadcast_to(fam.pmf[:, 0], likelihood.shape), levels)

        gap = self.gap if again else np.where(reading.informative, t - self.last, self.gap)
        fresh = np.where(reading.informative, -np.expm1(-np.maximum(gap, 0.0) / self.dwell_days), 0.0)
        before = self.sums_before if again else self.sums
        sums = np.empty_like(before)
        for r, steps in enumerate(RATIO_SHIFT):
            ratio = _average(weights, likelihood, np.minimum(levels + steps, LATTICE - 1)) / quiet
            sums[:, r] = np.minimum((1.0 + before[:, r]) * ratio**fresh, SUM_CAP)
        judged = self.enough()
        sums[~judged] = 0.0
        sums = np.where(reading.informative[:, None], sums, before)
        log_sum = np.log(np.maximum(sums.mean(axis=1), 1e-12))

        inside = (p_look >= np.where(empty > 0.05, 0.10, 0.05)) | reading.upper_limit
        least = np.maximum(
            self.settings.min_ratio * np.maximum(expected, 1.0), expected + self.settings.min_excess_cars
        )
        floor = reading.best >= least
        telling = reading.informative & (~reading.upper_limit | (reading.edge <= least))
        possible = judged & floor & reading.informative & ~reading.upper_limit
        score, by_sum = self._score(p_look, log_sum, possible)

        self.sums_before, self.sums = before.copy(), sums
        self.gap = gap
        self._take_in(t, reading, fresh, again=bool(again))
        event = self._episodes(t, score, inside, telling, again=bool(again))
        self.last = np.where(reading.informative, t, self.last)
        self.last_day = t
        return Step(
            expected, p_look, log_sum, score, by_sum, inside, telling, judged, self.count.copy(), event,
            self.is_open.copy(), weights, shift,
        )  # fmt: skip

    def _score(self, p_look: FloatArray, log_sum: FloatArray, possible: BoolArray) -> tuple[FloatArray, BoolArray]:
        if self.scores is None:
            return np.where(possible, 0.0, -np.inf), np.zeros(self.size, dtype=np.bool_)
        a, b = self.scores.of_look(-np.log(p_look)), self.scores.of_sum(log_sum)
        return np.where(possible, np.maximum(a, b), -np.inf), b > a

    # -- the window -------------------------------------------------------------------------------------------

    def _fade(self, day: FloatArray | float) -> FloatArray:
        return np.asarray(np.exp2(-(np.asarray(day, dtype=np.float64) - self.origin) / HALF_LIFE_DAYS))

    def _seen(self, index: int, season: IntArray) -> FloatArray:
        """Return the (S, LEVELS × KINDS) log likelihood of a look in the ring with each series' season taken out."""
        cube = self._row(index).reshape(self.size, LATTICE, KINDS)
        if not season.any():
            return cube[:, PAD : PAD + LEVELS].reshape(self.size, -1).astype(np.float64)
        shift = np.array([season_shift(int(s), self.days[index]) for s in season])
        levels = PAD + shift[:, None] + np.arange(LEVELS)[None, :]
        return np.take_along_axis(cube, levels[:, :, None], axis=1).reshape(self.size, -1).astype(np.float64)

    def _row(self, index: int) -> NDArray[np.float32]:
        row = self.ring[index]
        if not isinstance(row, np.ndarray):
            row = self.ring[index] = row()
        return row

    def _add(self, index: int, sign: float, who: BoolArray) -> None:
        weight = np.where(who, self.weight[index], 0.0)
        if not weight.any():
            return
        scale = weight / self._fade(self.days[index])
        self.total += sign * scale[:, None] * self._seen(index, self.season)
        self.count += sign * (weight > 0)

    def _move_window(self, t: float) -> None:
        moving = ~self.is_open
        today = np.floor(t)  # whole days: a later look of the same day may still replace the day's reading
        while self.entered < len(self.days) and today - np.floor(self.days[self.entered]) > self.settings.guard_days:
            self._add(self.entered, 1.0, moving)
            self.entered += 1
        while self.expired < self.entered and t - self.days[self.expired] > self.settings.baseline_days:
            self._add(self.expired, -1.0, moving)
            self.expired += 1
        drop = 0
        limit = self.settings.baseline_days + max(KEEP_DAYS, 2.0 * self.settings.new_regime_days)
        while drop < self.expired and t - self.days[drop] > limit:
            drop += 1
        if drop:
            del self.days[:drop], self.ring[:drop], self.weight[:drop]
            self.entered -= drop
            self.expired -= drop

    def _rebuild(self, who: BoolArray) -> None:
        """Sum the window again for the series `who`, with their present weights and season."""
        if not who.any():
            return
        self.total[who] = 0.0
        self.count[who] = 0.0
        for index in range(self.expired, self.entered):
            self._add(index, 1.0, who)

    def _new_year(self) -> None:
        """Choose the annual harmonic by BIC on the window behind, once a year; not while an episode is open."""
        self._rebuild(~self.is_open)  # sums the window afresh: rounding does not pile up over decades
        window = range(self.expired, self.entered)
        if len(window) < 24 or self.days[self.entered - 1] - self.days[self.expired] < 330.0:
            return
        # The share of empty days is that of the best node so far; level and dispersion are free in each season.
        zero = (family().prior + self.total).argmax(axis=1) % len(ZEROS)
        kinds = (np.arange(len(DISPERSIONS)) * len(ZEROS))[None, :] + zero[:, None]
        looks = np.zeros(self.size)
        sums = np.zeros((len(SEASONS), self.size, LEVELS, len(DISPERSIONS)))
        for index in window:
            cube = self._row(index).reshape(self.size, LATTICE, KINDS)
            few = np.take_along_axis(cube, kinds[:, None, :], axis=2) * self.weight[index][:, None, None]
            looks += self.weight[index]
            for s in range(len(SEASONS)):
                first = PAD + season_shift(s, self.days[index])
                sums[s] += few[:, first : first + LEVELS]
        best = sums.reshape(len(SEASONS), self.size, -1).max(axis=2)
        best[1:] -= np.log(np.maximum(looks, 2.0))  # two more parameters, half a log each
        moved = (best.argmax(axis=0) != self.season) & ~self.is_open
        self.season = np.where(moved, best.argmax(axis=0), self.season)
        self._rebuild(moved)

    def break_off(self, t: float) -> None:
        """Make the looks before a day weigh little: from then on the same traffic shows as another number."""
        for index in range(len(self.days)):
            self.weight[index] = np.where(self.days[index] < t, BEFORE_BREAK, 1.0) * self.weight[index]
        self.broken |= self.is_open
        self._rebuild(np.ones(self.size, dtype=np.bool_))

    # -- looks and episodes -----------------------------------------------------------------------------------

    def _take_in(self, t: float, reading: Reading, fresh: FloatArray, *, again: bool) -> None:
        """Put a day's looks into the ring; a later look of the same day replaces the earlier ones' joint reading."""
        if again and self.days:
            self.days[-1] = t
            self.ring[-1] = reading.log_like.astype(np.float32)
            self.weight[-1] = fresh
            return
        self.days.append(t)
        self.ring.append(reading.log_like.astype(np.float32))
        self.weight.append(fresh)

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
        for index, day in enumerate(self.days):
            within = day >= np.where(np.isnan(self.since), np.inf, self.since)
            self.weight[index] = np.where(ended & within, AFTER_ALARM * self.weight[index], self.weight[index])
            self.weight[index] = np.where(regime & ~within, BEFORE_REGIME * self.weight[index], self.weight[index])
        closed = ended | regime
        self.is_open &= ~closed
        self.since[closed] = np.nan
        self.broken &= ~closed
        self.calm[closed] = 0
        self.calm_before[closed] = 0
        self.sums[closed] = 0.0
        self.sums_before[closed] = 0.0
        self._rebuild(closed)


def _average(weights: FloatArray, values: FloatArray, levels: IntArray) -> FloatArray:
    """Return the posterior average of (S, LATTICE × KINDS) values at each series' lattice levels."""
    size = len(weights)
    cube = values.reshape(size, LATTICE, KINDS)
    first = levels[0, 0]
    if (levels == levels[0]).all() and levels[0, -1] - first == LEVELS - 1:
        picked = cube[:, first : first + LEVELS]
    else:
        picked = np.take_along_axis(cube, levels[:, :, None], axis=1)
    return np.asarray(np.einsum("sj,sj->s", weights, picked.reshape(size, -1)))
