"""The same round over years: here in threads, or its fetching on many machines of a work pool."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from prefect import flow

from flows.artifact import publish
from flows.monitor import bounds, scheduled_date
from flows.places import home_folder
from flows.progress import current
from flows.tasks import Orchestrated
from flows.walk import Window, fetch, walk
from pipeline.errors import ConfigError, SourceError
from pipeline.model import Ledger, LedgerEntry, Outcome
from pipeline.round.run import RoundResult
from pipeline.round.workspace import Workspace

POLL_S = 2.0
CHUNK_DAYS = 92  # of one flow run on a work pool: a season, a few minutes of fetching


@flow(name="backfill", flow_run_name="backfill-{site}", persist_result=False, validate_parameters=False)
def backfill(
    config: str,
    home: str,
    site: str,
    since: str,
    until: str,
    source: str | None = None,
    workers: int | None = None,
    work_pool: str | None = None,
) -> RoundResult:
    """Fetch, count, judge and report everything between two dates.

    Parameters
    ----------
    config, home : str
        Configuration and home folder; with a work pool every machine needs both under the same path, the store
        being on PostgreSQL and the archive on a shared disk.
    site : str
    since, until : str
        ISO 8601 times with a zone.
    source : str, optional
        Only this source.
    workers : int, optional
        Scenes that are fetched at once, in each process.
    work_pool : str, optional
        Fetch in flow runs on this work pool, one for each `CHUNK_DAYS`, before this process counts.
    """
    window = bounds(since, until, source)
    with Workspace.open(Path(config), home_folder(home)) as ws:
        elsewhere = Ledger()
        if work_pool is not None:
            before = _fetched(ws, site, window)
            _fetch_on_pool(config, home, site, window, workers, work_pool)
            after = _fetched(ws, site, window)
            elsewhere = Ledger(tuple(sorted(after - before, key=lambda entry: entry.subject)))
        result = walk(
            ws,
            site,
            today=scheduled_date(),
            window=window,
            progress=current(),
            engine=Orchestrated(),
            workers=workers,
            elsewhere=elsewhere,
        )
        publish(site, result.ledger, result.report_path, result.messages)
        return result


@flow(name="fetch-window", flow_run_name="fetch-{site}-{since}", persist_result=False, validate_parameters=False)
def fetch_window(
    site: str,
    since: str,
    until: str,
    config: str = "config",
    home: str = "",
    source: str | None = None,
    workers: int | None = None,
) -> None:
    """Discover and acquire between two dates: one machine's share of a backfill. Counting needs the whole past."""
    with Workspace.open(Path(config), home_folder(home)) as ws:
        ledger = fetch(
            ws,
            site,
            today=scheduled_date(),
            window=bounds(since, until, source),
            progress=current(),
            engine=Orchestrated(),
            workers=workers,
        )
        publish(site, ledger, None, ())


def chunks(since: datetime, until: datetime, days: int = CHUNK_DAYS) -> list[tuple[datetime, datetime]]:
    """Part a window into pieces that meet without a gap and overlap nowhere."""
    pieces: list[tuple[datetime, datetime]] = []
    start = since
    while start <= until:
        end = min(start + timedelta(days=days) - timedelta(microseconds=1), until)
        pieces.append((start, end))
        start = end + timedelta(microseconds=1)
    return pieces


def _fetched(ws: Workspace, site: str, window: Window) -> set[LedgerEntry]:
    """Return what is archived and what failed so far, whoever fetched it."""
    archived = {LedgerEntry("acquire", entry.scene.scene_id, "processed") for entry in ws.archive.find(site)}
    rows = ws.store.observations(site, since=window.since, until=window.until)
    failed = {LedgerEntry("acquire", r.scene_id, "failed", r.detail) for r in rows if r.outcome is Outcome.FAILED}
    return archived | failed


def _fetch_on_pool(config: str, home: str, site: str, window: Window, workers: int | None, pool: str) -> None:
    """Start one flow run for each piece of the window and wait for all; a failed piece is fetched here afterwards."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise ConfigError(
            "--work-pool needs a Prefect server that the workers reach too; start `railwatch serve` and set "
            "PREFECT_API_URL to its address followed by /api."
        )
    if window.since is None or window.until is None:
        raise ConfigError("--work-pool needs --since and --until.")
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(pool)
        except ObjectNotFound as error:
            raise ConfigError(
                f"no work pool '{pool}' on the Prefect server; create it with "
                f"`prefect work-pool create {pool} --type process`."
            ) from error
        from flows.deployments import fetch_deployment

        deployment_id = fetch_deployment(pool)
        progress = current()
        pieces = chunks(window.since, window.until)
        progress.start("acquire", len(pieces))
        runs = [
            client.create_flow_run_from_deployment(
                deployment_id,
                parameters={
                    "config": config,
                    "home": home,
                    "site": site,
                    "since": start.isoformat(),
                    "until": end.isoformat(),
                    "source": window.source,
                    "workers": workers,
                },
            )
            for start, end in pieces
        ]
        failed = 0
        for run in runs:
            state = client.read_flow_run(run.id).state
            while state is None or not state.is_final():
                time.sleep(POLL_S)
                state = client.read_flow_run(run.id).state
            failed += 0 if state.is_completed() else 1
            progress.advance()
        progress.done()
    if failed == len(runs):
        raise SourceError(
            f"all {failed} flow runs on work pool '{pool}' failed; see the Prefect server's pages for why."
        )
    if failed:
        progress.message(f"{failed} of {len(runs)} flow runs on '{pool}' failed; their scenes are fetched here.")
