"""Commands that work: run, backfill, recount, report."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.door import DirectOption, Door, SinceOption, SiteArgument, UntilOption, door, now, site_name, window

if TYPE_CHECKING:
    from pipeline.round.run import RoundResult

SourceOption = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source.")]


def run(
    context: typer.Context,
    site: SiteArgument = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is new, skipped and counted again with why; do nothing.")
    ] = False,
    direct: DirectOption = False,
) -> None:
    """Walk one round for a site: discover, acquire, count, record, judge, report.

    On an empty store it first fetches the past that a baseline needs. It can be interrupted at any moment and
    carries on where it was; run twice, the second time changes nothing.

    Example:
      railwatch run tumangang
      railwatch run --since 2023-09-01 --until 2023-10-31 --dry-run
    """
    start, end = window(since, until)
    here = door(context)
    if dry_run:
        _dry_run(here, site, start, end, source)
        return
    if direct:
        result = _walk_direct(here, site, start, end, source, None)
    else:
        from flows.orchestrator import attended, prepare

        name = _checked(here, site, source)
        prepare(here.home, debug=here.debug)
        from flows.monitor import monitor
        from flows.progress import told

        with attended(), told():
            result = monitor(str(here.config), str(here.home), name, _iso(start), _iso(end), source)
    _say(result)


def backfill(
    context: typer.Context,
    site: SiteArgument = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, metavar="N", help="Images fetched at once here.")
    ] = None,
    work_pool: Annotated[
        str | None,
        typer.Option("--work-pool", metavar="NAME", help="Fetch on the machines of this Prefect work pool."),
    ] = None,
    direct: DirectOption = False,
) -> None:
    """Walk the round over years: the same rows and alarms as living through them.

    Example:
      railwatch backfill tumangang --since 2021-01-01 --until 2023-12-31 --workers 8
      railwatch backfill tumangang --since 2018-01-01 --until 2023-12-31 --work-pool yards
    """
    start, end = window(since, until)
    if start is None or end is None:
        raise typer.BadParameter("backfill needs --since and --until, such as --since 2021-01-01 --until 2023-12-31.")
    if direct and work_pool:
        raise typer.BadParameter("--direct works without Prefect, --work-pool with it; choose one.")
    here = door(context)
    if direct:
        _say(_walk_direct(here, site, start, end, source, workers))
        return
    from flows.orchestrator import attended, prepare

    name = _checked(here, site, source)
    prepare(here.home, debug=here.debug)
    from flows.backfill import backfill as flow
    from flows.progress import told

    with attended(), told():
        result = flow(
            str(here.config.resolve()),
            str(here.home.resolve()),
            name,
            start.isoformat(),
            end.isoformat(),
            source,
            workers,
            work_pool,
        )
    _say(result)


def recount(
    context: typer.Context,
    site: SiteArgument = None,
    since: SinceOption = None,
    until: UntilOption = None,
    scene: Annotated[
        str | None, typer.Option("--scene", metavar="ID", help="Only this scene, by scene id or item id.")
    ] = None,
    direct: DirectOption = False,
) -> None:
    """Count archived images again with today's method, without a network; print what moved, appeared and went.

    Example:
      railwatch recount tumangang --since 2023-09-01
      railwatch recount tumangang --scene S2A_20231006_R103
    """
    start, end = window(since, until)
    here = door(context)
    name = _checked(here, site, None)
    if direct:
        from flows.progress import told
        from flows.recount import recount_site
        from flows.walk import Direct, Window

        with here.workspace() as ws, told() as progress:
            counts, _ = recount_site(
                ws,
                name,
                today=now(),
                window=Window(start, end),
                scene=scene,
                progress=progress,
                engine=Direct(),
            )
    else:
        from flows.orchestrator import attended, prepare

        prepare(here.home, debug=here.debug)
        from flows.progress import told
        from flows.recount import recount as flow

        with attended(), told():
            counts = flow(str(here.config), str(here.home), name, _iso(start), _iso(end), scene)
    if scene is not None and not counts.rows:
        from pipeline.errors import ArchiveError

        raise ArchiveError(
            f"{name}: no archived image of scene or item '{scene}'; `railwatch series {name}` lists them."
        )
    typer.echo(f"{name}: {len(counts.rows)} looks counted again.")
    for title, lines in (("Moved", counts.moved), ("Appeared", counts.appeared), ("Went", counts.gone)):
        typer.echo(f"{title}: {len(lines)}")
        for line in lines:
            typer.echo(f"  {line}")
    if counts.ledger.of("failed"):
        from flows.say import failures

        failures(counts.ledger)
        raise typer.Exit(3)


def report(
    context: typer.Context,
    site: SiteArgument = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
    with_flow: Annotated[bool, typer.Option("--flow", help="Write it in a Prefect flow run.")] = False,
) -> None:
    """Write the report of a site from what is stored, and print its path.

    Example:
      railwatch report tumangang --open
    """
    here = door(context)
    name = _checked(here, site, None)
    if with_flow:
        from flows.orchestrator import attended, prepare

        prepare(here.home, debug=here.debug)
        from flows.report import report as flow

        with attended():
            path = str(flow(str(here.config), str(here.home), name))
    else:
        from pipeline.round.report import report_site

        with here.workspace() as ws:
            last = ws.store.last_round(name)
            path = str(report_site(ws, name, today=now(), ledger=last.ledger if last else None))
    typer.echo(path)
    if open_page:
        from pathlib import Path

        typer.launch(Path(path).as_uri())


def _walk_direct(
    here: Door,
    site: str | None,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    workers: int | None,
) -> RoundResult:
    from flows.progress import told
    from flows.walk import Direct, Window, walk

    with here.workspace() as ws:
        name = site_name(ws, site)
        with told() as progress:
            return walk(
                ws,
                name,
                today=now(),
                window=Window(since, until, source),
                progress=progress,
                engine=Direct(),
                workers=workers,
            )


def _dry_run(
    here: Door, site: str | None, since: datetime | None, until: datetime | None, source: str | None
) -> None:
    from flows.dry import dry_lines
    from flows.progress import told

    with here.workspace() as ws, told() as progress:
        lines = dry_lines(ws, site_name(ws, site), since, until, source, now(), progress)
    for line in lines:
        typer.echo(line)


def _checked(here: Door, site: str | None, source: str | None) -> str:
    """Find wrong configuration before Prefect is started, which takes seconds."""
    from pipeline.config import open_configuration

    configuration = open_configuration(here.config)
    name = configuration.site_config(site or configuration.settings.default_site).name
    configuration.site(name)
    if source is not None:
        configuration.source(source)
    return name


def _say(result: RoundResult) -> None:
    from flows.say import say_round

    code = say_round(result)
    if code:
        raise typer.Exit(code)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
