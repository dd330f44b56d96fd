"""Our series and alarms against the published record of a site: agreement inside intervals, lead or lag in days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline.model import Count, Observation, Outcome, Site, Surge
from pipeline.traffic.likelihood import UNJUDGED
from pipeline.traffic.published import PublishedReading, readings

RISE_RATIO = 2.0  # a published number that far above the level published before it is a rise
RISE_CARS = 10.0  # and by at least so many railcars: the effect floor of an alarm
COARSE = ("occupancy", "radar")  # methods whose scale is learnt from known counts, those of the same day included
LATE_DAYS = 60  # an alarm that begins later than this after a published rise is not of that rise


@dataclass(frozen=True, slots=True)
class CountCheck:
    """One published row beside what we saw on its day or days."""

    published: PublishedReading
    looks: int  # counted looks of ours on that day, or within the span
    agreeing: int  # of those, how many have an interval that overlaps the published one
    ours: float | None  # count of the look whose interval fits worst, railcars; None without a look
    ours_low: float | None  # its central 90 % interval
    ours_high: float | None
    scene_id: str  # its look
    nearest_days: float | None  # distance to the nearest counted look of another day, signed; never compared
    leaned_on: bool  # a coarse look of that day is calibrated with this very row: its agreement proves nothing

    @property
    def agrees(self) -> bool | None:
        """Tell whether every look of the row agrees; None when there is nothing to compare."""
        return None if not self.looks else self.agreeing == self.looks


@dataclass(frozen=True, slots=True)
class AlarmCheck:
    """One published rise beside our alarms."""

    published: PublishedReading
    level: float  # highest number the record holds before, railcars
    surge_id: str  # "" when no alarm of ours belongs to it
    tier: str
    first_alarm_at: datetime | None
    lag_days: float | None  # of the alarm after the published day; negative: we were earlier
    first_look_at: datetime | None  # first counted look on or after the published day: no alarm can come before
    peak_railcars: float | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """How a site's series and alarms stand against its published record."""

    site: str
    counts: tuple[CountCheck, ...]  # rows that say something, in date order
    silent: tuple[PublishedReading, ...]  # rows that say nothing about a number, with why
    alarms: tuple[AlarmCheck, ...]  # published rises
    unexplained: tuple[Surge, ...]  # surges of ours while the record states a level that they pass
    first_look: datetime | None
    last_look: datetime | None

    @property
    def compared(self) -> int:
        """Number of published rows that had a look of ours which does not lean on them."""
        return sum(check.agrees is not None and not check.leaned_on for check in self.counts)

    @property
    def agreeing(self) -> int:
        """Number of published rows that every look of ours agrees with."""
        return sum(check.agrees is True and not check.leaned_on for check in self.counts)

    def summary(self) -> tuple[str, ...]:
        """Return the outcome as sentences."""
        if self.first_look is None or self.last_look is None:
            return (f"{self.site}: no counted look is stored, so there is nothing to hold against the record.",)
        span = f"{self.first_look:%Y-%m-%d} to {self.last_look:%Y-%m-%d}"
        out = [
            f"Looks from {span}; {len(self.counts)} published rows state a number, {self.compared} can be compared."
        ]
        leaning = sum(check.leaned_on for check in self.counts)
        if leaning:
            out.append(f"Left out of the tally, because our look is calibrated with the row itself: {leaning}.")
        if self.compared:
            out.append(f"Agreement inside the 90 % intervals: {self.agreeing} of {self.compared} rows.")
        reach = [check for check in self.alarms if self._covered(check.published.row.start)]
        found = [check.lag_days for check in reach if check.lag_days is not None]
        if reach:
            out.append(f"Published rises within our looks: {len(reach)}; with an alarm of ours: {len(found)}.")
        if found:
            told = ", ".join(f"{lag:+.1f}" for lag in found)
            out.append(f"Days from the published day to our first alarm (negative: ours was earlier): {told}.")
        out.append(f"Alarms of ours that pass a level the record states: {len(self.unexplained)}.")
        return tuple(out)

    def _covered(self, day: date) -> bool:
        if self.first_look is None or self.last_look is None:
            return False
        return self.first_look.date() <= day <= self.last_look.date()


def backtest(site: Site, observations: Sequence[Observation], surges: Sequence[Surge]) -> Backtest:
    """Score a site's looks and surges against its published record.

    A row of one day is compared with looks of that UTC day only: trains stay two to four days, so a look a day away
    saw another state. A row over a span is compared with every look in it. Two numbers agree when their central 90 %
    intervals overlap; a bound has one open end.

    Parameters
    ----------
    site : Site
    observations : sequence of Observation
        Rows of the series; rejected, failed and superseded ones say nothing.
    surges : sequence of Surge

    Raises
    ------
    ConfigError
        When a published row should hold a number and does not.
    """
    looks = sorted(
        (
            (row.observed_at.astimezone(UTC), row.observation_id, row.scene_id, row.count)
            for row in observations
            if row.count is not None
            and row.outcome in (Outcome.COUNTED, Outcome.FLAGGED)
            and not row.superseded_by
            and UNJUDGED.isdisjoint((*row.flags, *row.count.flags))
        ),
        key=lambda look: look[:2],
    )
    seen = [(at, scene, count) for at, _, scene, count in looks]
    read = readings(site)
    speaking = [reading for reading in read if reading.says != "nothing"]
    return Backtest(
        site.name,
        tuple(_count_check(reading, seen) for reading in speaking),
        tuple(reading for reading in read if reading.says == "nothing"),
        _alarm_checks(speaking, surges, [at for at, _, _ in seen]),
        _unexplained(speaking, surges),
        seen[0][0] if seen else None,
        seen[-1][0] if seen else None,
    )


def _count_check(reading: PublishedReading, looks: Sequence[tuple[datetime, str, Count]]) -> CountCheck:
    row = reading.row
    inside = [look for look in looks if row.start <= look[0].date() <= row.end]
    gaps = [(_gap(reading, count), count, scene) for _, scene, count in inside]
    away = [(at.date() - row.start).days for at, _, _ in looks if at.date() != row.start] if reading.one_day else []
    nearest = min(away, key=lambda days: (abs(days), days)) if away else None
    if not gaps:
        return CountCheck(reading, 0, 0, None, None, None, "", nearest, False)
    _, count, scene = max(gaps, key=lambda gap: gap[0])
    agreeing = sum(gap <= 0 for gap, _, _ in gaps)
    leaned_on = reading.says == "total" and reading.one_day and all(c.method in COARSE for _, c, _ in gaps)
    return CountCheck(reading, len(gaps), agreeing, count.railcars, count.low, count.high, scene, nearest, leaned_on)


def _gap(reading: PublishedReading, count: Count) -> float:
    """Return by how many railcars a look's interval misses the published one; at most 0 when they overlap."""
    upper = reading.railcars + reading.sd if reading.says == "at most" else reading.high
    return max(reading.low - count.high, count.low - upper)


def _alarm_checks(
    speaking: Sequence[PublishedReading], surges: Sequence[Surge], looks: Sequence[datetime]
) -> tuple[AlarmCheck, ...]:
    """Return the published rises: numbers of one day clearly above everything that the record states before."""
    out = []
    for reading in speaking:
        day = reading.row.start
        before = [past.railcars for past in speaking if past.row.start < day and past.says != "at least"]
        level = max(before, default=0.0)
        rise = reading.one_day and reading.says != "at most" and before
        if not rise or reading.railcars < max(RISE_RATIO * level, level + RISE_CARS):
            continue
        surge = _surge_of(day, surges)
        end = datetime.combine(day, datetime.min.time(), tzinfo=UTC)
        lag = None if surge is None else (surge.first_alarm_at.astimezone(UTC) - end) / timedelta(days=1)
        out.append(
            AlarmCheck(
                reading,
                level,
                surge.surge_id if surge else "",
                surge.tier.value if surge else "",
                surge.first_alarm_at if surge else None,
                None if lag is None else float(int(lag // 1)),  # a published row names a day, not an hour
                next((at for at in looks if at.date() >= day), None),
                surge.peak_railcars if surge else None,
            )
        )
    return tuple(out)


def _surge_of(day: date, surges: Sequence[Surge]) -> Surge | None:
    """Return the surge that a day belongs to: open on that day, or alarmed soon after."""
    running = [
        surge
        for surge in surges
        if surge.first_alarm_at.date() <= day and (surge.ended_at is None or surge.ended_at.date() >= day)
    ]
    if running:
        return max(running, key=lambda surge: surge.first_alarm_at)
    later = [surge for surge in surges if 0 < (surge.first_alarm_at.date() - day).days <= LATE_DAYS]
    return min(later, key=lambda surge: surge.first_alarm_at) if later else None


def _unexplained(speaking: Sequence[PublishedReading], surges: Sequence[Surge]) -> tuple[Surge, ...]:
    """Return surges whose peak passes the upper bound that the record states for its day."""
    bounds = [reading for reading in speaking if reading.says == "at most"]
    return tuple(
        surge
        for surge in surges
        if any(
            bound.row.start <= surge.peak_at.date() <= bound.row.end
            and surge.peak_railcars > bound.railcars + bound.sd
            for bound in bounds
        )
    )
