"""When the picture of a place in a release of a map was taken, as the release's metadata service tells it.

The service is an ArcGIS map service with a layer for each zoom: layer 0 is zoom 23, layer 13 is zoom 10 and coarser
(as Esri's own client `wayback-core` asks it). A layer holds the outlines of the pictures with the fields SRC_DATE2
(milliseconds since 1970, UTC), SRC_DATE (a number such as 20231005), SRC_RES and SAMP_RES (metres), NICE_DESC (the
publisher) and SRC_DESC (the satellite). The worldwide base of 15 m has no date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pyproj import Transformer

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError
from pipeline.imagery.hosts import shorten
from pipeline.imagery.items import EARLIEST, safe_text
from pipeline.imagery.remote import Meter
from pipeline.imagery.tiles_web import fetch_json
from pipeline.model import Site

FINEST_ZOOM, LAST_LAYER = 23, 13
FIELDS = ("SRC_DATE2", "SRC_DATE", "SRC_RES", "NICE_DESC", "SRC_DESC")
MAX_PICTURES = 100  # outlines over one yard
MIN_RES_M, MAX_RES_M = 0.01, 1000.0


@dataclass(frozen=True)
class Capture:
    """What one release shows of a site's tracks."""

    days: tuple[date, ...]  # on which its pictures were taken, as stated; in order
    stated: bool  # every picture has a day
    resolution_m: float | None  # coarsest of its pictures, None when not told
    publisher: str  # and satellite, "" when not told
    words: str  # for the record: what is known of its date


def capture_at(config: SourceConfig, service: str, site: Site, zoom: int, released: date, meter: Meter) -> Capture:
    """Ask a release's metadata service about the site's tracks.

    Parameters
    ----------
    config : SourceConfig
    service : str
        Address of the service, checked.
    site : Site
    zoom : int
        Of the tiles that will be read; other zooms may show other pictures.
    released : date
        No picture can be younger.
    meter : Meter

    Raises
    ------
    ReadError
        When the service does not answer, or answers with an error or nonsense.
    """
    west, south, east, north = _bounds_degrees(site)
    around = {"xmin": west, "ymin": south, "xmax": east, "ymax": north, "spatialReference": {"wkid": 4326}}
    asked = {
        "f": "json",
        "where": "1=1",
        "geometry": json.dumps(around, separators=(",", ":")),
        "geometryType": "esriGeometryEnvelope",
        "spatialRel": "esriSpatialRelIntersects",
        "outFields": ",".join(FIELDS),
        "returnGeometry": "false",
    }
    layer = min(max(FINEST_ZOOM - zoom, 0), LAST_LAYER)
    answer = fetch_json(config, f"{service}/{layer}/query?{urlencode(asked)}", meter)
    return read_capture(answer, released, f"source {config.name}: {shorten(service)}")


def read_capture(answer: Mapping[str, Any], released: date, shown: str) -> Capture:
    """Return what an answer of the service says.

    Raises
    ------
    ReadError
        When it is an error (ArcGIS sends errors with status 200) or no list of pictures.
    """
    error = answer.get("error")
    if error is not None:
        code = error.get("code") if isinstance(error, Mapping) else None
        code = code if isinstance(code, int) else 0
        raise ReadError(f"{shown} answers with error {code or 'of no stated kind'}.", transient=code >= 500)
    features = answer.get("features")
    if not isinstance(features, list) or len(features) > MAX_PICTURES:
        raise ReadError(f"{shown} does not answer with a list of pictures.")
    pictures = []
    for feature in features:
        attributes = feature.get("attributes") if isinstance(feature, Mapping) else None
        if not isinstance(attributes, Mapping):
            raise ReadError(f"{shown} lists a picture without attributes.")
        pictures.append(attributes)
    told = [_days(picture, released) for picture in pictures]
    days = tuple(sorted({day for found in told for day in found}))
    stated = bool(told) and all(told)
    words = "taken on a day not stated" if not days else f"taken {days[0]}"
    if days[1:]:
        words += f" to {days[-1]}"
    if days and not stated:
        words += " and on a day not stated"
    resolutions = [res for picture in pictures if (res := _metres(picture.get("SRC_RES"))) is not None]
    named = {
        " ".join(safe_text(picture.get(key), empty="") for key in ("NICE_DESC", "SRC_DESC")).strip()
        for picture in pictures
    }
    publisher = " and ".join(sorted(named - {""}))[:120]
    return Capture(days, stated, max(resolutions, default=None), publisher, words)


def _days(picture: Mapping[str, Any], released: date) -> tuple[date, ...]:
    """Return the day of a picture, both where its two fields contradict each other, none where none is possible."""
    found = sorted(
        day
        for day in (_from_milliseconds(picture.get("SRC_DATE2")), _from_digits(picture.get("SRC_DATE")))
        if day is not None and EARLIEST.date() <= day <= released
    )
    if len(found) == 2 and found[1] - found[0] <= timedelta(days=1):
        # SRC_DATE2 may be midnight of another time zone: SRC_DATE is the day that people see.
        return (_from_digits(picture.get("SRC_DATE")) or found[0],)
    return tuple(found)


def _from_milliseconds(value: Any) -> date | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000.0, tz=UTC).date()
    except (ValueError, OverflowError, OSError):
        return None


def _from_digits(value: Any) -> date | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if len(text) != 8 or not text.isascii() or not text.isdecimal():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _metres(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not MIN_RES_M <= value <= MAX_RES_M:
        return None
    return float(value)


def _bounds_degrees(site: Site) -> tuple[float, float, float, float]:
    """Return the box around a site's tracks, or around its area where it has none, WGS 84."""
    bounds = [track.line.bounds for track in site.tracks] or [site.area.bounds]
    west, south = min(b[0] for b in bounds), min(b[1] for b in bounds)
    east, north = max(b[2] for b in bounds), max(b[3] for b in bounds)
    to_degrees = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(west, south, east, north, densify_pts=5)
    return round(west, 7), round(south, 7), round(east, 7), round(north, 7)
