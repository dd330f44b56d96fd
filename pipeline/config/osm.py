"""Railway lines of OpenStreetMap become a site's tracks.geojson."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer
from shapely import transform
from shapely.geometry import LineString, shape
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError
from pipeline.model import Site

MAX_IMPORT_BYTES = 200_000_000
MIN_PIECE_M = 14.0  # a clipped piece shorter than one railcar holds none
ATTRIBUTION = "OpenStreetMap contributors, ODbL 1.0"


@dataclass(frozen=True)
class TrackImport:
    """What an import took and left."""

    path: Path
    kept: dict[str, int]  # use to number of tracks
    metres: float  # total length kept
    left_out: dict[str, int]  # reason to number of features


def import_osm_tracks(site: Site, source: Path, target: Path) -> TrackImport:
    """Clip railway lines to the site's area and write them as its tracks.

    Kept are `railway=rail` ways of yard, siding and main use; every other way is counted with its reason.

    Parameters
    ----------
    site : Site
        Its area, in its projection, is what lines are clipped to.
    source : Path
        GeoJSON in WGS 84 with OpenStreetMap's tags as properties, such as an Overpass export.
    target : Path
        The tracks.geojson to write; replaced as a whole, atomically.

    Raises
    ------
    ConfigError
        When the file is no GeoJSON or holds no usable line inside the area.
    """
    features = _features(source)
    to_site = Transformer.from_crs("EPSG:4326", site.crs, always_xy=True)
    kept: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    uses: Counter[str] = Counter()
    metres = 0.0
    for number, feature in enumerate(features, start=1):
        tags = feature.get("properties") or {}
        use = _use(tags)
        if use is None:
            left_out[f"railway={tags.get('railway', 'none')} service={tags.get('service', 'none')}"] += 1
            continue
        try:
            line = shape(feature["geometry"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{source} feature {number}: no readable geometry.") from error
        if line.geom_type not in ("LineString", "MultiLineString"):
            left_out[f"a {line.geom_type}"] += 1
            continue
        projected = transform(line, lambda xy: np.column_stack(to_site.transform(xy[:, 0], xy[:, 1])))
        pieces = _pieces(projected, site)
        if not pieces:
            left_out["outside the site's area"] += 1
        osm_id = str(tags.get("@id") or feature.get("id") or f"feature/{number}")
        for index, piece in enumerate(pieces, start=1):
            kept.append(_feature(tags, use, osm_id, piece, to_site, index if len(pieces) > 1 else 0))
            uses[use] += 1
            metres += piece.length
    if not kept:
        raise ConfigError(f"{source}: no yard, siding or main line lies inside the area of site '{site.name}'.")
    kept.sort(key=lambda feature: str(feature["properties"]["track_id"]))
    _write_atomically(target, kept)
    return TrackImport(target, dict(sorted(uses.items())), metres, dict(left_out.most_common()))


def _features(source: Path) -> list[dict[str, Any]]:
    try:
        if source.stat().st_size > MAX_IMPORT_BYTES:
            raise ConfigError(f"{source}: larger than {MAX_IMPORT_BYTES // 1_000_000} MB; cut it to the site first.")
        features = json.loads(source.read_text(encoding="utf-8"))["features"]
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{source}: not a GeoJSON FeatureCollection.") from error
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise ConfigError(f"{source}: not a GeoJSON FeatureCollection.")
    return features


def _use(tags: dict[str, Any]) -> str | None:
    """Return the use of a way from its tags (OpenStreetMap wiki, Key:railway and Key:service)."""
    if tags.get("railway") != "rail":
        return None  # disused, abandoned, construction, tram, platform, ...
    service = tags.get("service")
    if service in ("yard", "siding"):
        return str(service)
    if service is None:
        return "main"
    return None  # crossovers and spurs are turnouts and private sidings


def _pieces(line: BaseGeometry, site: Site) -> list[LineString]:
    """Return the parts of a line inside the area that could hold a railcar."""
    clipped = line.intersection(site.area)
    parts = getattr(clipped, "geoms", [clipped])
    return [part for part in parts if isinstance(part, LineString) and part.length >= MIN_PIECE_M]


def _feature(
    tags: dict[str, Any], use: str, osm_id: str, piece: LineString, to_site: Transformer, part: int
) -> dict[str, Any]:
    vertices = np.asarray(piece.coords)
    xs, ys = to_site.transform(vertices[:, 0], vertices[:, 1], direction="INVERSE")
    gauges = [int(found) for found in re.findall(r"\d{3,4}", str(tags.get("gauge", "")))]
    suffix = f"-{part}" if part else ""
    reference = str(tags.get("railway:track_ref") or tags.get("name") or osm_id)[:200]
    return {
        "type": "Feature",
        "properties": {
            "track_id": f"{osm_id.replace('/', '-')}{suffix}"[:200],
            "name": reference,
            "use": use,
            "gauge_mm": gauges or [1435],
            "provisional": False,
            "osm_id": osm_id[:200],
            "source": ATTRIBUTION,
        },
        "geometry": {
            "type": "LineString",
            "coordinates": [[round(x, 7), round(y, 7)] for x, y in zip(xs.tolist(), ys.tolist(), strict=True)],
        },
    }


def _write_atomically(target: Path, features: list[dict[str, Any]]) -> None:
    body = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    temporary = target.with_suffix(".tmp")
    temporary.write_text('{"type": "FeatureCollection", "features": [\n' + body + "\n]}\n", encoding="utf-8")
    os.replace(temporary, target)  # noqa: PTH105
