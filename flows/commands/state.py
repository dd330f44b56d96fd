"""Commands that say how things stand: status, sources, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.door import SiteArgument, door, now, site_name

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def status(context: typer.Context, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Say how a site stands: last round, newest look, open surges, failures, freshness of each source.

    Example:
      railwatch status tumangang
    """
    from flows import standing

    with door(context).workspace() as ws:
        found = standing.standing(ws, site_name(ws, site), now())
    if as_json:
        typer.echo(standing.as_json(found))
        return
    for line in standing.lines(found):
        typer.echo(line)


def sources(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the configured sources: where they are, what they hold, whether they are on, and for which sites.

    Example:
      railwatch sources
    """
    import json

    from flows.tables import show
    from pipeline.config import open_configuration

    configuration = open_configuration(door(context).config)
    users: dict[str, list[str]] = {}
    for name in configuration.site_names():
        for source in configuration.site_config(name).sources:
            users.setdefault(source, []).append(name)
    rows = []
    for name in configuration.source_names():
        config = configuration.source(name)
        rows.append(
            {
                "source": name,
                "kind": config.kind,
                "enabled": "yes" if config.enabled else "no",
                "sensors": ", ".join(sorted({collection.sensor for collection in config.collections})) or "-",
                "sites": ", ".join(users.get(name, [])) or "-",
                "where": config.url or config.path or "-",
                "why_not": "" if config.enabled else config.disabled_reason or "no reason given",
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif rows:
        show(list(rows[0])[:-1], [list(row.values())[:-1] for row in rows])
        for row in rows:
            if row["why_not"]:
                typer.echo(f"{row['source']} is off: {row['why_not']}")
    else:
        typer.echo(f"{configuration.folder}: no source is configured.")


def doctor(context: typer.Context) -> None:
    """Check this installation: configuration, home folder, store, libraries and space; says what to do.

    Example:
      railwatch doctor
    """
    from flows.health import checks

    bad = 0
    for name, good, says in checks(door(context)):
        bad += not good
        typer.echo(f"{'ok  ' if good else 'BAD '} {name}: {says}")
    if bad:
        raise typer.Exit(1)
