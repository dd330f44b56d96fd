"""The round: discover, acquire, count, record, judge, report, in a straight line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.model import Ledger
from pipeline.round.acquire import acquire_all
from pipeline.round.count import CountResult, count_site
from pipeline.round.discover import RoundPlan, plan_round
from pipeline.round.judge import judge_site
from pipeline.round.progress import Progress, Silent
from pipeline.round.report import report_site
from pipeline.round.workspace import Workspace
from pipeline.traffic import Judgement

EXIT_DONE, EXIT_SOME_FAILED = 0, 3


@dataclass(frozen=True)
class RoundResult:
    """What a round did."""

    ledger: Ledger
    exit_code: int  # 0 done, 3 done but some scenes failed
    messages: tuple[str, ...]
    plan: RoundPlan
    counts: CountResult | None = None
    judgement: Judgement | None = None
    report_path: Path | None = None


def run_round(
    ws: Workspace,
    site_name: str,
    *,
    today: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> RoundResult:
    """Walk the whole line for one site, without an orchestrator.

    Parameters
    ----------
    ws : Workspace
    site_name : str
    today : datetime
        The round's date, UTC.
    since, until : datetime, optional
        Window of acquisition times, UTC; see `plan_round` for the default.
    source : str, optional
        Only this source.
    dry_run : bool
        Only say what is new, skipped and counted again.
    progress : Progress, optional

    Raises
    ------
    RailwatchError
        With one sentence, when no source could be searched or nothing can be stored.
    """
    progress = progress or Silent()
    plan = plan_round(ws, site_name, today=today, since=since, until=until, source=source, progress=progress)
    if dry_run:
        return RoundResult(plan.ledger, EXIT_DONE, plan.messages, plan)
    round_id = ws.store.start_round(site_name, started_at=today)
    ledger = plan.ledger + acquire_all(ws, plan, ws.settings_for(site_name), progress)
    counts = count_site(ws, site_name, progress=progress)
    ledger += counts.ledger
    return finish_round(ws, site_name, plan, ledger, counts, round_id=round_id, today=today, progress=progress)


def finish_round(
    ws: Workspace,
    site_name: str,
    plan: RoundPlan,
    ledger: Ledger,
    counts: CountResult,
    *,
    round_id: str,
    today: datetime,
    progress: Progress,
) -> RoundResult:
    """Judge, report and close a round whose scenes are acquired and counted."""
    progress.start("judge", 1)
    judgement = judge_site(ws, site_name)
    progress.advance()
    progress.done()
    failed = [entry for entry in ledger.of("failed") if entry.step != "discover"]
    code = EXIT_SOME_FAILED if failed else EXIT_DONE
    ws.store.finish_round(round_id, ledger=ledger, exit_code=code, finished_at=today)
    progress.start("report", 1)
    path = report_site(ws, site_name, today=today, ledger=ledger, judgement=judgement)
    progress.advance()
    progress.done()
    return RoundResult(ledger, code, plan.messages, plan, counts, judgement, path)
