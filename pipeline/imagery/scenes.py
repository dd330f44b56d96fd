"""Items become scenes: one look a pass, in its newest processing, from the preferred source."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, cast

from pipeline.model import Item, Ledger, LedgerEntry, Scene

Key = tuple[str, str, date, str]  # sensor, platform, solar day, orbit
Sensor = Literal["sentinel-2", "landsat", "sentinel-1", "vhr", "tiles"]
PASSES = ("sentinel-2", "landsat", "sentinel-1")  # sensors whose passes come in tiles and processings


def solar_day(item: Item) -> date:
    """Return the day of an acquisition at the mean solar time of its footprint.

    Two tiles of one pass, taken seconds apart around midnight UTC, are of one day.
    """
    longitude = item.footprint.centroid.x if item.footprint is not None else 0.0
    return (item.observed_at + timedelta(hours=round(longitude / 15.0))).date()


def scenes_from_items(items: Sequence[Item], preference: Sequence[str]) -> tuple[tuple[Scene, ...], Ledger]:
    """Group what all sources listed into one scene a pass.

    A pass is one platform, solar day and relative orbit. Of its deliveries (source and collection) the one of
    the most preferred source is taken, and within it, tile by tile, the newest processing. Older processings
    are named in `superseded`; deliveries of other sources stand in the ledger.

    Parameters
    ----------
    items : sequence of Item
        In any order, repeats allowed.
    preference : sequence of str
        Source names, best first; sources not named come last, by name.

    Returns
    -------
    tuple of Scene
        In order of acquisition time.
    Ledger
        Superseded, skipped and unusable items.
    """
    unique = {_identity(item): item for item in items}
    ordered = [unique[key] for key in sorted(unique)]
    entries = [LedgerEntry("discover", i.item_id, "failed", i.problem) for i in ordered if i.problem]
    rank = {name: number for number, name in enumerate(preference)}
    scenes: list[Scene] = []
    for group in _passes([i for i in ordered if not i.problem]).values():
        scene, notes = _scene(group, rank)
        scenes.append(scene)
        entries.extend(notes)
    scenes.sort(key=lambda scene: (scene.observed_at, scene.scene_id))
    return tuple(scenes), Ledger() + Ledger(tuple(entries))


def _identity(item: Item) -> tuple[str, ...]:
    """Return what tells items apart, in the order in which they are looked at."""
    when = item.observed_at.isoformat()
    names = item.source, item.collection, item.item_id, item.processing, item.updated, item.platform, item.orbit
    return (*names, when, *(asset.href for asset in item.assets))


def _passes(items: Sequence[Item]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = defaultdict(list)
    for item in items:
        if item.sensor in PASSES:
            groups[item.sensor, item.platform, solar_day(item), item.orbit].append(item)
        else:
            groups[item.sensor or "vhr", item.platform, solar_day(item), safe_name(item.item_id)].append(item)
    # A catalogue that does not tell the orbit joins the only pass of that platform on that day.
    for key in [key for key in groups if key[0] in PASSES and not key[3]]:
        others = [other for other in groups if other[:3] == key[:3] and other[3]]
        if len(others) == 1:
            groups[others[0]].extend(groups.pop(key))
    return groups


def _scene(group: list[Item], rank: dict[str, int]) -> tuple[Scene, list[LedgerEntry]]:
    deliveries: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in group:
        deliveries[item.source, item.collection].append(item)

    def order(delivery: tuple[str, str]) -> tuple[int, str, tuple[int, ...], str]:
        newest = max(_age(item) for item in deliveries[delivery])
        # Negated characters put the newest first while everything else sorts upwards.
        return rank.get(delivery[0], len(rank)), delivery[0], tuple(-ord(c) for c in newest[0]) or (0,), delivery[1]

    first, *others = sorted(deliveries, key=order)
    chosen, older = _newest_tiles(deliveries[first])
    notes = [
        LedgerEntry("discover", item.item_id, "superseded", f"replaced by {chosen[0].item_id} and its processing")
        for item in older
    ]
    scene = _build(chosen, older, next((item.orbit for item in group if item.orbit), ""))
    notes += [
        LedgerEntry("discover", item.item_id, "skipped", f"same pass as {scene.scene_id}, taken from {first[0]}")
        for delivery in others
        for item in deliveries[delivery]
        if item.item_id not in {kept.item_id for kept in chosen}
    ]
    return scene, notes


def _age(item: Item) -> tuple[str, str, str]:
    """Return what is larger for a newer processing; baselines 02.14 to 05.11 sort as text."""
    return item.processing, item.updated, item.item_id


def _newest_tiles(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """Part a delivery's items into the newest processing of each tile and the rest.

    Tiles without a name are told apart by their ids. Where tiles stand in unlike processings, the processing
    that covers most tiles is taken for all, so that no look mixes two radiometries.
    """
    versions: dict[str, dict[str, Item]] = defaultdict(dict)
    for item in sorted(items, key=_age):
        versions[item.processing][item.tile or item.item_id] = item
    best = max(versions, key=lambda processing: (len(versions[processing]), processing))
    chosen = sorted(versions[best].values(), key=lambda item: item.item_id)
    kept = {id(item) for item in chosen}
    return chosen, [item for item in items if id(item) not in kept]


def _build(chosen: list[Item], older: list[Item], orbit: str) -> Scene:
    head = chosen[0]
    sensor = cast(Sensor, head.sensor or "vhr")
    if sensor in PASSES:
        scene_id = "_".join(part for part in (head.platform, f"{solar_day(head):%Y%m%d}", orbit) if part)
    else:
        scene_id = safe_name(head.item_id)
    clouds = [item.cloud_cover for item in chosen if item.cloud_cover is not None]
    gsd = head.gsd_m or min((a.gsd_m for item in chosen for a in item.assets if a.gsd_m), default=10.0)
    return Scene(
        scene_id=scene_id,
        source=head.source,
        sensor=sensor,
        platform=head.platform or head.source,
        observed_at=min(item.observed_at for item in chosen),
        gsd_m=gsd,
        items=tuple(chosen),
        orbit=orbit,
        sun_elevation_deg=next((i.sun_elevation_deg for i in chosen if i.sun_elevation_deg is not None), None),
        sun_azimuth_deg=next((i.sun_azimuth_deg for i in chosen if i.sun_azimuth_deg is not None), None),
        view_azimuth_deg=next((i.view_azimuth_deg for i in chosen if i.view_azimuth_deg is not None), None),
        cloud_cover=sum(clouds) / len(clouds) if clouds else None,
        superseded=tuple(sorted({item.item_id for item in older})),
        date_uncertain=any(item.date_uncertain for item in chosen),
    )


def safe_name(text: str) -> str:
    """Return a name that is safe in a path: letters, digits, point, hyphen, underscore; never leading points."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")
    return re.sub(r"\.{2,}", ".", name)[:100] or "scene"
