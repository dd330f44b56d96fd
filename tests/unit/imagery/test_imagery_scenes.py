"""One look a pass: tiles joined, processings replaced, sources preferred, in whatever order items come."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from shapely.geometry import box

from pipeline.imagery.scenes import safe_name, scenes_from_items
from pipeline.model import Asset, Item

FOOTPRINT = box(130.5, 42.3, 131.5, 43.3)


def item(item_id: str, **changes: Any) -> Item:
    fields: dict[str, Any] = {
        "item_id": item_id,
        "collection": "sentinel-2-l2a",
        "source": "first",
        "processing": "05.09",
        "observed_at": datetime(2023, 10, 6, 2, 20, tzinfo=UTC),
        "assets": (Asset("red", f"https://example.org/{item_id}.tif"),),
        "footprint": FOOTPRINT,
        "updated": "2023-10-07",
        "sensor": "sentinel-2",
        "platform": "S2A",
        "orbit": "R103",
        "gsd_m": 10.0,
    }
    return Item(**{**fields, **changes})


def ids(found: Any) -> list[tuple[str, list[str]]]:
    return [(scene.scene_id, [i.item_id for i in scene.items]) for scene in found[0]]


def test_two_tiles_are_one_scene_with_two_items() -> None:
    found = scenes_from_items([item("a", tile="52TFM"), item("b", tile="52TFN")], ["first"])
    assert ids(found) == [("S2A_20231006_R103", ["a", "b"])]


def test_the_newest_processing_wins_and_the_older_is_named() -> None:
    old = item("old", tile="52TFM", processing="04.00")
    new = item("new", tile="52TFM", processing="05.10")
    scenes, ledger = scenes_from_items([new, old], ["first"])
    assert [i.item_id for i in scenes[0].items] == ["new"]
    assert scenes[0].superseded == ("old",)
    assert [(e.subject, e.outcome) for e in ledger.entries] == [("old", "superseded")]


def test_of_equal_processings_the_later_one_wins() -> None:
    early = item("z-early", tile="52TFM", updated="2023-10-07")
    late = item("a-late", tile="52TFM", updated="2024-01-01")
    assert ids(scenes_from_items([late, early], ["first"])) == [("S2A_20231006_R103", ["a-late"])]


def test_a_pass_reprocessed_by_half_is_not_mixed() -> None:
    items = [
        item("m-old", tile="52TFM", processing="04.00"),
        item("n-old", tile="52TFN", processing="04.00"),
        item("m-new", tile="52TFM", processing="05.10"),
    ]
    assert ids(scenes_from_items(items, ["first"])) == [("S2A_20231006_R103", ["m-old", "n-old"])]


@pytest.mark.parametrize(("preference", "taken"), [(["first", "second"], "first"), (["second", "first"], "second")])
def test_the_preferred_source_gives_the_pass_whatever_its_processing(preference: list[str], taken: str) -> None:
    items = [item("a", processing="05.00"), item("b", source="second", processing="05.10")]
    scenes, ledger = scenes_from_items(items, preference)
    assert [scene.source for scene in scenes] == [taken]
    assert [entry.outcome for entry in ledger.entries] == ["skipped"]
    assert taken in ledger.entries[0].detail


def test_two_orbits_two_platforms_and_two_days_are_scenes_of_their_own() -> None:
    other_day = datetime(2023, 10, 7, 2, 20, tzinfo=UTC)
    items = [item("a"), item("b", orbit="R003"), item("c", platform="S2B"), item("d", observed_at=other_day)]
    assert len(scenes_from_items(items, ["first"])[0]) == 4


def test_the_day_is_the_sun_s_not_greenwich_s() -> None:
    before, after = datetime(2023, 10, 6, 23, 59, 50, tzinfo=UTC), datetime(2023, 10, 7, 0, 0, 10, tzinfo=UTC)
    items = [item("a", tile="1", observed_at=before), item("b", tile="2", observed_at=after)]
    assert ids(scenes_from_items(items, ["first"])) == [("S2A_20231007_R103", ["a", "b"])]


def test_a_catalogue_that_does_not_tell_the_orbit_joins_the_pass() -> None:
    found = scenes_from_items([item("a", orbit="R103"), item("b", orbit="", source="second")], ["second", "first"])
    assert ids(found) == [("S2A_20231006_R103", ["b"])]


def test_the_order_and_repetition_of_items_leave_no_trace() -> None:
    items = [
        item(f"{tile}-{processing}-{source}", tile=tile, processing=processing, source=source, platform=platform)
        for tile in ("52TFM", "52TFN")
        for processing in ("04.00", "05.10")
        for source in ("first", "second")
        for platform in ("S2A", "S2B")
    ]
    expected = scenes_from_items(items, ["first", "second"])
    for seed in range(20):
        shuffled = items * 2
        random.Random(seed).shuffle(shuffled)
        assert scenes_from_items(shuffled, ["first", "second"]) == expected


def test_an_unusable_item_stands_in_the_ledger() -> None:
    scenes, ledger = scenes_from_items([item("a"), item("bad", problem="item bad: no time.")], ["first"])
    assert len(scenes) == 1
    assert [(e.subject, e.detail) for e in ledger.of("failed")] == [("bad", "item bad: no time.")]


def test_a_file_is_a_scene_of_its_own() -> None:
    image = item("yard 2023", sensor="", platform="", orbit="", gsd_m=None, collection="folder", source="folder")
    scenes, _ = scenes_from_items([image], ["folder"])
    assert (scenes[0].scene_id, scenes[0].sensor, scenes[0].platform) == ("yard-2023", "vhr", "folder")


@pytest.mark.parametrize("text", ["../../etc/passwd", "..", "", "/", "a/../b", "\x00", ".hidden", "x" * 999, "ünï"])
def test_no_name_leads_out_of_a_folder(text: str) -> None:
    name = safe_name(text)
    assert name
    assert "/" not in name
    assert ".." not in name
    assert not name.startswith(".")
    assert len(name) <= 100
