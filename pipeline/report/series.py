"""The series as flat records: what the chart draws and the tables list."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from pipeline.model import Observation, Outcome, PublishedCount, Surge, Verdict
from pipeline.report.data import ReportData
from pipeline.report.headline import SEEN, baseline_by_time
from pipeline.report.text import counted, day, is_upper_limit, minute, number, short

Record = dict[str, Any]
UNSEEN_GAP_DAYS = 10  # a longer time without a count is drawn as unseen
_STATISTICS = {"look": "single look", "sum": "sum over looks"}
_DECISION_SIGN = {"confirm": "✓", "reject": "✗", "correct": "✎", "note": "…", "undo": "↶"}


def ms(at: datetime) -> int:
    """Return milliseconds since 1970, as charts in a browser take times."""
    return int(at.astimezone(UTC).timestamp() * 1000)


def look_records(data: ReportData) -> list[Record]:
    """Return one record for each count of the series."""
    expected = baseline_by_time(data.baselines)
    out: list[Record] = []
    for o in data.observations:
        if o.count is None or o.outcome not in SEEN:
            continue
        limit = is_upper_limit(o)
        record: Record = {
            "t": ms(o.observed_at),
            "n": round(o.count.high if limit else o.count.railcars, 1),
            "lo": round(o.count.low, 1),
            "hi": round(o.count.high, 1),
            "dl": round(o.count.detection_limit, 1),
            "k": "at most" if limit else "flagged" if o.outcome is Outcome.FLAGGED else "count",
            "s": short(o.scene_id, 60),
            "says": counted(o),
        }
        if o.flags:
            record["f"] = short(", ".join(o.flags), 160)
        if o.gsd_m < 5:
            record["r"] = 1  # resolved or metres: single cars stand behind it
        baseline = expected.get(o.observed_at)
        if baseline is not None:
            record["x"] = f"{number(baseline.expected)} ({number(baseline.low)}–{number(baseline.high)})"
        out.append(record)
    return out


def unseen_records(data: ReportData) -> list[Record]:
    """Return one record for each look without a count: rejected or failed, and why."""
    return [
        {
            "t": ms(o.observed_at),
            "k": o.outcome.value,
            "s": short(o.scene_id, 60),
            "f": short(", ".join(o.flags) or o.detail, 160),
        }
        for o in data.observations
        if o.count is None or o.outcome not in SEEN
    ]


def gap_records(data: ReportData) -> list[Record]:
    """Return the times of more than `UNSEEN_GAP_DAYS` without a count, the one up to the report's day included."""
    seen = [o.observed_at for o in data.observations if o.count is not None and o.outcome in SEEN]
    ends = [*seen, datetime.combine(data.generated_for, time.max, tzinfo=UTC)]
    return [
        {"t": ms(a), "t2": ms(b), "says": f"not seen for {(b - a).days} days"}
        for a, b in pairwise(ends)
        if b - a > timedelta(days=UNSEEN_GAP_DAYS)
    ]


def baseline_records(data: ReportData) -> list[Record]:
    """Return the baseline band in date order."""
    ordered = sorted(data.baselines, key=lambda b: b.observed_at)
    return [
        {"t": ms(b.observed_at), "lo": round(b.low, 1), "e": round(b.expected, 1), "hi": round(b.high, 1)}
        for b in ordered
    ]


def alarm_records(data: ReportData) -> list[Record]:
    """Return the alarms at the height of the counts that gave them."""
    counts = {o.observation_id: o for o in data.observations if o.count is not None}
    at_time = {o.observed_at: o for o in data.observations if o.count is not None}
    out = []
    for alarm in sorted(data.alarms, key=lambda a: (a.observed_at, a.tier.value, a.statistic)):
        look = counts.get(alarm.observation_id) or at_time.get(alarm.observed_at)
        out.append(
            {
                "t": ms(alarm.observed_at),
                "n": round(look.count.railcars, 1) if look is not None and look.count is not None else 0,
                "tier": alarm.tier.value,
                "says": f"{alarm.tier.value} alarm, by the {_STATISTICS.get(alarm.statistic, alarm.statistic)}, "
                f"ratio {alarm.ratio:.1f}",
            }
        )
    return out


def surge_records(data: ReportData) -> list[Record]:
    """Return the span of each surge, open ones to the report's day."""
    end_of_day = datetime.combine(data.generated_for, time.max, tzinfo=UTC)
    return [
        {
            "t": ms(s.onset_earliest),
            "on": ms(s.onset_latest),
            "t2": ms(max(s.ended_at or end_of_day, s.peak_at)),
            "tier": s.tier.value,
            "says": f"{s.tier.value} surge, {s.status.value}, onset {day(s.onset_earliest)} to {day(s.onset_latest)}",
        }
        for s in data.surges
    ]


def published_number(count: PublishedCount) -> float | None:
    """Return a published number of railcars, None for a row that states none."""
    if count.kind not in ("count", "upper_bound", "lower_bound") or "car" not in count.unit.lower():
        return None
    try:
        value = float(count.value.strip())
    except ValueError:
        return None
    return value if 0 <= value < 1e5 else None


def published_records(data: ReportData) -> list[Record]:
    """Return the published numbers of railcars, spans as spans."""
    out = []
    for p in data.site.published:
        value = published_number(p)
        if value is None:
            continue
        middle = datetime.combine(p.start, time(12), tzinfo=UTC)
        out.append(
            {
                "t": ms(middle),
                "t2": ms(datetime.combine(max(p.end, p.start), time(12), tzinfo=UTC)),
                "n": value,
                "k": {"count": "published", "upper_bound": "published at most"}.get(p.kind, "published at least"),
                "says": short(f"{p.value} {p.unit}, {p.publisher}; {p.scope or p.sensor}", 120),
            }
        )
    return out


def verdict_records(data: ReportData) -> list[Record]:
    """Return analysts' words at the peak of the surge, or at the look, that they speak of."""
    surges: dict[str, Surge] = {s.surge_id: s for s in data.surges}
    looks: dict[str, Observation] = {o.observation_id: o for o in data.observations}
    out = []
    for v in sorted(data.verdicts, key=lambda v: (v.at, v.verdict_id)):
        if v.subject == "surge" and v.subject_id in surges:
            at, height = surges[v.subject_id].peak_at, surges[v.subject_id].peak_railcars
        elif v.subject == "count" and v.subject_id in looks:
            look = looks[v.subject_id]
            at, height = look.observed_at, v.railcars if v.railcars is not None else _best(look)
        else:
            continue
        out.append({"t": ms(at), "n": round(height, 1), "sign": _DECISION_SIGN[v.decision], "says": _word(v)})
    return out


def _best(look: Observation) -> float:
    return look.count.railcars if look.count is not None else 0.0


def _word(v: Verdict) -> str:
    number_said = "" if v.railcars is None else f" to {number(v.railcars)}"
    reason = f" ({short(v.reason, 40)})" if v.reason else ""
    return f"{v.decision}{number_said}{reason} by {short(v.by, 40)}, {minute(v.at)}"
