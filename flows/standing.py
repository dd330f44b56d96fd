"""How a site stands, from what is stored."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import typer

from flows.say import with_subject
from flows.tables import largest, sparkline, visible
from pipeline.config import SourceConfig
from pipeline.model import Observation, Outcome, Surge, SurgeStatus
from pipeline.report.tables import series_row, surge_row, zulu
from pipeline.round.workspace import Workspace
from pipeline.store import RoundRecord, SourceFreshness

FAILURES_SHOWN = 10
TIER_COLOURS = {"high": "red", "alert": "yellow", "watch": "cyan"}


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
    largest: float  # railcars at its full height


def standing(ws: Workspace, site: str, today: datetime) -> Standing:
    """Gather how a site stands."""
    rows = ws.store.observations(site)
    counted = [row for row in rows if row.count is not None]
    stale_after = ws.settings_for(site).stale_after_days
    seen = {row.source: row for row in ws.store.freshness(site)}
    sources = []
    for name in ws.site_config(site).sources:
        row = seen.get(name)
        says = freshness(ws.source(name), row, today, stale_after)
        sources.append(
            SourceStanding(name, row.newest_scene_at if row else None, row.checked_at if row else None, says)
        )
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
        largest=largest(rows, rows[-1].observed_at) if rows else 0.0,
    )


def freshness(config: SourceConfig, row: SourceFreshness | None, today: datetime, stale_after: int) -> str:
    """Say in a few words how fresh a source is for one site.

    Parameters
    ----------
    config : SourceConfig
    row : SourceFreshness or None
        What the store knows of it.
    today : datetime
    stale_after : int
        Days without a new scene after which that is said.
    """
    if not config.enabled:
        return f"disabled: {config.disabled_reason or 'no reason given'}"
    if row is None:
        return "never searched"
    if row.newest_scene_at is None:
        return "holds nothing of this site"
    days = (today - row.newest_scene_at).days
    return f"no new scene for {days} days" if days > stale_after else "fresh"


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
    """Return the standing as lines for a terminal, with colours where something asks for attention."""
    out = [typer.style(f"{visible(found.title)} ({found.site})", bold=True)]
    out.append(f"Last round    {_round(found.last_round)}")
    if found.newest is None:
        out.append("Looks         none yet; `railwatch run` fetches them")
    else:
        tally = ", ".join(f"{number} {outcome}" for outcome, number in found.outcomes.items())
        out.append(f"Looks         {sum(found.outcomes.values())}: {tally}")
        out.append(
            f"Newest look   {_day(found.newest.observed_at)} {visible(found.newest.scene_id)}, {found.newest.outcome}"
        )
    if found.newest_counted is not None and found.newest_counted.count is not None:
        row, count = found.newest_counted, found.newest_counted.count
        out.append(
            f"Newest count  {_day(row.observed_at)}: {count.railcars:.0f} railcars "
            f"({count.low:.0f} to {count.high:.0f}; detection limit {count.detection_limit:.0f})"
        )
        out.append(f"Last year     {found.last_year}")
        out.append(f"              largest count of each week, full height {found.largest:.0f}; · not seen")
    some = len(found.open_surges)
    out.append(f"Open surges   {typer.style(str(some), fg='red', bold=True) if some else 'none'}")
    out += [
        f"  {typer.style(f'{surge.tier.value:<6}', fg=TIER_COLOURS[surge.tier.value])}{visible(surge.surge_id[:8])}  "
        f"{visible(surge.sentence)}"
        for surge in found.open_surges
    ]
    failed = len(found.failures)
    out.append(f"Failed looks  {typer.style(str(failed), fg='red') if failed else 'none'}")
    out += [f"  {with_subject(row.scene_id, row.detail)}" for row in found.failures[-FAILURES_SHOWN:]]
    if failed > FAILURES_SHOWN:
        out.append(f"  and {failed - FAILURES_SHOWN} more: railwatch series {found.site} --format table")
    out.append("Sources")
    width = max((len(source.source) for source in found.sources), default=0)
    for source in found.sources:
        says = visible(source.says)
        if not says.startswith(("fresh", "disabled")):
            says = typer.style(says, fg="yellow")
        out.append(
            f"  {source.source:<{width}}  newest {_day(source.newest_scene_at):<10}  "
            f"checked {_day(source.checked_at):<10}  {says}"
        )
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
