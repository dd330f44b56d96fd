"""The demo's round, and its surge beside the truth."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from flows.door import Door
from pipeline.config import AlarmSettings
from pipeline.model import Surge, Tier
from pipeline.round.progress import Progress
from pipeline.round.run import RoundResult

QUIET_MAX = 20  # railcars; the simulated yard's own quiet past never holds more


def demo_round(here: Door, progress: Progress, *, with_flow: bool) -> RoundResult:
    """Walk a backfill over the whole simulated archive; its date is the last look's, never the clock's."""
    times = [at for at, _ in read_truth(here.config.parent / "truth.csv")]
    since = datetime.combine(times[0].date(), time.min, tzinfo=UTC)
    until = datetime.combine(times[-1].date(), time.max, tzinfo=UTC)
    if with_flow:
        from flows.orchestrator import attended, prepare

        prepare(here.home, debug=here.debug)
        from flows.backfill import backfill

        with here.workspace() as ws:
            site = ws.settings.default_site
        with attended():
            return backfill(str(here.config), str(here.home), site, since.isoformat(), until.isoformat())
    from flows.walk import Direct, Window, walk

    with here.workspace() as ws:
        return walk(
            ws,
            ws.settings.default_site,
            today=until,
            window=Window(since, until),
            progress=progress,
            engine=Direct(),
        )


def read_truth(path: Path) -> list[tuple[datetime, float]]:
    """Return (time, railcars) of each look of truth.csv, in date order."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(_time(row["observed_at"]), float(row["railcars"])) for row in csv.DictReader(file)]
    return sorted(rows)


def compare(truth: Path, result: RoundResult, allowed: AlarmSettings) -> list[str]:
    """Say in plain words what was found, and beside it what was true."""
    looks = read_truth(truth)
    peak_at, peak = max(looks, key=lambda look: look[1])
    before = [at for at, cars in looks if cars <= QUIET_MAX and at < peak_at]
    last_quiet = max(before, default=looks[0][0])
    first_above = min(at for at, cars in looks if cars > QUIET_MAX and at > last_quiet)
    surges = result.judgement.surges if result.judgement else ()
    near = [surge for surge in surges if _overlaps(surge, first_above, peak_at)]
    lines = [""]
    if near:
        best = max(near, key=lambda surge: surge.peak_railcars)
        lines.append(
            f"Found: a surge of tier {best.tier.value}, onset between {best.onset_earliest:%Y-%m-%d} and "
            f"{best.onset_latest:%Y-%m-%d}, peak of {best.peak_railcars:.0f} railcars on {best.peak_at:%Y-%m-%d}, "
            f"where {best.expected:.0f} were expected."
        )
    else:
        lines.append("Found: no surge at the time of the simulated one.")
    lines.append(
        f"Truth: more than {QUIET_MAX} railcars from between {last_quiet:%Y-%m-%d} and {first_above:%Y-%m-%d}, "
        f"peak of {peak:.0f} on {peak_at:%Y-%m-%d}."
    )
    tiers = Counter(surge.tier for surge in surges if surge not in near)
    others = ", ".join(f"{tiers[tier]} {tier.value}" for tier in Tier if tiers[tier])
    lines.append(
        f"Other surges, which are false alarms: {others or 'none'} (a quiet yard may give {allowed.watch_per_year:g} "
        f"watch, {allowed.budget_per_year:g} alert, {allowed.high_per_year:g} high a year)."
    )
    return lines


def _overlaps(surge: Surge, start: datetime, end: datetime) -> bool:
    """Tell whether an episode lies at the time of the true one."""
    last = surge.ended_at or surge.peak_at
    return surge.onset_earliest <= end + timedelta(days=30) and last >= start - timedelta(days=10)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
