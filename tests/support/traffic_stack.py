"""Many yards at once through the judge's recursion, with thresholds that it calibrated for a yard of their kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import AlarmSettings
from pipeline.traffic.band import predict, quiet_pmf
from pipeline.traffic.calibrate import Calibration
from pipeline.traffic.engine import Engine
from pipeline.traffic.likelihood import evidence
from pipeline.traffic.quiet import ErrorClass, estimate_reading
from pipeline.traffic.stream import Stream
from tests.support.traffic_world import EPOCH, START, Rise, Yard, a_series, a_stack

WARM_YEARS = 2.0
YEAR = 365.2425


class _Uncalibrated(Stream):
    """A stream that waits to be asked: the calibrations of its first two years would not be used."""

    def calibrate(self, t: float, *, must: bool) -> None:
        """Do nothing."""


@dataclass(frozen=True, eq=False)
class Lived:
    """What became of a stack of yards in the years after the warm-up; arrays are (looks, yards)."""

    calibration: Calibration
    first_day: float  # of the series, warm-up included, since 1970
    days: NDArray[np.float64]  # (looks,), since 1970
    scores: NDArray[np.float64]
    open: NDArray[np.bool_]
    inside: int  # counts inside the 90 % band, bounds apart
    counts: int

    @property
    def years(self) -> float:
        """Yard-years."""
        return self.scores.shape[1] * float(self.days[-1] - self.days[0]) / YEAR

    def episodes(self) -> NDArray[np.float64]:
        """Return the best score of each episode."""
        best = []
        for k in range(self.scores.shape[1]):
            top, was = -np.inf, False
            for score, now in zip(self.scores[:, k], self.open[:, k], strict=True):
                if now or was:
                    top = max(top, score)
                if was and not now:
                    best.append(top)
                    top = -np.inf
                was = bool(now)
            if was:
                best.append(top)
        return np.array(best)


def live(
    yard: Yard,
    settings: AlarmSettings,
    seed: int,
    *,
    yards: int,
    years: float,
    rises: Sequence[Rise | None] = (),
) -> Lived:
    """Calibrate on two years of one yard, then watch fresh yards of its kind, two years before anything counts."""
    stream = _Uncalibrated("yard", settings, ())
    rows = evidence(a_series(yard, WARM_YEARS + 0.05, seed))
    stream.feed(rows)
    Stream.calibrate(stream, rows[-1].day + 1.0, must=True)
    made = stream.calibration
    assert made is not None
    days, looks, seen = a_stack(yard, WARM_YEARS + years, yards, seed + 1, rises)
    first_day = (START - EPOCH).total_seconds() / 86400.0
    engine = Engine(yards, settings, made.scores, stream.dwell_days)
    first = int(np.searchsorted(days, days[0] + WARM_YEARS * YEAR))
    scores, opened, inside, counts = [], [], 0, 0
    for i, (day, (sd, limit)) in enumerate(zip(days, looks, strict=True)):
        step = engine.step(estimate_reading(seen[i], ErrorClass(sd, limit), float(day)))
        if i < first:
            continue
        scores.append(step.score)
        opened.append(step.open)
        if not limit:
            for k in range(0, yards, 5):
                band = predict(quiet_pmf(step.weights[k]), ErrorClass(sd, 0))
                inside += band.low <= seen[i, k] <= band.high
                counts += 1
    return Lived(made, float(first_day), days[first:], np.array(scores), np.array(opened), int(inside), counts)
