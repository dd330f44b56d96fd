"""Recorded documents of the public catalogues, and documents that were made to do harm."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import SourceConfig, open_configuration
from pipeline.imagery.items import parse_item

ROOT = Path(__file__).parents[3]
RECORDED = sorted((ROOT / "tests" / "data" / "stac").glob("*.json"))
OTHER = {"sentinel-2-l1c", "sentinel-1-grd", "landsat-c2-l2", None}  # recorded, but of no configured collection


def source(name: str) -> SourceConfig:
    return open_configuration(ROOT / "config").source(name)


def items_in(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        if document.get("type") == "Feature":
            yield document
            return
        document = list(document.values())
    for value in document if isinstance(document, list) else ():
        yield from items_in(value)


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
def test_every_recorded_document_parses(path: Path) -> None:
    found = list(items_in(json.loads(path.read_text(encoding="utf-8"))))
    assert found
    for document in found:
        name = "planetary-computer" if "blob.core" in json.dumps(document.get("assets", {})) else "earth-search"
        config = source(name)
        collection = next((c for c in config.collections if c.id == document.get("collection")), None)
        if collection is None:
            assert document.get("collection") in OTHER
            continue
        item = parse_item(document, config, collection)
        assert item.problem == ""
        assert item.observed_at.isoformat()[:19] == document["properties"]["datetime"][:19]
        assert item.observed_at.utcoffset().total_seconds() == 0
        assert item.platform in {"S2A", "S2B", "S2C"}
        assert item.tile in document["id"].replace("_", "")
        if path.stem == "pystac-client-fields":
            continue  # an answer of the fields extension: no assets, no projection
        assert item.crs == f"EPSG:{document['properties']['proj:epsg']}"
        assert item.orbit.startswith("R")
        assert {asset.band for asset in item.assets} == set(collection.bands)
        assert all(asset.scale == (1.0 if asset.band == "scl" else 1e-4) for asset in item.assets)
        offset = -0.1 if item.processing >= "04.00" else 0.0
        assert all(asset.offset == (0.0 if asset.band == "scl" else offset) for asset in item.assets)
        assert all(asset.nodata == 0 for asset in item.assets)
        assert -90 < item.sun_elevation_deg < 90


def test_the_projection_is_read_from_either_key() -> None:
    old = earth_search_item()
    new = copy.deepcopy(old)
    new["properties"]["proj:code"] = f"EPSG:{new['properties'].pop('proj:epsg')}"
    on_assets = copy.deepcopy(old)
    code = on_assets["properties"].pop("proj:epsg")
    on_assets["assets"]["red"]["proj:code"] = f"EPSG:{code}"
    assert {parse(old).crs, parse(new).crs, parse(on_assets).crs} == {"EPSG:32638"}


def test_scale_and_offset_are_read_as_stac_1_1_writes_them() -> None:
    document = earth_search_item()
    asset = document["assets"]["red"]
    del asset["raster:bands"]
    asset["bands"] = [{"raster:scale": 0.0002, "raster:offset": -0.05, "nodata": "nan"}]
    red = parse(document).asset("red")
    assert (red.scale, red.offset) == (0.0002, -0.05)
    assert math.isnan(red.nodata)


def test_the_orbit_of_an_item_that_does_not_tell_it_comes_from_its_datatake() -> None:
    document = earth_search_item()
    told = parse(document).orbit
    del document["properties"]["s2:product_uri"]
    assert parse(document).orbit == told == "R093"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "../../etc/passwd"}, "its id"),
        ({"id": "a\nb"}, "its id"),
        ({"id": "x" * 100_000}, "its id"),
        ({"id": None}, "no id"),
        ({"id": 7}, "no id"),
        ({"geometry": None, "bbox": None}, "neither a geometry nor"),
        ({"geometry": {"type": "Polygon", "coordinates": []}}, "is empty"),
        ({"geometry": {"type": "Point", "coordinates": [0, 0]}}, "not a polygon"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [1, 1], [0, 0]]]}}, "cannot be read"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [900, 0], [900, 9], [0, 0]]]}}, "not in degrees"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}}, "no area"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0.0, 1.0]] * 300_000]}}, "more than 100000 vertices"),
        ({"geometry": {"type": "GeometryCollection", "geometries": []}}, "not a polygon"),
        ({"properties": {}}, "no acquisition time"),
        ({"properties": {"datetime": "yesterday"}}, "no acquisition time"),
        ({"properties": {"datetime": "0001-01-01T00:00:00+14:00"}}, "no acquisition time"),
        ({"properties": {"datetime": "3999-01-01T00:00:00Z"}}, "outside 1972 to 2100"),
        ({"properties": []}, "no acquisition time"),
        ({"assets": {str(n): {} for n in range(5000)}}, "assets, which no product has"),
        ({"assets": {"red": {"href": 3}}}, "no usable href"),
        ({"assets": {"red": {"href": "https://x/" + "a" * 10_000}}}, "no usable href"),
        ({"assets": {"red": {"href": "a.tif", "raster:bands": [{"scale": "x"}]}}}, "declares scale"),
        ({"assets": {"red": {"href": "a.tif", "raster:bands": [{"scale": 0}]}}}, "declares scale"),
        ({"assets": {"red": {"href": "a.tif", "raster:bands": [{"offset": 1e300}]}}}, "declares offset"),
    ],
)
def test_a_hostile_item_is_named_in_one_sentence_and_not_used(change: dict[str, Any], said: str) -> None:
    item = parse({**earth_search_item(), **change})
    assert said in item.problem
    assert item.assets == ()
    assert "\n" not in item.problem
    assert len(item.problem) < 400


def test_a_footprint_over_the_date_line_is_one_piece() -> None:
    ring = [[179.0, 51.0], [-179.0, 51.0], [-179.0, 52.0], [179.0, 52.0], [179.0, 51.0]]
    split = [[[179.0, 51], [180, 51], [180, 52], [179, 52], [179, 51]]]
    split += [[[-180.0, 51], [-179, 51], [-179, 52], [-180, 52], [-180, 51]]]
    whole = parse({**earth_search_item(), "geometry": {"type": "Polygon", "coordinates": [ring]}})
    parts = {"type": "MultiPolygon", "coordinates": [[part] for part in split]}
    halves = parse({**earth_search_item(), "geometry": parts})
    boxed = parse({**earth_search_item(), "geometry": None, "bbox": [179.0, 51.0, -179.0, 52.0]})
    for item in (whole, halves, boxed):
        assert item.footprint.bounds == (179.0, 51.0, 181.0, 52.0)


def test_a_footprint_that_crosses_itself_is_mended() -> None:
    bow = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    item = parse({**earth_search_item(), "geometry": {"type": "Polygon", "coordinates": [bow]}})
    assert item.problem == ""
    assert item.footprint.is_valid


def earth_search_item() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (ROOT / "tests" / "data" / "stac" / "stac-factory-c1-item.json").read_text(encoding="utf-8")
    )
    return document


def parse(document: dict[str, Any]) -> Any:
    config = source("earth-search")
    return parse_item(document, config, config.collections[0])
