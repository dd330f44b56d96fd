"""A Scene as JSON and back, whole, so that an archived chip needs no catalogue to be understood."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import datetime
from typing import Any

from shapely import from_geojson, to_geojson

from pipeline.model import Asset, Item, Scene

Json = dict[str, Any]


def scene_to_json(scene: Scene) -> Json:
    """Return a scene as plain JSON values; numbers and times come back equal."""
    found = _plain(scene, skip=("items", "observed_at", "superseded"))
    found["observed_at"] = scene.observed_at.isoformat()
    found["superseded"] = list(scene.superseded)
    found["items"] = [_item_to_json(item) for item in scene.items]
    return found


def scene_from_json(document: Json) -> Scene:
    """Return the scene that `scene_to_json` wrote.

    Keys that this version does not know are passed over, so that a newer archive can be read.

    Raises
    ------
    KeyError, TypeError, ValueError
        When the document is no such scene.
    """
    known = {name: document[name] for name in _names(Scene) if name in document}
    known["observed_at"] = datetime.fromisoformat(document["observed_at"])
    known["superseded"] = tuple(document["superseded"])
    known["items"] = tuple(_item_from_json(item) for item in document["items"])
    return Scene(**known)


def _item_to_json(item: Item) -> Json:
    found = _plain(item, skip=("assets", "observed_at", "footprint"))
    found["observed_at"] = item.observed_at.isoformat()
    found["footprint"] = None if item.footprint is None else to_geojson(item.footprint)
    found["assets"] = [_asset_to_json(asset) for asset in item.assets]
    return found


def _item_from_json(document: Json) -> Item:
    known = {name: document[name] for name in _names(Item) if name in document}
    known["observed_at"] = datetime.fromisoformat(document["observed_at"])
    known["footprint"] = None if document["footprint"] is None else from_geojson(document["footprint"])
    known["assets"] = tuple(_asset_from_json(asset) for asset in document["assets"])
    return Item(**known)


def _asset_to_json(asset: Asset) -> Json:
    found = _plain(asset, skip=("nodata",))
    # JSON has no nan; radar products declare it as their nodata.
    special = asset.nodata is not None and not math.isfinite(asset.nodata)
    found["nodata"] = str(asset.nodata) if special else asset.nodata
    return found


def _asset_from_json(document: Json) -> Asset:
    known = {name: document[name] for name in _names(Asset) if name in document}
    if isinstance(known.get("nodata"), str):
        known["nodata"] = float(known["nodata"])
    return Asset(**known)


def _plain(value: Any, skip: tuple[str, ...]) -> Json:
    return {name: getattr(value, name) for name in _names(type(value)) if name not in skip}


def _names(kind: type) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(kind))
