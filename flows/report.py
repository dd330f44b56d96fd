"""The report on its own: what the store holds, as a page."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifact import publish
from flows.monitor import scheduled_date
from flows.places import home_folder
from flows.tasks import Orchestrated
from pipeline.model import Ledger
from pipeline.round.report import report_site
from pipeline.round.workspace import Workspace


@flow(name="report", flow_run_name="report-{site}", persist_result=False, validate_parameters=False)
def report(config: str, home: str, site: str) -> str:
    """Write the report of a site and return its path.

    Parameters
    ----------
    config, home : str
        Configuration and home folder.
    site : str
    """
    with Workspace.open(Path(config), home_folder(home)) as ws:
        today = scheduled_date()
        last = ws.store.last_round(site)
        ledger = last.ledger if last else Ledger()
        path = Orchestrated().step("report", lambda: report_site(ws, site, today=today, ledger=ledger))
        publish(site, ledger, path, ())
        return str(path)
