"""Archived chips counted again with today's method; the network is not asked."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from prefect import flow

from flows.artifact import publish
from flows.monitor import bounds, scheduled_date
from flows.places import home_folder
from flows.progress import current
from flows.tasks import Orchestrated
from flows.walk import Engine, Window
from pipeline.round.count import CountResult, count_site
from pipeline.round.judge import judge_site
from pipeline.round.progress import Progress
from pipeline.round.report import report_site
from pipeline.round.workspace import Workspace


def recount_site(
    ws: Workspace,
    site: str,
    *,
    today: datetime,
    window: Window,
    scene: str | None,
    progress: Progress,
    engine: Engine,
) -> tuple[CountResult, Path]:
    """Count, judge and report again; returns what moved, appeared and went, and the report."""
    counts = engine.step(
        "count",
        lambda: count_site(
            ws, site, since=window.since, until=window.until, scene_id=scene, force=True, progress=progress
        ),
    )

    def judge_and_report() -> Path:
        judgement = judge_site(ws, site)
        return report_site(ws, site, today=today, ledger=counts.ledger, judgement=judgement)

    return counts, engine.step("judge-and-report", judge_and_report)


@flow(name="recount", flow_run_name="recount-{site}", persist_result=False, validate_parameters=False)
def recount(
    config: str,
    home: str,
    site: str,
    since: str | None = None,
    until: str | None = None,
    scene: str | None = None,
) -> CountResult:
    """Count archived chips again.

    Parameters
    ----------
    config, home : str
        Configuration and home folder.
    site : str
    since, until : str, optional
        ISO 8601 times with a zone.
    scene : str, optional
        Only this scene, by scene id or item id.
    """
    with Workspace.open(Path(config), home_folder(home)) as ws:
        counts, report = recount_site(
            ws,
            site,
            today=scheduled_date(),
            window=bounds(since, until, None),
            scene=scene,
            progress=current(),
            engine=Orchestrated(),
        )
        publish(site, counts.ledger, report, (*counts.moved, *counts.appeared, *counts.gone))
        return counts
