"""What would change the mind about a surge: what is to come, what was hidden, what other sensors say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.flags import FLAGS
from pipeline.model import Observation, Outcome, Surge, SurgeStatus
from pipeline.report.data import ReportData
from pipeline.report.episode import looks_of, story_of
from pipeline.report.headline import SEEN, is_open
from pipeline.report.text import counted, day, minute, number, plural, short

NEXT_SHOWN = 4


def doubts(surge: Surge, data: ReportData) -> tuple[tuple[str, str], ...]:
    """Return the points that could overturn or firm up a surge, each a heading and a sentence."""
    looks = [o for o in looks_of(surge, data.observations) if o.observed_at >= surge.onset_latest]
    seen = [o for o in looks if o.outcome in SEEN and o.count is not None]
    out = []
    if is_open(surge):
        out.append(
            ("It would end", f"with two clear looks in a row at {number(surge.expected_high)} railcars or fewer.")
        )
        if surge.status is SurgeStatus.PROVISIONAL:
            out.append(
                (
                    "It would be confirmed",
                    f"by the next clear look above {number(surge.expected_high)}, another sensor or an analyst.",
                )
            )
        out.append(("Next passes", _next(data)))
    out.append(("Seen during it", _seen(seen, looks)))
    out.append(("Other sensors", _others(seen)))
    out.append(("Radar", _radar(surge, looks)))
    reservations = _reservations(surge, data.observations)
    if reservations:
        out.append(("Reservations on its evidence", reservations))
    return tuple(out)


def _next(data: ReportData) -> str:
    coming = sorted(
        (p for p in data.next_passes if p.expected_at.date() >= data.generated_for), key=lambda p: p.expected_at
    )
    if not coming:
        return "none is known; passes are named when a platform's repeat is known from its past looks."
    parts = [
        f"{minute(p.expected_at)} {short(p.platform, 20)}{' ' + short(p.orbit, 20) if p.orbit else ''}"
        f"{' (' + short(p.basis, 60) + ')' if p.basis else ''}"
        for p in coming[:NEXT_SHOWN]
    ]
    return "; ".join(parts) + ". A cloud over the yard makes any of them say nothing."


def _seen(seen: Sequence[Observation], looks: Sequence[Observation]) -> str:
    hidden = [o for o in looks if o not in seen]
    text = f"{plural(len(seen), 'look')} with a count"
    if not hidden:
        return f"{text}; no look was lost."
    why = Counter(flag for o in hidden for flag in (o.flags or (o.outcome.value,)))
    listed = ", ".join(f"{short(flag, 40)} {n}" for flag, n in sorted(why.items(), key=lambda p: (-p[1], p[0])))
    return f"{text}; {plural(len(hidden), 'look')} without one ({listed})."


def _others(seen: Sequence[Observation]) -> str:
    tally = Counter(f"{short(o.sensor, 30)} at {o.gsd_m:g} m" for o in seen)
    if len(tally) > 1:
        told = [f"{kind}: {plural(n, 'look')}" for kind, n in sorted(tally.items())]
        return ", ".join(told) + "."
    only = next(iter(tally), "no sensor")
    return f"none besides {only}: an error that this kind of image makes twice would not be found out."


def _radar(surge: Surge, looks: Sequence[Observation]) -> str:
    """Say what radar saw, and whether that supports the surge or calms; the mean of six passes where there is one."""
    radar = [o for o in looks if o.sensor == "sentinel-1"]
    if not radar:
        return "no radar look falls into it."
    told = [o for o in radar if o.count is not None and o.outcome in SEEN]
    if not told:
        return f"{plural(len(radar), 'look')}, none usable."
    newest = told[-1]
    said = f"{plural(len(told), 'look')}, the newest of {day(newest.observed_at)}: {counted(newest)}"
    low, high = (newest.count.low, newest.count.high) if newest.count is not None else (0.0, float("inf"))
    six = newest.count.measures if newest.count is not None else {}
    if "mean6" in six:
        low, high = six["mean6_low"], six["mean6_high"]
        said += f"; mean of its last six passes {number(six['mean6'])} ({number(low)}–{number(high)})"
    if low > surge.expected_high:
        said += "; it supports the surge"
    elif high <= surge.expected_high:
        said += "; it calms"
    else:
        said += "; it neither supports nor calms"
    if any("RADAR_UNPROVEN" in o.flags for o in told):
        said += "; not shown to follow counts at this site, so it is not judged"
    return said + "."


def _reservations(surge: Surge, observations: Sequence[Observation]) -> str:
    story = story_of(surge, observations)
    flags = sorted({flag for o in (story.alarm, story.peak) if o is not None for flag in o.flags})
    failed = [o for o in looks_of(surge, observations) if o.outcome is Outcome.FAILED]
    parts = [f"{short(flag, 40)}: {FLAGS[flag].meaning}" if flag in FLAGS else short(flag, 40) for flag in flags]
    if failed:
        parts.append(f"{plural(len(failed), 'look')} of it could not be read.")
    return " ".join(parts)
