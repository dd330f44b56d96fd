"""Judge a series: baselines, alarms and surges, with the state that the next judgement goes on from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from pipeline.config import AlarmSettings
from pipeline.errors import SeriesError
from pipeline.model import COUNT_MAX, Alarm, Baseline, Observation, Site, Surge, Tier, Verdict
from pipeline.traffic.calibrate import METHOD_VERSION
from pipeline.traffic.changes import differences, withdrawn
from pipeline.traffic.episodes import RANK, surge_of
from pipeline.traffic.likelihood import UNJUDGED, evidence, interval
from pipeline.traffic.state import resume, save
from pipeline.traffic.stream import Stream

CORRECTED = 0.8  # half-width of the 90 % interval about a number that an analyst gave, railcars


@dataclass(frozen=True, slots=True)
class CalibrationSummary:
    """What stands behind the tiers, for the report; rates are a year."""

    method: str = METHOD_VERSION
    simulated_quiet_years: float = 0.0
    watch_per_year: float = 0.0
    alert_per_year: float = 0.0
    high_per_year: float = 0.0
    watch_score: float = 0.0  # -log of a rate
    alert_score: float = 0.0
    high_score: float = 0.0
    smallest_rate_checked: float = 0.0
    dwell_days: float = 0.0  # estimated stay of a state
    calibrations: int = 0  # so far: at the first judged look, when looks have multiplied, in January when needed
    seed: int = 0
    digest: str = ""  # of everything the newest calibration depends on
    pit_histogram: tuple[float, ...] = ()  # share of quiet looks in each tenth of their prediction; 0.1 is perfect


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge says of a site's whole series."""

    surges: tuple[Surge, ...] = ()  # in order of their first alarm
    alarms: tuple[Alarm, ...] = ()  # given ones included, by date
    baselines: tuple[Baseline, ...] = ()  # one for each judged look
    state: Mapping[str, Any] = field(default_factory=dict)  # JSON-able; the next judgement may go on from it
    calibration: CalibrationSummary = CalibrationSummary()
    cannot_judge: str = ""  # one sentence when no judgement is possible yet
    changes: tuple[str, ...] = ()  # what looks that came late changed


def judge(
    site: Site,
    observations: Sequence[Observation],
    settings: AlarmSettings,
    *,
    verdicts: Sequence[Verdict] = (),
    given: Sequence[Alarm] = (),
    cache_dir: Path | None = None,
    state: Mapping[str, Any] | bytes | None = None,
) -> Judgement:
    """Judge a site's series.

    What is said of a date depends on the looks up to that date only. Looks judged before are not judged again when
    `state` still fits; the outcome is the same, bit for bit.

    Parameters
    ----------
    site : Site
        Its canopies are breaks: from their first day on the tracks show less, whatever the traffic.
    observations : sequence of Observation
        In any order; rejected and failed rows say nothing.
    settings : AlarmSettings
    verdicts : sequence of Verdict
        A surge's standing word shows beside it and confirms it; a corrected count replaces the look's own.
    given : sequence of Alarm
        Alarms already given: they stay, whatever is said now.
    cache_dir : Path, optional
        Where calibrations are kept.
    state : mapping, optional
        Of the former judgement.

    Raises
    ------
    SeriesError
        When a row is impossible; names the observation.
    """
    spoken = _standing(verdicts)
    looks = evidence([_corrected(row, spoken) for row in observations])
    breaks = tuple(
        sorted(
            datetime.combine(zone.valid_from, time.min, tzinfo=UTC).timestamp() / 86400.0
            for zone in site.zones
            if zone.kind == "canopy" and zone.valid_from is not None
        )
    )
    stream = Stream(site.name, settings, breaks, cache_dir)
    done, why = resume(stream, looks, state)
    stream.feed(looks[done:])
    made = stream.calibration
    surges = tuple(
        surge_of(site.name, episode, stream.looks, "", stream.sizes, made.years if made else 1.0)
        for episode in stream.episodes
    )
    if spoken:
        surges = tuple(
            surge_of(
                site.name, episode, stream.looks, _word(spoken, surge), stream.sizes, made.years if made else 1.0
            )
            for episode, surge in zip(stream.episodes, surges, strict=True)
        )
    return Judgement(
        surges,
        _with_given(stream.alarms, given),
        tuple(stream.baselines),
        save(stream, surges),
        _summary(stream),
        _cannot(stream, observations),
        (*differences(state, surges, why), *withdrawn(given, stream.alarms, surges)),
    )


def _standing(verdicts: Sequence[Verdict]) -> dict[tuple[str, str], Verdict]:
    """Return the word in force on each subject: undo takes back the newest decision before it."""
    stacks: dict[tuple[str, str], list[Verdict]] = {}
    for word in sorted(verdicts, key=lambda v: (v.at, v.verdict_id)):
        stack = stacks.setdefault((word.subject, word.subject_id), [])
        if word.decision == "undo":
            if stack:
                stack.pop()
        elif word.decision != "note":
            stack.append(word)
    return {subject: stack[-1] for subject, stack in stacks.items() if stack}


def _word(spoken: Mapping[tuple[str, str], Verdict], surge: Surge) -> str:
    word = spoken.get(("surge", surge.surge_id))
    return word.decision if word is not None and word.decision in ("confirm", "reject") else ""


def _corrected(row: Observation, spoken: Mapping[tuple[str, str], Verdict]) -> Observation:
    """Return a row with the number that an analyst gave it."""
    word = spoken.get(("count", row.observation_id))
    if word is None or word.decision != "correct" or word.railcars is None or row.count is None:
        return row
    number = word.railcars
    if not 0 <= number <= COUNT_MAX:
        raise SeriesError(
            f"observation {row.observation_id} ({row.scene_id}): {word.by} corrected it to {number!r} railcars, not "
            f"a number between 0 and {COUNT_MAX}; take the word back with `undo`."
        )
    low, high = max(0.0, number - CORRECTED), min(float(COUNT_MAX), number + CORRECTED)
    vector = tuple(float(v) for v in interval(number, low, high))
    return replace(row, count=replace(row.count, railcars=number, low=low, high=high, likelihood=vector))


def _with_given(alarms: Sequence[Alarm], given: Sequence[Alarm]) -> tuple[Alarm, ...]:
    """Return the alarms given before and the new ones; the same date at the same tier is given once."""
    known = {(alarm.observed_at, alarm.tier) for alarm in given}
    new = [alarm for alarm in alarms if (alarm.observed_at, alarm.tier) not in known]
    return tuple(sorted((*given, *new), key=lambda a: (a.observed_at, RANK[Tier(a.tier)], a.observation_id)))


def _cannot(stream: Stream, observations: Sequence[Observation]) -> str:
    if stream.judged:
        return ""
    need, guard = stream.settings.min_baseline_looks, stream.settings.guard_days
    have = int(stream.engine.window.count[0])
    told = f"{len(stream.looks)} of {len(observations)} looks say anything" if observations else "no look is stored"
    aside = Counter(flag for row in observations if row.count is not None for flag in UNJUDGED & {*row.flags})
    if aside:
        told += "; counted but never judged: " + ", ".join(f"{n} {flag}" for flag, n in sorted(aside.items()))
    return f"cannot judge yet: needs {need} informative looks that are older than {guard} days, has {have} ({told})."


def _summary(stream: Stream) -> CalibrationSummary:
    made, settings = stream.calibration, stream.settings
    total = sum(stream.pit)
    histogram = tuple(round(value / total, 4) for value in stream.pit) if total else ()
    if made is None:
        return CalibrationSummary(seed=settings.calibration_seed, dwell_days=stream.dwell_days)
    return CalibrationSummary(
        METHOD_VERSION,
        made.years,
        settings.watch_per_year,
        settings.budget_per_year,
        settings.high_per_year,
        made.watch,
        made.alert,
        made.high,
        made.rate(float("inf")),
        stream.dwell_days,
        stream.calibrations,
        settings.calibration_seed,
        made.digest,
        histogram,
    )
