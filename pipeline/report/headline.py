"""The state of the site in one sentence, and what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from pipeline.model import Baseline, Observation, Outcome, Surge, SurgeStatus, Tier
from pipeline.report.data import ReportData, SourceState
from pipeline.report.text import counted, day, number, plural, short

GRAVITY = {Tier.HIGH: 0, Tier.ALERT: 1, Tier.WATCH: 2}
SEEN = (Outcome.COUNTED, Outcome.FLAGGED)
OLD_DAYS = 5  # a count older than that says its age
FAILED_DAYS = 90  # failures of so many days are named at the top; older ones stay in their table


@dataclass(frozen=True, slots=True)
class Headline:
    """What the top of the page says."""

    state: Literal["surge", "calm", "blind"]  # blind: nothing can be said
    sentence: str
    asides: tuple[str, ...]  # reservations that belong beside it


def is_open(surge: Surge) -> bool:
    """Tell whether an episode still goes on."""
    return surge.ended_at is None and surge.status in (SurgeStatus.PROVISIONAL, SurgeStatus.CONFIRMED)


def in_reading_order(surges: Sequence[Surge]) -> tuple[Surge, ...]:
    """Return open surges first, those not rejected before others, then by newest first alarm."""
    ordered = sorted(surges, key=lambda s: s.surge_id)
    ordered.sort(key=lambda s: s.first_alarm_at, reverse=True)
    ordered.sort(key=lambda s: (not is_open(s), s.verdict == "reject", GRAVITY[s.tier] if is_open(s) else 0))
    return tuple(ordered)


def analyst_line(surge: Surge) -> str:
    """Return the judge's own line on a surge, or one made of the surge's figures when it left none."""
    if surge.sentence:
        return surge.sentence
    return (
        f"{day(surge.peak_at)}: saw {number(surge.peak_railcars)}. Expected {number(surge.expected)} "
        f"(90 %: {number(surge.expected_low)}–{number(surge.expected_high)}). Ratio {surge.ratio:.0f}. "
        f"Onset between {day(surge.onset_earliest)} and {day(surge.onset_latest)}."
    )


def baseline_by_time(baselines: Sequence[Baseline]) -> dict[datetime, Baseline]:
    """Return the baselines by the time of the look that they speak for."""
    return {baseline.observed_at: baseline for baseline in baselines}


def headline(data: ReportData) -> Headline:
    """Say the state of the site in one sentence.

    Returns
    -------
    Headline
        `surge` when an episode is open that no analyst rejected; `blind` when no look has a count or no
        judgement is possible; `calm` otherwise.
    """
    name = short(data.site.title or data.site.name)
    seen = [o for o in data.observations if o.outcome in SEEN and o.count is not None]
    asides = list(_asides(data, seen))
    if data.cannot_judge:
        return Headline("blind", f"{name}: {short(data.cannot_judge, 300)}", tuple(asides))
    if not seen:
        looked = plural(len(data.observations), "look")
        return Headline(
            "blind", f"{name} has not been seen: {looked}, none with a count. Not seen is not empty.", tuple(asides)
        )
    newest = seen[-1]
    going_on = [s for s in in_reading_order(data.surges) if is_open(s) and s.verdict != "reject"]
    if going_on:
        surge = going_on[0]
        standing = "confirmed" if surge.status is SurgeStatus.CONFIRMED else "not yet confirmed"
        more = f" ({plural(len(going_on) - 1, 'more surge')} open)" if len(going_on) > 1 else ""
        return Headline(
            "surge",
            f"Traffic at {name} is surging: {number(surge.peak_railcars)} railcars on {day(surge.peak_at)} where "
            f"{number(surge.expected)} ({number(surge.expected_low)}–{number(surge.expected_high)}) were expected, "
            f"tier {surge.tier.value}, {standing}{more}; the newest count, of {day(newest.observed_at)}, is "
            f"{counted(newest)}.",
            tuple(asides),
        )
    baseline = baseline_by_time(data.baselines).get(newest.observed_at)
    expected = (
        f", where {number(baseline.expected)} ({number(baseline.low)}–{number(baseline.high)}) are expected"
        if baseline
        else ""
    )
    return Headline(
        "calm",
        f"No surge is open at {name}: the newest count, of {day(newest.observed_at)}, is {counted(newest)} "
        f"railcars{expected}.",
        tuple(asides),
    )


def _asides(data: ReportData, seen: Sequence[Observation]) -> Sequence[str]:
    out = []
    if seen:
        age = (data.generated_for - seen[-1].observed_at.astimezone(UTC).date()).days
        since = [o for o in data.observations if o.observed_at > seen[-1].observed_at]
        if age > OLD_DAYS or since:
            missed = f"; {plural(len(since), 'look')} since then gave no count" if since else ""
            out.append(f"The newest count is {plural(age, 'day')} old{missed}.")
    rejected = [s for s in data.surges if is_open(s) and s.verdict == "reject"]
    if rejected:
        out.append(f"{plural(len(rejected), 'open surge was', 'open surges were')} rejected by an analyst.")
    if any("TRACKS_PROVISIONAL" in o.flags for o in seen[-20:]):
        out.append("The track lines are provisional: these counts are not for publication.")
    searched = [s for s in data.freshness if not is_off(s)]
    stale = [s for s in searched if stale_days(s.newest_scene_at, data) > data.stale_after_days]
    if stale:
        names = ", ".join(short(s.title or s.source, 40) for s in stale)
        out.append(f"No new scene for more than {data.stale_after_days} days from {names}.")
    recent = datetime.combine(data.generated_for, time.max, tzinfo=UTC) - timedelta(days=FAILED_DAYS)
    failed = [o for o in data.observations if o.outcome is Outcome.FAILED and o.observed_at > recent]
    if failed:
        out.append(f"{plural(len(failed), 'look')} of the last {FAILED_DAYS} days could not be read: see Failures.")
    return out


def is_off(state: SourceState) -> bool:
    """Tell whether a source is switched off on purpose, which is no failure."""
    return state.problem.startswith("disabled")


def stale_days(newest: datetime | None, data: ReportData) -> int:
    """Return the days between a source's newest scene and the report's day; very many when it has none."""
    return 10_000 if newest is None else (data.generated_for - newest.astimezone(UTC).date()).days
