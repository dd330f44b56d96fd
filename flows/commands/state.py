"""Commands that say how things stand: status, sources, doctor."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from flows.door import SiteArgument, door, now, site_name

# What sources without collections hold.
PICTURES = {
    "xyz": "map tiles",
    "wmts": "map tiles",
    "wayback": "map tiles by day of capture",
    "folder": "your own images",
    "stac-api": "-",
    "stac-static": "-",
}
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


class StatusFormat(StrEnum):
    """How the standing is written."""

    TEXT = "text"
    JSON = "json"


def status(
    context: typer.Context,
    site: SiteArgument = None,
    form: Annotated[StatusFormat, typer.Option("--format", help="For people or for programs.")] = StatusFormat.TEXT,
    as_json: JsonOption = False,
) -> None:
    """Say how a site stands: last round, newest look, open surges, failures, freshness of each source.

    Example:
      railwatch status tumangang
      railwatch status tumangang --format json
    """
    from flows import standing

    with door(context).workspace() as ws:
        found = standing.standing(ws, site_name(ws, site), now())
    if as_json or form is StatusFormat.JSON:
        typer.echo(standing.as_json(found))
        return
    plain = bool(os.environ.get("NO_COLOR"))  # https://no-color.org
    for line in standing.lines(found):
        typer.echo(line, color=False if plain else None)  # None: colours on a terminal only


def sources(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the configured sources with their state for each site: fresh, stale, never searched, or off and why.

    Example:
      railwatch sources
    """
    import json
    from urllib.parse import urlsplit

    from flows.standing import freshness
    from flows.tables import show, visible
    from pipeline.report.tables import zulu

    rows = []
    terms = []
    with door(context).workspace() as ws:
        sites = ws.configuration.site_names()
        seen = {(site, row.source): row for site in sites for row in ws.store.freshness(site)}
        for name in ws.configuration.source_names():
            config = ws.source(name)
            users = [site for site in sites if name in ws.site_config(site).sources]
            terms.append((name, config))
            for site in users or ["-"]:
                row = seen.get((site, name))
                stale = ws.settings_for(site).stale_after_days if users else ws.settings.stale_after_days
                state = freshness(config, row, now(), stale) if users or not config.enabled else "no site uses it"
                newest, checked = (row.newest_scene_at, row.checked_at) if row else (None, None)
                rows.append(
                    {
                        "source": name,
                        "kind": config.kind,
                        "site": site,
                        "state": state if config.enabled else "off",
                        "newest": (zulu(newest) if as_json else f"{newest:%Y-%m-%d}") if newest else "-",
                        "checked": (zulu(checked) if as_json else f"{checked:%Y-%m-%d}") if checked else "-",
                        "sensors": ", ".join(sorted({c.sensor for c in config.collections})) or PICTURES[config.kind],
                        "where": config.url or config.path or "-",
                        "why_not": "" if config.enabled else config.disabled_reason or "no reason given",
                        "terms": config.terms,
                    }
                )
        folder = ws.configuration.folder
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif rows:
        for told in rows:  # the host says enough on a terminal
            told["where"] = urlsplit(told["where"]).hostname or told["where"]
        show(list(rows[0])[:-2], [list(row.values())[:-2] for row in rows])
        for name, config in terms:
            if not config.enabled:
                typer.echo(f"{name} is off: {visible(config.disabled_reason or 'no reason given')}")
    else:
        typer.echo(f"{folder}: no source is configured.")


def doctor(
    context: typer.Context,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Try only this source.")] = None,
) -> None:
    """Check this installation, then try each source: search, sign, read one window; says what to do about failures.

    Example:
      railwatch doctor
      railwatch doctor --source earth-search
    """
    from flows.health import checks
    from flows.tables import visible

    bad = 0
    for name, good, says in checks(door(context), source):
        bad += not good
        typer.echo(f"{'ok  ' if good else 'BAD '} {name}: {visible(says)}")
    if bad:
        raise typer.Exit(1)
