"""The live series: the recursion fed look by look, with what is remembered for reports; saved and loaded whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import AlarmSettings
from pipeline.model import COUNT_MAX, Alarm, Baseline, Tier
from pipeline.traffic.band import PIT_BINS, pit_share, predict, quiet_pmf
from pipeline.traffic.calibrate import YARDS, Calibration
from pipeline.traffic.calibrate import calibrate as simulate
from pipeline.traffic.dwell import GRID, dwell_posterior, middle
from pipeline.traffic.engine import ENDED, OPENED, REGIME, Engine, Reading, Step
from pipeline.traffic.episodes import RANK, Episode
from pipeline.traffic.family import family
from pipeline.traffic.likelihood import LOWER, Evidence, N
from pipeline.traffic.quiet import ErrorClass, Nodes, error_class, from_the_past, reading_of
from pipeline.traffic.trend import trend_of

FloatArray = NDArray[np.float64]

MORE_LOOKS = 4.0  # calibrated again when so many times more looks stand behind the baseline
DWELL_DAYS = 2191.0  # looks that tell how long a state stays: two years of them leave that to chance
MOST_DAYS = 1500.0  # and in January when the calibration is older, or one of these has moved by more than its share:
MOVED = (0.25, 0.4, 0.25, 0.2, 0.3)  # looks a year, dwell, mean, 95 % point of quiet traffic, error of a look


@dataclass
class Stream:
    """Everything that is known after some looks; `feed` takes the next ones."""

    site: str
    settings: AlarmSettings
    breaks: tuple[float, ...]  # days since 1970-01-01 from which the tracks show less than before
    cache_dir: Path | None = None
    looks: list[Evidence] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)  # best number of railcars of each look
    episodes: list[Episode] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=list)
    calibration: Calibration | None = None
    calibrated_at: float = 0.0  # looks behind the baseline at the calibration
    calibrated_on: float = 0.0  # day of it
    circumstances: list[float] = field(default_factory=list)  # at the calibration, as in `MOVED`
    calibrations: int = 0
    dwell_days: float = 0.0
    month: int = 0  # in which the trend was taken last, counted from year 0
    quiet: int = -1  # last telling look inside the band
    onset: int = -1  # first look above it since
    nothing: list[int] = field(default_factory=list)  # for each surge of the sum, the last look before its best begin
    pit: list[float] = field(default_factory=lambda: [0.0] * PIT_BINS)

    def __post_init__(self) -> None:
        self.dwell_days = self.dwell_days or float(self.settings.dwell_days)
        self.engine = Engine(1, self.settings, None, self.dwell_days)

    def feed(self, looks: Sequence[Evidence]) -> None:
        """Judge looks, in date order and later than all before."""
        for look in looks:
            self._one(look)

    @property
    def judged(self) -> bool:
        """Tell whether enough looks stand behind the baseline."""
        return bool(self.engine.enough()[0])

    # -- one look ---------------------------------------------------------------------------------------------

    def _one(self, look: Evidence) -> None:
        engine, index = self.engine, len(self.looks)
        before = self.looks[-1].day if self.looks else -np.inf
        for day in self.breaks:
            if before < day <= look.day and self.looks:
                engine.break_off(day)
        turned = engine.prepare(look.day)
        if self.judged:
            grown = engine.window.count[0] >= MORE_LOOKS * self.calibrated_at
            if turned or grown:
                self.calibrate(look.day, must=grown)
            month = look.observed_at.year * 12 + look.observed_at.month
            if month != self.month:
                self.month = month
                until = float(engine.since[0]) if engine.is_open[0] else np.inf
                engine.trend[0], _ = trend_of(engine.window, until=until)
        reading = reading_of(look.likelihood[None, :], look.day)
        step = engine.step(reading)
        self.looks.append(look)
        self.sizes.append(float(reading.best[0] if _bounded(reading) else look.count.railcars))
        prediction = None
        if step.judged[0]:
            kind = error_class(look)
            prediction = predict(quiet_pmf(step.weights[0]), kind)
            self.baselines.append(
                Baseline(
                    look.observed_at, float(step.expected[0]), prediction.low, prediction.high, int(step.looks[0])
                )
            )
            if not step.open[0] and step.event[0] == 0 and reading.informative[0]:
                last = int(reading.edge[0]) if reading.upper_limit[0] else round(self.sizes[-1])
                first = 0 if reading.upper_limit[0] else last
                self.pit = [
                    a + float(b) for a, b in zip(self.pit, pit_share(prediction.cdf, first, last), strict=True)
                ]
        self._remember(index, step, prediction.low if prediction else 0.0, prediction.high if prediction else 0.0)

    def calibrate(self, t: float, *, must: bool) -> None:
        """Calibrate on the looks so far, unless nothing has changed; the same looks always give the same calibration.

        It is done at the first judged look, when looks have multiplied, and in January when circumstances are others:
        what is said of a date then never depends on later looks, and ten years do not need ten calibrations.
        """
        recent = [look for look in self.looks if t - look.day <= self.settings.baseline_days]
        weights = self.engine.posterior(t)
        quiet = quiet_pmf(self.engine.lifted(weights, t)[0])
        lately = [look for look in self.looks if t - look.day <= DWELL_DAYS]
        dwell = dwell_posterior(lately, quiet, self.settings.dwell_days)
        classes = [error_class(look) for look in recent]
        now = _circumstances(recent, classes, quiet, middle(dwell))
        fresh = t - self.calibrated_on < MOST_DAYS
        if (
            not must
            and fresh
            and all(abs(a - b) <= share * b for a, b, share in zip(now, self.circumstances, MOVED, strict=True))
        ):
            return
        odds = weights[0].astype(np.float64)
        season = int(self.engine.window.season[0])
        rng = np.random.default_rng([self.settings.calibration_seed, 0])
        node = rng.choice(len(odds), size=YARDS, p=odds / odds.sum())
        self.dwell_days = middle(dwell)
        quiet_days = Nodes(np.asarray(node, dtype=np.int64), season)
        told = [look for look in recent if look.likelihood.min() < 0.5]
        if season == 0 and told:
            gaps = np.diff([told[0].day - 1e9, *(look.day for look in told)])
            stayed = np.exp(-gaps / self.dwell_days)
            vectors = np.array([look.likelihood for look in told])
            quiet_days = from_the_past(quiet_days, vectors, (1.0 - stayed) / (1.0 + stayed), rng)
        self.calibration = simulate(
            np.array([look.day for look in recent]),
            classes,
            quiet_days,
            np.asarray(GRID)[rng.choice(len(GRID), size=YARDS, p=dwell)],
            self.dwell_days,
            self.settings,
            self.cache_dir,
        )
        self.calibrated_at, self.calibrated_on = float(self.engine.window.count[0]), t
        self.circumstances = now
        self.calibrations += 1
        self.engine.scores = self.calibration.scores
        self.engine.dwell_days = self.dwell_days

    def _remember(self, index: int, step: Step, low: float, high: float) -> None:
        """Keep the onset, the open episode and the alarms of a look up to date."""
        telling, inside, event = bool(step.telling[0]), bool(step.inside[0]), int(step.event[0])
        if telling and inside:
            if event != OPENED:
                self.quiet = index
            self.onset = -1
        elif telling and self.onset < 0:
            self.onset = index
        self.nothing = self.nothing or [-1] * step.rise.shape[1]
        self.nothing = [index if rise == 0.0 else last for rise, last in zip(step.rise[0], self.nothing, strict=True)]
        if event == OPENED:
            self.episodes.append(self._opened(index, step, low, high))
        elif self.episodes and self.episodes[-1].ended < 0 and not self.episodes[-1].regime:
            self._goes_on(self.episodes[-1], index, step)
        if event in (ENDED, REGIME):
            episode = self.episodes[-1]
            episode.regime = event == REGIME
            episode.ended = index
            self.nothing = [index] * len(self.nothing)
        if step.open[0] or event in (OPENED, REGIME):
            self._alarm(self.episodes[-1], index, step)

    def _opened(self, index: int, step: Step, low: float, high: float) -> Episode:
        quiet, onset = self.quiet, self.onset if self.onset >= 0 else index
        nothing = self.nothing[int(step.rise[0].argmax())]
        if step.by_sum[0] and nothing + 1 < onset:
            # The sum has grown over looks that were not odd one by one: take when its surge would best have begun.
            quiet, onset = nothing, nothing + 1
        else:
            # A loose upper limit says little of the baseline, but it may say that a surge of this size was not there.
            half = (float(step.expected[0]) + self.sizes[index]) / 2.0
            for i in range(quiet + 1, index):
                possible = np.flatnonzero(self.looks[i].likelihood >= LOWER)
                if self.sizes[i] < half and possible[-1] <= half and self.looks[i].likelihood[0] >= LOWER:
                    quiet, onset = i, max(onset, i + 1)
        peak = max(range(onset, index + 1), key=lambda i: (self.sizes[i], i))
        mean_low, mean_high = _mean_range(step)
        return Episode(
            index, quiet, onset, float(step.expected[0]), low, high, mean_low, mean_high, peak,
            float("inf"), Tier.WATCH.value, looks=list(range(onset, index + 1)),
        )  # fmt: skip

    def _goes_on(self, episode: Episode, index: int, step: Step) -> None:
        episode.looks.append(index)
        if self.sizes[index] > self.sizes[episode.peak] and not bool(step.inside[0]):
            episode.peak = index
        if not step.telling[0]:
            return
        above = not step.inside[0]
        if not episode.next_look:
            episode.next_look = "above" if above else "inside"
        if above and episode.confirmed_by != "sensor":
            other = self.looks[index].sensor != self.looks[episode.opened].sensor
            episode.confirmed_by = "sensor" if other else "look"

    def _alarm(self, episode: Episode, index: int, step: Step) -> None:
        """Give an alarm when the look opens the episode or lifts its tier."""
        made, score = self.calibration, float(step.score[0])
        if made is None or not np.isfinite(score):
            return
        rate = made.rate(score)
        episode.rate = min(episode.rate, rate)
        tier = Tier.HIGH if score >= made.high else Tier.ALERT if score >= made.alert else Tier.WATCH
        if index > episode.opened and RANK[tier] <= RANK[Tier(episode.tier)]:
            return
        episode.tier = tier.value
        look = self.looks[index]
        self.alarms.append(
            Alarm(
                self.site,
                look.observation_id,
                look.observed_at,
                tier,
                "sum" if step.by_sum[0] else "look",
                rate,
                self.sizes[index] / max(float(step.expected[0]), 1.0),
            )
        )


def _circumstances(
    looks: Sequence[Evidence], classes: Sequence[ErrorClass], quiet: FloatArray, dwell_days: float
) -> list[float]:
    """Return what a calibration hangs on, in the order of `MOVED`; every value above zero."""
    span = max(looks[-1].day - looks[0].day, 30.0)
    return [
        len(looks) / span,
        dwell_days,
        max(float(quiet @ N), 0.5),
        float(np.searchsorted(np.cumsum(quiet), 0.95)) + 2.0,
        float(np.mean([kind.sd for kind in classes])) + 1.0,
    ]


def _bounded(reading: Reading) -> bool:
    """Tell whether a look states a bound only."""
    return bool(reading.upper_limit[0]) or float(reading.edge[0]) >= COUNT_MAX


def _mean_range(step: Step) -> tuple[float, float]:
    """Return the central 90 % of the baseline's mean, railcars."""
    means = family().mean
    order = np.argsort(means, kind="stable")
    cdf = np.cumsum(step.weights[0][order].astype(np.float64))
    low, high = np.searchsorted(cdf, (0.05, 0.95))
    return float(means[order[low]]), float(means[order[min(int(high), len(order) - 1)]])
