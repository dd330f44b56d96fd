"""The looks behind a baseline: a trailing window of log likelihoods, summed, with season and weights; S series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.traffic.family import (
    BASE,
    KINDS,
    LATTICE,
    LEVELS,
    NODES,
    PAD,
    SEASONS,
    SHAPES,
    ZEROS,
    family,
    season_shifts,
)
from pipeline.traffic.likelihood import DAYS_A_YEAR

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Table = Float32Array | Callable[[], Float32Array]  # (estimates, NODES), or what makes it

HALF_LIFE_DAYS = 540.0  # older looks fade: allows a slow drift of the counting bias
SEASON_LOOKS = 24  # fewer looks, or less than SEASON_DAYS, say nothing about a season
SEASON_DAYS = 330.0
SEASON_HINT = 4.0  # n R² of a sine through the looks below which no harmonic can win (BIC asks for 2 log n)


@dataclass
class Window:
    """A ring of looks and the sums over the part of it that is the baseline."""

    size: int  # S
    guard_days: float
    reach_days: float
    keep_days: float  # looks older than this are let go
    days: list[float] = field(default_factory=list)
    entered: int = 0  # place of the first look still in the guard
    expired: int = 0  # place of the first look still in reach
    origin: float = float("nan")
    tables: list[Table] = field(default_factory=list)  # for each look, log P(estimate | node) of its estimates

    def __post_init__(self) -> None:
        self.row: IntArray = np.zeros((64, self.size), dtype=np.int64)  # each series' estimate: a row of the table
        self.weight: FloatArray = np.zeros((64, self.size))  # 0 for looks that say nothing
        self.best: FloatArray = np.zeros((64, self.size))  # railcars, for the hint of a season
        self.total: FloatArray = np.zeros((self.size, BASE))
        self.count: FloatArray = np.zeros(self.size)
        self.season: IntArray = np.zeros(self.size, dtype=np.int64)

    # -- looks come and go ------------------------------------------------------------------------------------

    def put(
        self, day: float, table: Table, row: IntArray, weight: FloatArray, best: FloatArray, *, replace: bool
    ) -> None:
        """Take in a look as the newest; `replace` puts it in the place of the newest."""
        if not replace:
            self.days.append(day)
            self.tables.append(table)
            if len(self.days) > len(self.weight):
                self.row = np.concatenate([self.row, np.zeros_like(self.row)])
                self.weight = np.concatenate([self.weight, np.zeros_like(self.weight)])
                self.best = np.concatenate([self.best, np.zeros_like(self.best)])
        at = len(self.days) - 1
        self.days[at], self.tables[at] = day, table
        self.row[at], self.weight[at], self.best[at] = row, weight, best

    def move(self, t: float, moving: BoolArray) -> None:
        """Let looks enter and leave the baseline of the series that are `moving`, as of day `t`."""
        if np.isnan(self.origin):
            self.origin = float(np.floor(t))
        today = np.floor(t)  # whole days: a later look of the same day may still replace the day's reading
        while self.entered < len(self.days) and today - np.floor(self.days[self.entered]) > self.guard_days:
            self._add(self.entered, 1.0, moving)
            self.entered += 1
        while self.expired < self.entered and t - self.days[self.expired] > self.reach_days:
            self._add(self.expired, -1.0, moving)
            self.expired += 1
        drop = 0
        while drop < self.expired and t - self.days[drop] > self.keep_days:
            drop += 1
        if drop >= 32:
            kept = len(self.days) - drop
            for array in (self.row, self.weight, self.best):
                array[:kept] = array[drop : drop + kept].copy()
            del self.days[:drop], self.tables[:drop]
            self.entered -= drop
            self.expired -= drop

    def fade(self, day: FloatArray | float) -> FloatArray:
        """Return the factor by which looks as old as the series' beginning have faded on a day."""
        return np.asarray(np.exp2(-(np.asarray(day, dtype=np.float64) - self.origin) / HALF_LIFE_DAYS))

    def rebuild(self, rows: IntArray) -> None:
        """Sum the window again for some series, with their present weights and season."""
        inside = slice(self.expired, self.entered)
        days = np.array(self.days[inside])
        scale = (self.weight[inside] / self.fade(days)[:, None]).astype(np.float32)
        shifts = season_shifts(days)
        groups = self._groups(inside)
        for row in rows:
            told = self.weight[inside, row] > 0
            self.count[row] = float(told.sum())
            block = self._block(int(row), inside, groups)
            if self.season[row]:
                first = (PAD + shifts[:, self.season[row]]) * KINDS
                block = np.take_along_axis(block, first[:, None] + np.arange(BASE)[None, :], axis=1)
            else:
                block = block[:, PAD * KINDS : PAD * KINDS + BASE]
            self.total[row] = np.einsum("w,wn->n", scale[:, row], block)

    def told(self, row: int) -> tuple[FloatArray, FloatArray, Float32Array]:
        """Return days (looks,), weights (looks,) and log P(look | node) (looks, NODES) of what has left the guard."""
        window = slice(0, self.entered)
        days = np.array(self.days[window])
        return days, self.weight[window, row], self._block(row, window, self._groups(window))

    def middle(self) -> FloatArray:
        """Return the (S,) mean day of the looks in the baseline, as they weigh in it; NaN where there is none."""
        inside = slice(self.expired, self.entered)
        days = np.array(self.days[inside])
        scale = self.weight[inside] / self.fade(days)[:, None]
        total = scale.sum(axis=0)
        with np.errstate(invalid="ignore"):
            return np.asarray((days @ scale) / total)

    def _add(self, at: int, sign: float, who: BoolArray) -> None:
        weight = np.where(who, self.weight[at], 0.0)
        if not weight.any():
            return
        table = self._table(at)
        scale = sign * weight / self.fade(self.days[at])
        shift = season_shifts(self.days[at])[self.season]
        for step in np.unique(shift):
            first = (PAD + int(step)) * KINDS
            rows = np.flatnonzero((shift == step) & (weight > 0))
            if len(rows) == self.size:
                self.total += scale[:, None] * table[self.row[at], first : first + BASE]
            else:
                self.total[rows] += scale[rows, None] * table[self.row[at, rows], first : first + BASE]
        self.count += sign * (weight > 0)

    def _table(self, at: int) -> Float32Array:
        table = self.tables[at]
        if not isinstance(table, np.ndarray):
            table = self.tables[at] = table()
        return table

    def _groups(self, looks: slice) -> list[tuple[Float32Array, IntArray]]:
        """Return each table of some looks with the places, from the first of them on, where it is used."""
        places: dict[int, list[int]] = {}
        tables = [self._table(at) for at in range(looks.start, looks.stop)]
        for place, table in enumerate(tables):
            places.setdefault(id(table), []).append(place)
        return [(tables[at[0]], np.array(at)) for at in places.values()]

    def _block(self, row: int, looks: slice, groups: list[tuple[Float32Array, IntArray]]) -> Float32Array:
        """Return (looks, NODES), what some looks say of one series."""
        own = self.row[looks, row]
        out = np.empty((len(own), NODES), dtype=np.float32)
        for table, places in groups:
            out[places] = table[own[places]]
        return out

    # -- the season -------------------------------------------------------------------------------------------

    def choose_season(self, free: BoolArray) -> None:
        """Choose the annual harmonic of the series that are `free` by BIC on all looks kept.

        A season comes back each year, and the two years of a baseline show few of its turns: on them alone BIC chose
        one in less than half of the simulated yards that had it.
        """
        window = slice(0, self.entered)
        days = np.array(self.days[window])
        if len(days) < SEASON_LOOKS or days[-1] - days[0] < SEASON_DAYS:
            return
        moved, groups = [], self._groups(window)
        for row in np.flatnonzero(free & (self._hint(days, window) | (self.season > 0))):
            chosen = self._season(int(row), days, window, groups)
            if chosen != self.season[row]:
                self.season[row] = chosen
                moved.append(row)
        self.rebuild(np.array(moved, dtype=np.int64))

    def _hint(self, days: FloatArray, window: slice) -> BoolArray:
        """Tell for each series whether a sine through its looks explains more than chance easily would."""
        told = self.weight[window] > 0
        y = np.where(told, np.log1p(self.best[window]), 0.0)
        n = np.maximum(told.sum(axis=0), 1)
        y = np.where(told, y - y.sum(axis=0) / n, 0.0)
        phase = 2 * np.pi * days / DAYS_A_YEAR
        waves = np.stack([np.cos(phase), np.sin(phase)], axis=1)
        waves = waves - waves.mean(axis=0)
        fitted = waves @ np.linalg.lstsq(waves, y, rcond=None)[0]
        share = (fitted**2).sum(axis=0) / np.maximum((y**2).sum(axis=0), 1e-9)
        return np.asarray(n * share > SEASON_HINT)

    def _season(self, row: int, days: FloatArray, window: slice, groups: list[tuple[Float32Array, IntArray]]) -> int:
        # The share of empty days is that of the best node so far; level and dispersion are free in each season.
        zero = int((family().prior + self.total[row]).argmax()) % len(ZEROS)
        kinds = np.arange(SHAPES) * len(ZEROS) + zero
        block = self._block(row, window, groups).reshape(len(days), LATTICE, KINDS)[:, :, kinds]
        steps = np.arange(-PAD, PAD + 1)
        lifted = np.stack([block[:, PAD + step : PAD + step + LEVELS] for step in steps])
        shifts, weight = season_shifts(days), self.weight[window, row]
        # (seasons, steps, looks): the weight of a look where the season lifts it by that step
        use = (shifts.T[:, None, :] == steps[None, :, None]) * weight
        sums = use.reshape(len(SEASONS), -1) @ lifted.reshape(len(steps) * len(days), -1).astype(np.float64)
        best = np.asarray(sums.max(axis=1))
        best[1:] -= np.log(max(float(weight.sum()), 2.0))  # two more parameters, half a log each
        return int(best.argmax())
