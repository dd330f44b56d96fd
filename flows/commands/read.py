"""Commands that read: series, surges, railcars."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.door import SiteArgument, door, site_name

OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write here instead of standard output.")
]


class SeriesFormat(StrEnum):
    """How the series is written."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    TABLE = "table"


class SurgeFormat(StrEnum):
    """How surges are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class CarFormat(StrEnum):
    """How resolved railcars are written."""

    GEOJSON = "geojson"
    GPKG = "gpkg"


def series(
    context: typer.Context,
    site: SiteArgument = None,
    form: Annotated[SeriesFormat, typer.Option("--format", help="Form of the rows.")] = SeriesFormat.CSV,
    out: OutOption = None,
) -> None:
    """Print the time series of a site, a row for each look; rejected and failed looks are rows too.

    Example:
      railwatch series tumangang --format csv > series.csv
      railwatch series tumangang --format parquet --out series.parquet
    """
    from flows import export

    with door(context).workspace() as ws:
        observations = ws.store.observations(site_name(ws, site))
    export.series(observations, form.value, out)


def surges(
    context: typer.Context,
    site: SiteArgument = None,
    form: Annotated[SurgeFormat, typer.Option("--format", help="Form of the rows.")] = SurgeFormat.TABLE,
    out: OutOption = None,
) -> None:
    """Print the surges of a site: onset as an interval of dates, tier, peak, and how rare such an alarm is.

    Example:
      railwatch surges tumangang
      railwatch surges tumangang --format json
    """
    from flows import export, standing

    with door(context).workspace() as ws:
        found = standing.surges(ws, site_name(ws, site))
    export.surges(found, form.value, out)


def railcars(
    context: typer.Context,
    site: SiteArgument = None,
    scene: Annotated[str, typer.Option("--scene", metavar="ID", help="Scene id or item id of the look.")] = "",
    form: Annotated[CarFormat, typer.Option("--format", help="Form of the outlines.")] = CarFormat.GEOJSON,
    out: OutOption = None,
) -> None:
    """Print the railcars that a fine look resolved; GeoJSON is in WGS 84, GeoPackage in the site's projection.

    Example:
      railwatch railcars tumangang --scene 20231005-yard --format gpkg --out cars.gpkg
    """
    from flows import export
    from pipeline.errors import ArchiveError

    if not scene:
        raise typer.BadParameter("railcars needs --scene ID; `railwatch series SITE` lists the scenes.")
    with door(context).workspace() as ws:
        name = site_name(ws, site)
        place = ws.site(name)
        rows = [row for row in ws.store.observations(name) if scene == row.scene_id or scene in row.item_ids]
    if not rows:
        raise ArchiveError(f"{name}: no look '{scene}' is stored; `railwatch series {name}` lists them.")
    export.railcars(place, rows[0], form.value, out)
