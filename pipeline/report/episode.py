"""Which looks tell the story of a surge: the last quiet one, the first alarm, the peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.model import Observation, Outcome, Surge

CLEAR = 0.95  # part of the track area that the quiet look should show
CLEAR_WITHIN = timedelta(days=45)  # before the last quiet look
_SEEN = (Outcome.COUNTED, Outcome.FLAGGED)


@dataclass(frozen=True, slots=True)
class Story:
    """The looks to show; the same look may be first alarm and peak."""

    quiet: Observation | None  # last count before the onset, of the alarm's sensor and sampling where there is one
    alarm: Observation | None
    peak: Observation | None
    passed_over: bool = False  # a later quiet count exists, but half in cloud


def story_of(surge: Surge, observations: Sequence[Observation]) -> Story:
    """Pick the looks of a surge from the site's series in date order.

    The quiet look comes from the same sensor as the alarm, because only then does the same stretch show the same
    thing; when that sensor has none before the onset, the last count of any sensor is taken. A look half in cloud
    gives way to a clear one of the weeks before it.
    """
    seen = [o for o in observations if o.outcome in _SEEN and o.count is not None]
    alarm = _at(seen, surge.first_alarm_at)
    peak = _at(seen, surge.peak_at)
    before = [o for o in seen if o.observed_at <= surge.onset_earliest and o.observed_at < surge.first_alarm_at]
    if not before:
        before = [o for o in seen if o.observed_at < surge.onset_latest]
    like = peak or alarm
    same = [o for o in before if like is not None and o.sensor == like.sensor and o.gsd_m == like.gsd_m]
    candidates = same or before
    if not candidates:
        return Story(None, alarm, peak)
    last = candidates[-1]
    quiet = next(
        (o for o in reversed(candidates) if _is_clear(o) and last.observed_at - o.observed_at <= CLEAR_WITHIN), last
    )
    return Story(quiet, alarm, peak, quiet is not last)


def _is_clear(look: Observation) -> bool:
    return look.clear_fraction is None or look.clear_fraction >= CLEAR


def looks_of(surge: Surge, observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return every look from the last quiet one to the end of the episode, those without a count included."""
    end = surge.ended_at
    return tuple(
        o for o in observations if o.observed_at >= surge.onset_earliest and (end is None or o.observed_at <= end)
    )


def _at(seen: Sequence[Observation], when: datetime) -> Observation | None:
    """Return the count at a time, else the nearest within a day: another look of the same day may have won."""
    near = min(seen, key=lambda o: (abs(o.observed_at - when), o.observation_id), default=None)
    return near if near is not None and abs((near.observed_at - when).total_seconds()) <= 86_400 else None
