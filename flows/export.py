"""Rows and outlines in the forms that others read; columns are those of the contract."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from pipeline.errors import ReportError
from pipeline.model import Observation, Site, Surge
from pipeline.report.tables import SERIES_COLUMNS, SURGE_COLUMNS, as_csv, series_row, surge_row

NUMBERS = ("gsd_m", "railcars", "railcars_low", "railcars_high", "detection_limit", "clear_fraction")


def series(observations: Sequence[Observation], form: str, out: Path | None) -> None:
    """Write the series as csv, json, parquet or table."""
    rows = [series_row(observation) for observation in observations]
    if form == "parquet":
        _binary(_parquet(rows), out, "parquet")
    elif form == "table":
        from flows.tables import show

        show(SERIES_TABLE, [[_shown(row[name], name) for name in SERIES_TABLE] for row in rows], out)
    else:
        _text(as_csv(rows, SERIES_COLUMNS) if form == "csv" else _json(rows, SERIES_COLUMNS), out)


SERIES_TABLE = (
    "observed_at", "scene_id", "outcome", "railcars", "railcars_low", "railcars_high", "detection_limit",
    "clear_fraction", "flags",
)  # fmt: skip
SURGE_TABLE = (
    "surge_id", "tier", "status", "onset_earliest", "onset_latest", "peak_at", "peak_railcars", "expected", "ratio",
    "ended_at", "verdict",
)  # fmt: skip


def surges(found: Sequence[Surge], form: str, out: Path | None) -> None:
    """Write the surges as csv, json or table."""
    rows = [surge_row(surge) for surge in found]
    if form != "table":
        _text(as_csv(rows, SURGE_COLUMNS) if form == "csv" else _json(rows, SURGE_COLUMNS), out)
        return
    from flows.tables import show

    if not rows:
        _text("No surge.\n", out)
        return
    show(SURGE_TABLE, [[_shown(row[name], name) for name in SURGE_TABLE] for row in rows], out)


def railcars(site: Site, observation: Observation, form: str, out: Path | None) -> None:
    """Write the resolved railcars of one look as geojson (WGS 84) or gpkg (the site's projection)."""
    import geopandas

    cars = observation.count.railcar_list if observation.count else ()
    frame = geopandas.GeoDataFrame(
        {
            "scene_id": [observation.scene_id for _ in cars],
            "observed_at": [series_row(observation)["observed_at"] for _ in cars],
            "track_id": [car.track_id for car in cars],
            "position_m": [car.position_m for car in cars],
            "length_m": [car.length_m for car in cars],
            "kind": [car.kind.value for car in cars],
            "score": [car.score for car in cars],
        },
        geometry=[car.polygon for car in cars],
        crs=site.crs,
    )
    if not cars:
        typer.echo(f"{observation.scene_id}: no single railcar is resolved in this look.", err=True)
    if form == "geojson":
        _text(frame.to_crs("EPSG:4326").to_json(drop_id=True, show_bbox=False) + "\n", out)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "railcars.gpkg"
        frame.to_file(path, driver="GPKG", layer="railcars", engine="pyogrio", geometry_type="Polygon")
        _binary(path.read_bytes(), out, "gpkg")


def _json(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as a JSON list with keys in the columns' order."""
    return json.dumps([{name: row[name] for name in columns} for row in rows], indent=1, allow_nan=False) + "\n"


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as Parquet: numbers as doubles, everything else as text, times as ISO 8601 with Z."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64() if name in NUMBERS else pa.string()) for name in SERIES_COLUMNS])
    table = pa.Table.from_pylist([{name: row[name] for name in SERIES_COLUMNS} for row in rows], schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _text(text: str, out: Path | None) -> None:
    """Write text to a file, or to standard output."""
    if out is None:
        typer.echo(text, nl=False)
        return
    _to_file(text.encode("utf-8"), out)


def _binary(content: bytes, out: Path | None, form: str) -> None:
    """Write bytes to a file, or to standard output when that is no terminal."""
    if out is not None:
        _to_file(content, out)
    elif sys.stdout.isatty():
        raise typer.BadParameter(f"{form} is not for a terminal; add --out FILE or redirect the output.")
    else:
        sys.stdout.buffer.write(content)


def _to_file(content: bytes, out: Path) -> None:
    try:
        out.write_bytes(content)
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror}); choose another --out.") from error


def _shown(value: Any, name: str) -> str:
    """Return a value for a table: railcars whole, ratios to a tenth, times as days, nothing as a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if name == "clear_fraction" else f"{value:.1f}" if name == "ratio" else f"{value:.0f}"
    text = str(value)
    if name == "surge_id":
        return text[:8]
    return text[:10] if name.endswith("_at") or name.startswith("onset_") else text
