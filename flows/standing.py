"""How a site stands, from what is stored."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flows.say import with_subject
from flows.tables import sparkline, visible
from pipeline.model import Observation, Outcome, Surge, SurgeStatus
from pipeline.report.tables import series_row, surge_row, zulu
from pipeline.round.workspace import Workspace
from pipeline.store import RoundRecord

FAILURES_SHOWN = 10


@dataclass(frozen=True)
class SourceStanding:
    """One source of the site."""

    source: str
    newest_scene_at: datetime | None
    checked_at: datetime | None
    says: str  # ok, stale, disabled, never searched; with why


@dataclass(frozen=True)
class Standing:
    """Everything that `railwatch status` says."""

    site: str
    title: str
    today: datetime
    last_round: RoundRecord | None
    newest: Observation | None  # newest look of any outcome
    newest_counted: Observation | None
    outcomes: dict[str, int]
    open_surges: tuple[Surge, ...]
    failures: tuple[Observation, ...]
    sources: tuple[SourceStanding, ...]
    last_year: str  # sparkline of weekly peaks


def standing(ws: Workspace, site: str, today: datetime) -> Standing:
    """Gather how a site stands."""
    rows = ws.store.observations(site)
    counted = [row for row in rows if row.count is not None]
    stale_after = ws.settings_for(site).stale_after_days
    seen = {row.source: row for row in ws.store.freshness(site)}
    sources = []
    for name in ws.site_config(site).sources:
        config, row = ws.source(name), seen.get(name)
        newest = row.newest_scene_at if row else None
        if not config.enabled:
            says = f"disabled: {config.disabled_reason or 'no reason given'}"
        elif row is None:
            says = "never searched"
        elif newest is None:
            says = "holds nothing of this site"
        elif (today - newest).days > stale_after:
            says = f"no new scene for {(today - newest).days} days"
        else:
            says = "fresh"
        sources.append(SourceStanding(name, newest, row.checked_at if row else None, says))
    return Standing(
        site=site,
        title=ws.site_config(site).title,
        today=today,
        last_round=ws.store.last_round(site),
        newest=rows[-1] if rows else None,
        newest_counted=counted[-1] if counted else None,
        outcomes=dict(sorted(Counter(row.outcome.value for row in rows).items())),
        open_surges=tuple(
            surge
            for surge in surges(ws, site)
            if surge.status in (SurgeStatus.PROVISIONAL, SurgeStatus.CONFIRMED) and surge.verdict != "reject"
        ),
        failures=tuple(row for row in rows if row.outcome is Outcome.FAILED),
        sources=tuple(sources),
        last_year=sparkline(rows, rows[-1].observed_at) if rows else "",
    )


def surges(ws: Workspace, site: str) -> tuple[Surge, ...]:
    """Return a site's surges with the word that stands on each now: words are given between two rounds too."""
    from pipeline.report.desk import words

    spoken = ws.store.verdicts(site)
    found = []
    for surge in ws.store.surges(site):
        word = words.standing(words.about(spoken, "surge", surge.surge_id))
        found.append(replace(surge, verdict=word.decision if word else ""))
    return tuple(found)


def lines(found: Standing) -> list[str]:
    """Return the standing as lines for a terminal."""
    out = [f"{visible(found.title)} ({found.site})"]
    out.append(f"Last round    {_round(found.last_round)}")
    if found.newest is None:
        out.append("Looks         none yet; `railwatch run` fetches them")
    else:
        tally = ", ".join(f"{number} {outcome}" for outcome, number in found.outcomes.items())
        out.append(f"Looks         {sum(found.outcomes.values())}: {tally}")
        out.append(
            f"Newest look   {found.newest.observed_at:%Y-%m-%d} {found.newest.scene_id}, {found.newest.outcome}"
        )
    if found.newest_counted is not None and found.newest_counted.count is not None:
        row, count = found.newest_counted, found.newest_counted.count
        out.append(
            f"Newest count  {row.observed_at:%Y-%m-%d}: {count.railcars:.0f} railcars "
            f"({count.low:.0f} to {count.high:.0f}; would have shown {count.detection_limit:.0f})"
        )
        out.append(f"Last year     {found.last_year}  weekly peak, a dot where nothing was seen")
    out.append(f"Open surges   {len(found.open_surges) or 'none'}")
    out += [f"  {surge.tier.value:<6}{surge.surge_id[:8]}  {visible(surge.sentence)}" for surge in found.open_surges]
    out.append(f"Failed looks  {len(found.failures) or 'none'}")
    out += [f"  {with_subject(row.scene_id, row.detail)}" for row in found.failures[-FAILURES_SHOWN:]]
    if len(found.failures) > FAILURES_SHOWN:
        out.append(f"  and {len(found.failures) - FAILURES_SHOWN} more: railwatch series {found.site} --format table")
    out.append("Sources")
    width = max((len(source.source) for source in found.sources), default=0)
    out += [
        f"  {source.source:<{width}}  newest {_day(source.newest_scene_at)}, checked {_day(source.checked_at)}: "
        f"{visible(source.says)}"
        for source in found.sources
    ]
    return out


def as_json(found: Standing) -> str:
    """Return the standing as JSON."""
    record = found.last_round
    content: dict[str, Any] = {
        "site": found.site,
        "last_round": None
        if record is None
        else {
            "started_at": zulu(record.started_at),
            "finished_at": zulu(record.finished_at) if record.finished_at else None,
            "exit_code": record.exit_code,
        },
        "newest_look": series_row(found.newest) if found.newest else None,
        "newest_count": series_row(found.newest_counted) if found.newest_counted else None,
        "outcomes": found.outcomes,
        "open_surges": [surge_row(surge) for surge in found.open_surges],
        "failures": [{"scene_id": row.scene_id, "detail": row.detail} for row in found.failures],
        "sources": [
            {
                "source": source.source,
                "newest_scene_at": zulu(source.newest_scene_at) if source.newest_scene_at else None,
                "checked_at": zulu(source.checked_at) if source.checked_at else None,
                "says": source.says,
            }
            for source in found.sources
        ],
    }
    return json.dumps(content, indent=1)


def _round(record: RoundRecord | None) -> str:
    if record is None:
        return "none yet"
    if record.exit_code is None:
        return f"{record.started_at:%Y-%m-%d %H:%M} UTC, not finished: still running or interrupted; run it again"
    says = {0: "done", 3: "done, some scenes failed"}.get(record.exit_code, f"exit code {record.exit_code}")
    return f"{record.started_at:%Y-%m-%d %H:%M} UTC, {says}"


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else "never"
