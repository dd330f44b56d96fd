"""The scheduled round: what is new since the last one, up to the day for which it was scheduled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from flows.artifact import publish
from flows.places import home_folder
from flows.progress import current
from flows.tasks import Orchestrated
from flows.walk import Window, walk
from pipeline.round.run import RoundResult
from pipeline.round.workspace import Workspace


def scheduled_date() -> datetime:
    """Return the date of this flow run: its scheduled time, never the clock, so that a late start changes nothing."""
    # Prefect's own subclass of datetime does not behave like one everywhere.
    return datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp(), UTC)


def bounds(since: str | None, until: str | None, source: str | None) -> Window:
    """Return a window from ISO 8601 times with a zone, as flow parameters carry them."""
    start = datetime.fromisoformat(since).astimezone(UTC) if since else None
    end = datetime.fromisoformat(until).astimezone(UTC) if until else None
    return Window(start, end, source)


@flow(name="monitor", flow_run_name="monitor-{site}", persist_result=False, validate_parameters=False)
def monitor(
    config: str = "config",
    home: str = "",
    site: str = "",
    since: str | None = None,
    until: str | None = None,
    source: str | None = None,
) -> RoundResult:
    """Walk one round for a site.

    Parameters
    ----------
    config, home : str
        Configuration and home folder.
    site : str
        Name of the site; "" is the default site.
    since, until : str, optional
        ISO 8601 times with a zone.
    source : str, optional
        Only this source.
    """
    with Workspace.open(Path(config), home_folder(home)) as ws:
        name = ws.site_config(site or ws.settings.default_site).name
        result = walk(
            ws,
            name,
            today=scheduled_date(),
            window=bounds(since, until, source),
            progress=current(),
            engine=Orchestrated(),
        )
        publish(name, result.ledger, result.report_path, result.messages)
        return result
