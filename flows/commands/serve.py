"""The command that keeps railwatch running: Prefect's server and the scheduled deployments."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.door import door


def serve(
    context: typer.Context,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the server; 0 takes a free one.")
    ] = 4200,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    cron: Annotated[str, typer.Option("--cron", metavar="CRON", help="When rounds start, UTC.")] = "30 6 * * *",
) -> None:
    """Run Prefect's server and a daily round for every site, until stopped by Ctrl-C or SIGTERM.

    Example:
      railwatch serve
      railwatch serve --port 4300 --cron "0 5 * * *"
    """
    from flows.server import serve_until_stopped
    from pipeline.config import open_configuration

    here = door(context)
    configuration = open_configuration(here.config)
    sites = configuration.site_names()
    for name in sites:
        configuration.site(name)  # what is wrong is said now, not at half past six
    raise typer.Exit(serve_until_stopped(here, sites, host=host, port=port, cron=cron, say=typer.echo))
