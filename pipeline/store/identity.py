"""Who a row is: UUIDv5 over what a count depends on; never `hash()`, never the clock."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from pipeline.config import Settings
from pipeline.model import Scene, Site
from pipeline.store.types import canonical_json

NAMESPACE = uuid.UUID("6f1b2f0e-1d55-5c07-9a43-0c6e2b7a73d1")  # of observations, arbitrary but fixed for ever
DIGEST_LENGTH = 16  # hexadecimal characters shown in the series: 64 bits
COORDINATE_DECIMALS = 3  # millimetres: another version of PROJ gives the same identity
NOT_COUNTING = {"first_history_days"}  # counting settings that steer fetching, not counting


def observation_id(site: Site, scene: Scene, method: str, method_version: str, digest: str) -> str:
    """Return the identity of a look's row.

    Parameters
    ----------
    site : Site
        Its area and projection enter; its name does not.
    scene : Scene
        Its items' ids with their processing enter, in sorted order.
    method, method_version : str
        Of the counter.
    digest : str
        From `config_digest`.

    Returns
    -------
    str
        A UUIDv5.
    """
    items = sorted((item.item_id, item.processing) for item in scene.items)
    name = canonical_json(
        {
            "site": [site.crs, _coordinates(site.area)],
            "items": items,
            "method": [method, method_version],
            "config": digest,
        }
    )
    return str(uuid.uuid5(NAMESPACE, name))


def config_digest(site: Site, settings: Settings) -> str:
    """Return a digest of exactly the configuration that a count depends on.

    That is the quality settings, the counting settings that shape a number, and the site's area, tracks and
    zones. Titles, names for people, alarm and notification settings do not enter: changing them counts nothing
    again. Published counts are known dates and stand in each row's `history_digest`.

    Parameters
    ----------
    site : Site
    settings : Settings
        With what the site overrides.

    Returns
    -------
    str
        16 hexadecimal characters of a SHA-256.
    """
    content = {
        "area": [site.crs, _coordinates(site.area)],
        "tracks": _sorted(
            {
                "id": track.track_id,
                "line": _coordinates(track.line),
                "use": track.use,
                "gauge_mm": list(track.gauge_mm),
                "valid": [_day(track.valid_from), _day(track.valid_to)],
                "provisional": track.provisional,
            }
            for track in site.tracks
        ),
        "zones": _sorted(
            {
                "kind": zone.kind,
                "area": _coordinates(zone.area),
                "valid": [_day(zone.valid_from), _day(zone.valid_to)],
            }
            for zone in site.zones
        ),
        "quality": settings.quality.model_dump(mode="json"),
        "counting": settings.counting.model_dump(mode="json", exclude=NOT_COUNTING),
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()[:DIGEST_LENGTH]


def _sorted(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return parts in an order that does not depend on the file's."""
    return sorted(parts, key=canonical_json)


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _coordinates(geometry: BaseGeometry) -> list[list[list[float]]]:
    """Return a line's vertices, or the rings of a polygon, rounded to millimetres."""
    rings = [geometry.exterior, *geometry.interiors] if isinstance(geometry, Polygon) else [geometry]
    # Adding 0.0 turns -0.0 into 0.0, which print differently.
    return [
        [[round(float(v), COORDINATE_DECIMALS) + 0.0 for v in point[:2]] for point in ring.coords] for ring in rings
    ]
