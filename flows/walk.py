"""The round as every way of starting it walks it: with Prefect or `--direct`, the same steps in the same order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from pipeline.config import Settings
from pipeline.errors import RailwatchError
from pipeline.model import Ledger
from pipeline.report.notify import notify
from pipeline.round.acquire import acquire_all
from pipeline.round.count import count_site
from pipeline.round.discover import RoundPlan, plan_round
from pipeline.round.progress import Progress
from pipeline.round.run import RoundResult, finish_round
from pipeline.round.workspace import Workspace

Result = TypeVar("Result")


class Engine(Protocol):
    """How steps are carried out: in this thread, or as an orchestrator's tasks."""

    def step(self, name: str, work: Callable[[], Result]) -> Result:
        """Carry out one step."""

    def acquire(self, ws: Workspace, plan: RoundPlan, settings: Settings, progress: Progress) -> Ledger:
        """Fetch every new scene of a plan."""


class Direct:
    """Steps in this thread, scenes in a plain thread pool."""

    def step(self, name: str, work: Callable[[], Result]) -> Result:
        """Carry out one step."""
        return work()

    def acquire(self, ws: Workspace, plan: RoundPlan, settings: Settings, progress: Progress) -> Ledger:
        """Fetch every new scene of a plan."""
        return acquire_all(ws, plan, settings, progress)


@dataclass(frozen=True)
class Window:
    """Which part of the past a round is about."""

    since: datetime | None = None
    until: datetime | None = None
    source: str | None = None


def walk(
    ws: Workspace,
    site: str,
    *,
    today: datetime,
    window: Window,
    progress: Progress,
    engine: Engine,
    workers: int | None = None,
    elsewhere: Ledger | None = None,
) -> RoundResult:
    """Walk the whole line for one site: discover, acquire, count, record, judge, report, and tell of changes.

    Parameters
    ----------
    ws : Workspace
    site : str
    today : datetime
        The round's date, UTC.
    window : Window
        Acquisition times to search; empty: what `plan_round` chooses.
    progress : Progress
    engine : Engine
    workers : int, optional
        Scenes that are fetched at once; by default `read_threads` of the settings.
    elsewhere : Ledger, optional
        What other machines fetched for this round.

    Raises
    ------
    RailwatchError
        With one sentence, when no source could be searched or nothing can be stored.
    """
    plan = engine.step("discover", lambda: _plan(ws, site, today, window, progress))
    round_id = ws.store.start_round(site, started_at=today)
    ledger = plan.ledger + (elsewhere or Ledger()) + engine.acquire(ws, plan, threads(ws, site, workers), progress)
    counts = engine.step("count", lambda: count_site(ws, site, progress=progress))
    ledger += counts.ledger
    result = engine.step(
        "judge-and-report",
        lambda: finish_round(ws, site, plan, ledger, counts, round_id=round_id, today=today, progress=progress),
    )
    told = engine.step("notify", lambda: tell(ws, site, result, today))
    return replace(result, messages=(*result.messages, *told))


def fetch(
    ws: Workspace,
    site: str,
    *,
    today: datetime,
    window: Window,
    progress: Progress,
    engine: Engine,
    workers: int | None = None,
) -> Ledger:
    """Walk only the first half of the line, discover and acquire: the part that many machines share."""
    plan = engine.step("discover", lambda: _plan(ws, site, today, window, progress))
    return plan.ledger + engine.acquire(ws, plan, threads(ws, site, workers), progress)


def threads(ws: Workspace, site: str, workers: int | None) -> Settings:
    """Return the site's settings with the number of scenes fetched at once."""
    settings = ws.settings_for(site)
    return settings if workers is None else settings.model_copy(update={"read_threads": workers})


def tell(ws: Workspace, site: str, result: RoundResult, today: datetime) -> tuple[str, ...]:
    """Send word of new and changed surges; what goes wrong there is said and stops nothing."""
    if result.judgement is None:
        return ()
    settings = ws.settings_for(site)
    try:
        delivery = notify(
            ws.site(site),
            result.judgement.surges,
            settings.notify,
            ws.store.notifications,
            since=today - timedelta(days=settings.lookback_days),
            link=str(result.report_path or ""),
        )
    except RailwatchError as error:
        return (f"No word of surges was sent: {error}",)
    return delivery.lines()


def _plan(ws: Workspace, site: str, today: datetime, window: Window, progress: Progress) -> RoundPlan:
    return plan_round(
        ws, site, today=today, since=window.since, until=window.until, source=window.source, progress=progress
    )
