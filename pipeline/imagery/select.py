"""Which of the listed items are wanted: checked here, whatever the server did or did not filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from pyproj import Transformer
from shapely import transform
from shapely.geometry import Polygon

from pipeline.config.schema import CollectionConfig, SourceConfig
from pipeline.imagery.footprints import overlaps
from pipeline.model import Item, Site


def area_degrees(site: Site) -> Polygon:
    """Return the site's area in WGS 84 degrees."""
    to_degrees = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True)
    return transform(site.area, lambda xy: np.column_stack(to_degrees.transform(xy[:, 0], xy[:, 1])))


def select_items(
    found: Iterable[tuple[Item, Mapping[str, Any]]],
    config: SourceConfig,
    site: Site,
    since: datetime,
    until: datetime,
) -> tuple[Item, ...]:
    """Keep the items over the site in the window of time that fit each collection's `query` and dates.

    Items with a problem are kept: they stand in the ledger with their reason.

    Returns
    -------
    tuple of Item
        In order of acquisition time, then of id; repeats removed.
    """
    area = area_degrees(site)
    collections = {collection.id: collection for collection in config.collections}
    kept: dict[tuple[str, str, str, str], Item] = {}
    for item, document in found:
        if item.problem:
            kept[item.collection, item.item_id, "", item.problem] = item
            continue
        collection = collections[item.collection]
        if (
            since <= item.observed_at <= until
            and _in_dates(item, collection)
            and item.footprint is not None
            and overlaps(item.footprint, area)
            and fits_query(document, collection.query)
        ):
            kept[item.collection, item.item_id, item.processing, item.updated] = item
    return tuple(sorted(kept.values(), key=lambda item: (item.observed_at, item.item_id, item.collection)))


def fits_query(document: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    """Tell whether an item's properties equal what a collection's `query` asks: a value, or one of several."""
    properties = document.get("properties")
    held = properties if isinstance(properties, Mapping) else {}
    return all(
        held.get(key) in wanted if isinstance(wanted, tuple) else held.get(key) == wanted
        for key, wanted in query.items()
    )


def _in_dates(item: Item, collection: CollectionConfig) -> bool:
    day = item.observed_at.date()
    after = collection.date_from is None or collection.date_from <= day
    return after and (collection.date_to is None or day <= collection.date_to)
