"""What was and was not seen lately, and what could not be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import pairwise
from statistics import median
from typing import Literal

from pipeline.flags import FLAGS
from pipeline.model import Observation, Outcome
from pipeline.report.data import ReportData, SourceState
from pipeline.report.headline import SEEN, is_off, stale_days
from pipeline.report.text import is_upper_limit, percent, plural

DAYS = 90
DayState = Literal["seen", "unusable", "failed", "no pass"]


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the strip."""

    day: date
    state: DayState


@dataclass(frozen=True, slots=True)
class Coverage:
    """The last 90 days."""

    days: tuple[Day, ...]
    facts: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[str, str, int], ...]  # flag, meaning, looks


@dataclass(frozen=True, slots=True)
class Freshness:
    """One source as the table shows it."""

    state: SourceState
    word: Literal["fresh", "stale", "failing", "never seen", "off"]
    age: str


def coverage(data: ReportData) -> Coverage:
    """Return what the 90 days up to the report's day let us see."""
    first = data.generated_for - timedelta(days=DAYS - 1)
    looks = [o for o in data.observations if first <= _day(o) <= data.generated_for]
    counted = [o for o in looks if _is_seen(o)]
    by_day: dict[date, DayState] = {}
    for look in looks:
        state: DayState = "seen" if _is_seen(look) else "failed" if look.outcome is Outcome.FAILED else "unusable"
        if by_day.get(_day(look)) != "seen":
            by_day[_day(look)] = state
    days = [first + timedelta(days=i) for i in range(DAYS)]
    clear = [o.clear_fraction for o in looks if o.clear_fraction is not None]
    limits = [o.count.detection_limit for o in counted if o.count is not None]
    facts = [
        ("Looks", f"{len(looks)}, of which {len(counted)} gave a count"),
        ("Only an upper limit", str(sum(is_upper_limit(o) for o in counted))),
        ("Counted with reservations", str(sum(o.outcome is Outcome.FLAGGED for o in counted))),
        ("Rejected", str(sum(o.outcome is Outcome.REJECTED for o in looks))),
        ("Failed", str(sum(o.outcome is Outcome.FAILED for o in looks))),
        ("Clear part of the track area, median", percent(median(clear)) if clear else "–"),
        ("Detection limit, median", f"{median(limits):.0f} railcars" if limits else "–"),
        ("Longest time without a count", plural(_longest_gap(counted, first, data.generated_for), "day")),
        ("Sensors", ", ".join(f"{s} {n}" for s, n in sorted(Counter(o.sensor for o in looks).items())) or "–"),
    ]
    return Coverage(tuple(Day(d, by_day.get(d, "no pass")) for d in days), tuple(facts), reasons(looks))


def reasons(looks: Sequence[Observation]) -> tuple[tuple[str, str, int], ...]:
    """Return how often each flag was raised, the gravest and most frequent first, with its meaning."""
    order = {"reject": 0, "reserve": 1, "note": 2}
    tally = Counter(flag for look in looks for flag in look.flags)
    ranked = sorted(tally, key=lambda f: (order[FLAGS[f].severity] if f in FLAGS else 3, -tally[f], f))
    return tuple((f, FLAGS[f].meaning if f in FLAGS else "Not in the registry.", tally[f]) for f in ranked)


def freshness(data: ReportData) -> tuple[Freshness, ...]:
    """Return the state of each source, the troubled ones first."""
    out = []
    for state in data.freshness:
        age = stale_days(state.newest_scene_at, data)
        never = state.newest_scene_at is None
        word: Literal["fresh", "stale", "failing", "never seen", "off"] = (
            "off"
            if is_off(state)
            else "failing"
            if state.problem
            else "never seen"
            if never
            else "stale"
            if age > data.stale_after_days
            else "fresh"
        )
        out.append(Freshness(state, word, "–" if never else plural(max(age, 0), "day")))
    rank = {"failing": 0, "never seen": 1, "stale": 2, "fresh": 3, "off": 4}
    return tuple(sorted(out, key=lambda f: (rank[f.word], f.state.source)))


def _is_seen(look: Observation) -> bool:
    return look.outcome in SEEN and look.count is not None


def _day(look: Observation) -> date:
    return look.observed_at.astimezone(UTC).date()


def _longest_gap(counted: Sequence[Observation], first: date, last: date) -> int:
    marks = [first - timedelta(days=1), *sorted({_day(o) for o in counted}), last + timedelta(days=1)]
    return max((b - a).days - 1 for a, b in pairwise(marks))
