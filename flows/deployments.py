"""The scheduled deployments: a daily round for each site, as objects for `serve` and for work pools."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.backfill import fetch_window
from flows.monitor import monitor
from pipeline.config import open_configuration

WATCH_S = 900  # between looks into a watched folder, seconds
DAILY = "30 6 * * *"  # UTC: after the day's passes over East Asia are in the catalogues


def daily_rounds(config: Path, home: Path, sites: list[str], cron: str = DAILY) -> list[RunnerDeployment]:
    """Return one deployment of the monitor flow for each site.

    Parameters
    ----------
    config, home : Path
        Handed to every run as absolute paths.
    sites : list of str
    cron : str
        Schedule in UTC; a run takes its date from it.
    """
    return [
        RunnerDeployment.from_flow(
            monitor,
            name=site,
            cron=cron,
            parameters={"config": str(config.resolve()), "home": str(home.resolve()), "site": site},
            tags=["railwatch"],
            description=f"One round for {site}: discover, acquire, count, record, judge, report.",
            concurrency_limit=1,  # two rounds of one site would only wait for each other
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for site in sites
    ]


def watched_folders(config: Path, home: Path, sites: list[str]) -> list[RunnerDeployment]:
    """Return one deployment for each folder of images that a site lists: what is dropped there is counted soon."""
    configuration = open_configuration(config)
    made = []
    for site in sites:
        for name in configuration.site_config(site).sources:
            source = configuration.source(name)
            if source.kind != "folder" or not source.enabled:
                continue
            made.append(
                RunnerDeployment.from_flow(
                    monitor,
                    name=f"{site}-{name}",
                    interval=WATCH_S,
                    parameters={
                        "config": str(config.resolve()),
                        "home": str(home.resolve()),
                        "site": site,
                        "source": name,
                    },
                    tags=["railwatch"],
                    description=f"Images dropped into {source.title}, counted for {site}.",
                    concurrency_limit=1,
                    entrypoint_type=EntrypointType.MODULE_PATH,
                )
            )
    return made


def fetch_deployment(pool: str) -> UUID:
    """Register the fetching half of a backfill on a work pool and return its id; workers need railwatch installed."""
    made = RunnerDeployment.from_flow(
        fetch_window,
        name=f"railwatch-{pool}",
        work_pool_name=pool,
        tags=["railwatch"],
        description="One machine's share of a backfill: discover and acquire between two dates.",
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    applied = made.apply()
    if not isinstance(applied, UUID):
        raise TypeError("Prefect gave no deployment id")
    return applied
