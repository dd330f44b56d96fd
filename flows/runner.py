"""Serves the scheduled deployments until it is told to stop: `python -m flows.runner CONFIG HOME CRON SITE...`."""

from __future__ import annotations

import sys
from pathlib import Path


def main(config: str, home: str, cron: str, sites: list[str]) -> None:
    """Serve one daily round for each site, and a look into each watched folder every quarter of an hour."""
    from prefect import serve

    from flows.deployments import daily_rounds, watched_folders

    rounds = daily_rounds(Path(config), Path(home), sites, cron)
    serve(*rounds, *watched_folders(Path(config), Path(home), sites), print_starting_message=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
