"""Images and detections as files that other programs open: COG, GeoJSON, GeoPackage with its style."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry import Polygon

from pipeline.model import Look, Observation, Railcar, Site
from pipeline.report.tables import zulu

GEOJSON_DECIMALS = 7  # about a centimetre
KIND_COLOURS = {
    "ore car": "196,110,34",
    "box car": "31,120,180",
    "tank car": "40,40,40",
    "flat car": "140,140,140",
    "passenger car": "51,160,44",
    "locomotive": "227,26,28",
    "maintenance-of-way": "255,191,0",
    "unknown": "148,103,189",
}
_STYLE_TABLE = """CREATE TABLE IF NOT EXISTS layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
  f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), update_time DATETIME)"""


def write_cog(look: Look, path: Path) -> None:
    """Write a look as a cloud-optimised GeoTIFF.

    Bands are the look's own, float32 (reflectance as a fraction, or radar linear power), NaN where invalid; the last
    band, ``clear``, is 1 where a pixel is usable and 0 elsewhere. The scene is named in the tags.
    """
    import rasterio
    from rasterio.transform import Affine

    values = np.concatenate([look.values.astype(np.float32), look.clear[None].astype(np.float32)])
    profile: dict[str, Any] = {
        "driver": "COG",
        "dtype": "float32",
        "count": values.shape[0],
        "height": look.grid.height,
        "width": look.grid.width,
        "crs": look.grid.crs,
        "transform": Affine(*look.grid.transform),
        "nodata": float("nan"),
        "compress": "DEFLATE",
        "predictor": "YES",
        "blocksize": 256,
        "overview_resampling": "average",
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
        for index, name in enumerate((*look.bands, "clear"), 1):
            file.set_band_description(index, name)
        file.update_tags(
            scene_id=look.scene.scene_id[:200],
            observed_at=zulu(look.scene.observed_at),
            items=" ".join(item.item_id for item in look.scene.items)[:1000],
        )


def to_wgs84(shape: Polygon, crs: str) -> Polygon:
    """Return a polygon of a projected CRS in WGS 84, longitude first."""
    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    moved: Polygon = shapely.transform(shape, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))
    return moved


def write_geojson(site: Site, looks: Sequence[tuple[str, Observation]], path: Path) -> int:
    """Write the resolved railcars of some looks as GeoJSON (RFC 7946: WGS 84, longitude first); return how many."""
    features = []
    for role, observation, car in _cars(looks):
        outline = shapely.set_precision(to_wgs84(car.polygon, site.crs), 10.0**-GEOJSON_DECIMALS, mode="pointwise")
        geometry = shapely.geometry.mapping(shapely.geometry.polygon.orient(outline))
        features.append({"type": "Feature", "geometry": geometry, "properties": _properties(role, observation, car)})
    text = json.dumps(
        {"type": "FeatureCollection", "features": features}, ensure_ascii=False, allow_nan=False, indent=1
    )
    path.write_text(text + "\n", encoding="utf-8")
    return len(features)


def write_geopackage(site: Site, looks: Sequence[tuple[str, Observation]], path: Path, stamp: datetime) -> None:
    """Write railcars, tracks and the site's area as a GeoPackage in the site's CRS, styled for QGIS.

    Parameters
    ----------
    site : Site
    looks : sequence of (role, Observation)
    path : Path
        A new file.
    stamp : datetime
        Written wherever the format asks for a time of change, so that equal content gives equal files.
    """
    import geopandas

    cars = [(_properties(role, o, car), car.polygon) for role, o, car in _cars(looks)]
    columns = ("role", "scene_id", "observed_at", "track_id", "position_m", "length_m", "kind", "score")
    tracks = [
        {
            "track_id": track.track_id,
            "name": track.name,
            "use": track.use,
            "provisional": track.provisional,
            "valid_from": "" if track.valid_from is None else track.valid_from.isoformat(),
            "valid_to": "" if track.valid_to is None else track.valid_to.isoformat(),
        }
        for track in site.tracks
    ]
    layers = (
        ("area", geopandas.GeoDataFrame({"site": [site.name]}, geometry=[site.area], crs=site.crs), "Polygon"),
        (
            "tracks",
            geopandas.GeoDataFrame(tracks, geometry=[t.line for t in site.tracks], crs=site.crs)
            if tracks
            else geopandas.GeoDataFrame({"track_id": []}, geometry=[], crs=site.crs),
            "LineString",
        ),
        (
            "railcars",
            geopandas.GeoDataFrame(
                {name: [row[name] for row, _ in cars] for name in columns},
                geometry=[p for _, p in cars],
                crs=site.crs,
            ),
            "Polygon",
        ),
    )
    for name, frame, kind in layers:
        frame.to_file(path, layer=name, driver="GPKG", engine="pyogrio", geometry_type=kind, promote_to_multi=False)
    _finish(path, stamp)


def _finish(path: Path, stamp: datetime) -> None:
    """Embed the styles where QGIS looks for them, and set every time of change to `stamp`."""
    when = stamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE gpkg_contents SET last_change = ?", (when,))
        database.execute(_STYLE_TABLE)
        database.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?)",
            (when,),
        )
        for layer, style in (("area", _fill("0,0,0", 0.0)), ("tracks", _lines()), ("railcars", _by_kind())):
            database.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
                "styleName, styleQML, styleSLD, useAsDefault, description, owner, update_time) "
                "VALUES ('', '', ?, 'geom', ?, ?, '', 1, 'railwatch', '', ?)",
                (layer, f"railwatch {layer}", style, when),
            )
    # GDAL writes its clock once more when a second passes while it writes, which moves SQLite's change counter
    # (file format, bytes 24 and 92, which must agree).
    with path.open("r+b") as file:
        for offset in (24, 92):
            file.seek(offset)
            file.write((1).to_bytes(4, "big"))


def _cars(looks: Sequence[tuple[str, Observation]]) -> list[tuple[str, Observation, Railcar]]:
    return [(role, o, car) for role, o in looks if o.count is not None for car in o.count.railcar_list]


def _properties(role: str, observation: Observation, car: Railcar) -> dict[str, Any]:
    return {
        "role": role,
        "scene_id": observation.scene_id,
        "observed_at": zulu(observation.observed_at),
        "track_id": car.track_id,
        "position_m": round(car.position_m, 2),
        "length_m": round(car.length_m, 2),
        "kind": car.kind.value,
        "score": round(car.score, 4),
    }


_HEAD = '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM"><qgis version="3.22" styleCategories="Symbology">'


def _fill_symbol(name: str, colour: str, alpha: float) -> str:
    return (
        f'<symbol name="{name}" type="fill" alpha="1"><layer class="SimpleFill" enabled="1" pass="0">'
        '<Option type="Map">'
        f'<Option name="color" type="QString" value="{colour},{round(255 * alpha)}"/>'
        f'<Option name="outline_color" type="QString" value="{colour},255"/>'
        '<Option name="outline_width" type="QString" value="0.3"/><Option name="style" type="QString" value="solid"/>'
        "</Option></layer></symbol>"
    )


def _fill(colour: str, alpha: float) -> str:
    symbols = f"<symbols>{_fill_symbol('0', colour, alpha)}</symbols>"
    return f'{_HEAD}<renderer-v2 type="singleSymbol">{symbols}</renderer-v2></qgis>'


def _lines() -> str:
    symbol = (
        '<symbol name="0" type="line" alpha="1"><layer class="SimpleLine" enabled="1" pass="0"><Option type="Map">'
        '<Option name="line_color" type="QString" value="255,176,0,255"/>'
        '<Option name="line_width" type="QString" value="0.3"/></Option></layer></symbol>'
    )
    return f'{_HEAD}<renderer-v2 type="singleSymbol"><symbols>{symbol}</symbols></renderer-v2></qgis>'


def _by_kind() -> str:
    categories = "".join(
        f'<category symbol="{i}" value="{kind}" label="{kind}" render="true"/>' for i, kind in enumerate(KIND_COLOURS)
    )
    symbols = "".join(_fill_symbol(str(i), colour, 0.5) for i, colour in enumerate(KIND_COLOURS.values()))
    return (
        f'{_HEAD}<renderer-v2 type="categorizedSymbol" attr="kind"><categories>{categories}</categories>'
        f"<symbols>{symbols}</symbols></renderer-v2></qgis>"
    )
