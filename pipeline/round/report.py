"""Report: what the store holds becomes a page."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from pipeline import __version__
from pipeline.imagery.passes import next_passes
from pipeline.model import Ledger, Observation
from pipeline.report import build_report
from pipeline.report.data import NextPass, ReportData, SourceState, SourceTerms
from pipeline.round.judge import judge_site
from pipeline.round.looks import look_finder
from pipeline.round.words import words_on_record
from pipeline.round.workspace import Workspace
from pipeline.store.identity import config_digest
from pipeline.traffic import Judgement
from pipeline.traffic.kinds import kind_changes

LIBRARIES = ("rasterio", "numpy", "scikit-image", "scipy", "prefect", "geopandas")


def report_site(
    ws: Workspace,
    site_name: str,
    *,
    today: datetime,
    ledger: Ledger | None = None,
    judgement: Judgement | None = None,
    messages: Iterable[str] = (),
) -> Path:
    """Write the report of a site and return its path, below the home folder.

    Parameters
    ----------
    ws : Workspace
    site_name : str
    today : datetime
        The day the report speaks for, UTC.
    ledger : Ledger, optional
        Of the round that just ended.
    judgement : Judgement, optional
        When it is at hand; otherwise the series is judged.
    messages : iterable of str
        Sentences of the round for the reader.
    """
    out = ws.home / "reports" / f"{site_name}.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    data = report_data(ws, site_name, today=today, ledger=ledger, judgement=judgement, messages=messages)
    return build_report(data, out)


def report_data(
    ws: Workspace,
    site_name: str,
    *,
    today: datetime,
    ledger: Ledger | None = None,
    judgement: Judgement | None = None,
    messages: Iterable[str] = (),
) -> ReportData:
    """Gather everything that a report shows."""
    site, settings = ws.site(site_name), ws.settings_for(site_name)
    observations = ws.store.observations(site_name)
    judgement = judgement or judge_site(ws, site_name)
    return ReportData(
        site=site,
        generated_for=today.date(),
        observations=observations,
        surges=judgement.surges,
        baselines=judgement.baselines,
        alarms=judgement.alarms,
        verdicts=words_on_record(ws.store, site_name),
        freshness=_freshness(ws, site_name, ledger),
        ledger=ledger or Ledger(),
        next_passes=_passes(observations, today),
        terms=tuple(
            SourceTerms(name, config.attribution, config.terms, config.url)
            for name in ws.site_config(site_name).sources
            for config in [ws.source(name)]
        ),
        versions={
            "railwatch": __version__,
            "Python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        calibration=asdict(judgement.calibration),
        config_digest=config_digest(site, settings),
        cannot_judge=judgement.cannot_judge,
        changes=judgement.changes,
        messages=tuple(messages),
        stale_after_days=settings.stale_after_days,
        look_for=look_finder(ws, site_name),
        kind_changes=tuple(change.sentence for change in reversed(kind_changes(observations, settings.alarms))),
    )


def _freshness(ws: Workspace, site_name: str, ledger: Ledger | None) -> tuple[SourceState, ...]:
    """Return how fresh each source of the site is, with the problem of its last search."""
    seen = {row.source: row for row in ws.store.freshness(site_name)}
    problems = {
        entry.subject: entry.detail for entry in (ledger or Ledger()).of("failed") if entry.step == "discover"
    }
    states = []
    for name in ws.site_config(site_name).sources:
        row, config = seen.get(name), ws.source(name)
        problem = problems.get(name, "" if config.enabled else f"disabled: {config.disabled_reason}")
        states.append(
            SourceState(
                name,
                config.title,
                row.newest_scene_at if row else None,
                row.checked_at if row else None,
                problem,
            )
        )
    return tuple(states)


def _passes(observations: Iterable[Observation], today: datetime) -> tuple[NextPass, ...]:
    """Return the passes to expect next, from the archive's own repeat pattern."""
    history = [
        (row.platform, row.orbit, row.observed_at) for row in observations if row.sensor not in ("vhr", "tiles")
    ]
    return tuple(
        NextPass(
            found.at,
            found.platform,
            found.orbit,
            basis=f"repeats every {found.cycle_days:g} days, {found.seen} passes seen",
        )
        for found in next_passes(history, today)
    )
