"""A site's folder becomes a Site: geometry into the site's projection, tracks, zones, the published record."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely import segmentize, transform
from shapely.geometry import LineString, Polygon, box

from pipeline.config.schema import SiteConfig
from pipeline.config.yamlfile import nearest, read_text
from pipeline.errors import ConfigError
from pipeline.model import PublishedCount, Site, Track, Zone

Shape = TypeVar("Shape", Polygon, LineString)

PUBLISHED_COLUMNS = (
    "date_start",
    "date_end",
    "site",
    "kind",
    "value",
    "unit",
    "sensor",
    "publisher",
    "confidence",
    "source",
    "note",
)
MAX_AREA_KM2 = 400.0  # a yard's surroundings, not a province: keeps windows and memory small


class TrackProperties(BaseModel):
    """Properties of a feature in tracks.geojson."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    track_id: Annotated[str, Field(min_length=1, max_length=200)]
    name: str = ""
    use: Literal["main", "yard", "siding", "station"] = "yard"
    gauge_mm: tuple[int, ...] = (1435,)
    valid_from: date | None = None
    valid_to: date | None = None
    provisional: bool = True
    osm_id: str = ""
    source: str = ""


def build_site(config: SiteConfig, folder: Path) -> Site:
    """Return the Site described by `config` and the files beside it.

    Raises
    ------
    ConfigError
        When a coordinate, track or published row is impossible; names the file and the feature or row.
    """
    to_site = _transformer(config, folder / "site.yaml")
    west, south, east, north = config.bbox
    if not (-180 <= west < east <= 180 and -90 < south < north < 90):
        raise ConfigError(f"{folder / 'site.yaml'}: key 'bbox' must be west, south, east, north in degrees.")
    outline = Polygon(config.area) if config.area else segmentize(box(west, south, east, north), 0.01)
    area = _project(outline, to_site)
    if not area.is_valid or area.is_empty or not all(abs(v) < 1e8 for v in area.bounds):
        raise ConfigError(f"{folder / 'site.yaml'}: the area is empty, crosses itself or lies outside {config.crs}.")
    if area.area > MAX_AREA_KM2 * 1e6:
        raise ConfigError(
            f"{folder / 'site.yaml'}: the area is {area.area / 1e6:.0f} km2; at most {MAX_AREA_KM2:.0f} are watched."
        )
    return Site(
        name=config.name,
        title=config.title,
        crs=config.crs,
        area=area,
        tracks=read_tracks(folder / "tracks.geojson", to_site),
        zones=tuple(
            Zone(
                z.kind,
                _project(Polygon(z.polygon), to_site),
                z.name,
                z.valid_from,
                z.valid_to,
            )
            for z in config.zones
        ),
        published=read_published(folder / "published.csv"),
    )


def read_tracks(path: Path, to_site: Transformer) -> tuple[Track, ...]:
    """Read centre lines in WGS 84 and bring them into the site's projection.

    Raises
    ------
    ConfigError
        When the file is not GeoJSON, a feature is no line, a property is unknown or a track_id repeats.
    """
    try:
        document = json.loads(read_text(path))
        features = document["features"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a GeoJSON FeatureCollection; export the tracks again.") from error
    tracks: list[Track] = []
    seen: set[str] = set()
    for number, feature in enumerate(features, start=1):
        where = f"{path} feature {number}"
        try:
            properties = TrackProperties.model_validate(feature["properties"])
            geometry = feature["geometry"]
            if geometry["type"] != "LineString":
                raise ConfigError(f"{where}: a {geometry['type']} is no track; use LineString.")
            degrees = LineString([xy[:2] for xy in geometry["coordinates"]])
            line = _project(degrees, to_site)
        except ValidationError as error:
            problem = error.errors()[0]
            key = str(problem["loc"][-1]) if problem["loc"] else "properties"
            hint = nearest(key, list(TrackProperties.model_fields)) if problem["type"] == "extra_forbidden" else "."
            raise ConfigError(f"{where}: property '{key}': {problem['msg'].lower()}{hint}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{where}: not a GeoJSON line with properties and coordinates.") from error
        if not line.is_valid or line.length < 1.0 or not all(abs(v) < 1e8 for v in line.bounds):
            raise ConfigError(f"{where}: the line is shorter than a metre or lies outside the projection.")
        if properties.track_id in seen:
            raise ConfigError(f"{where}: track_id '{properties.track_id}' stands twice; keep one.")
        seen.add(properties.track_id)
        tracks.append(
            Track(
                properties.track_id,
                properties.name or properties.track_id,
                line,
                properties.use,
                properties.gauge_mm,
                properties.valid_from,
                properties.valid_to,
                properties.provisional,
            )
        )
    if not tracks:
        raise ConfigError(f"{path}: no track; draw at least one or run `railwatch site import-tracks`.")
    return tuple(sorted(tracks, key=lambda track: track.track_id))


def read_published(path: Path) -> tuple[PublishedCount, ...]:
    """Read a site's published record; a missing file is an empty record.

    Raises
    ------
    ConfigError
        When columns are missing or a date cannot be read; names file and line.
    """
    if not path.exists():
        return ()
    reader = csv.DictReader(io.StringIO(read_text(path)))
    missing = [name for name in PUBLISHED_COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise ConfigError(f"{path}: column '{missing[0]}' is missing; columns are {', '.join(PUBLISHED_COLUMNS)}.")
    rows = [_published_row(path, reader.line_num, row) for row in reader]
    return tuple(sorted(rows, key=lambda row: (row.start, row.end, row.kind, row.source, row.value)))


def _published_row(path: Path, line: int, row: dict[str, Any]) -> PublishedCount:
    try:
        start, end = _day(row["date_start"], last=False), _day(row["date_end"], last=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} line {line}: dates must be YYYY-MM-DD or YYYY-MM.") from error
    if end < start:
        raise ConfigError(f"{path} line {line}: date_end lies before date_start.")
    text = {key: (row[key] or "").strip() for key in PUBLISHED_COLUMNS}
    return PublishedCount(
        start=start,
        end=end,
        kind=text["kind"],
        value=text["value"],
        unit=text["unit"],
        sensor=text["sensor"],
        publisher=text["publisher"],
        confidence=text["confidence"],
        source=text["source"],
        note=text["note"],
        scope=text["site"],
    )


def _day(text: str, *, last: bool) -> date:
    """Read YYYY-MM-DD, or YYYY-MM as the first or last day of the month."""
    text = text.strip()
    if len(text) == 7:
        year, month = int(text[:4]), int(text[5:])
        if not last:
            return date(year, month, 1)
        following = date(year + month // 12, month % 12 + 1, 1)
        return date.fromordinal(following.toordinal() - 1)
    return date.fromisoformat(text)


def _project(geometry: Shape, to_site: Transformer) -> Shape:
    """Bring a geometry from WGS 84 into the site's projection."""
    return transform(geometry, lambda xy: np.column_stack(to_site.transform(xy[:, 0], xy[:, 1])))


def _transformer(config: SiteConfig, path: Path) -> Transformer:
    try:
        crs = CRS.from_user_input(config.crs)
    except CRSError as error:
        raise ConfigError(f"{path}: key 'crs' is '{config.crs}', which is not a known projection.") from error
    if not crs.is_projected or any(axis.unit_name not in ("metre", "meter") for axis in crs.axis_info):
        raise ConfigError(f"{path}: key 'crs' must be a projection in metres, such as EPSG:32652.")
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)
