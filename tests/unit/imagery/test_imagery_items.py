"""Recorded documents of the public catalogues, and documents that were made to do harm."""

from __future__ import annotations

import copy
import json
import math
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.config import SourceConfig, open_configuration
from pipeline.config.schema import CollectionConfig
from pipeline.imagery.hosts import gate_for
from pipeline.imagery.items import parse_item
from pipeline.model import Item

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "stac"
with zipfile.ZipFile(DATA / "recorded.zip") as kept:  # every recorded document, as it was sent
    RECORDED = {name: kept.read(name) for name in kept.namelist() if not name.endswith(".md")}
WITHOUT_ITEMS = (  # descriptions of collections
    ".collection.json",
    "__collection.json",
    "scripts__fixtures__sentinel-2-l2a.json",
)
UNCONFIGURED = {"sentinel-2-l1c", None}  # not reflectance at the ground; a fragment of an extension's test


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


def source_of(document: dict[str, Any]) -> SourceConfig:
    """Return the shipped source that reads such an item: as configured, but for what nobody reads by default."""
    if "blob.core" in json.dumps(document.get("assets", {})):
        return source("planetary-computer")
    if document["collection"] == "landsat-c2-l2":
        return source("earth-search-landsat")
    config = source("earth-search")
    if document["collection"] == "sentinel-1-grd":  # its files are not readable; its documents are
        grd = {"id": "sentinel-1-grd", "sensor": "sentinel-1", "gsd_m": 10, "offset_rule": "none"}
        bands = {name: {"asset": name} for name in ("vv", "vh", "hh", "hv")}
        return SourceConfig.model_validate({**config.model_dump(), "collections": [{**grd, "bands": bands}]})
    return config


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_document_parses(name: str) -> None:
    found = list(items_in(json.loads(RECORDED[name])))
    assert bool(found) != name.endswith(WITHOUT_ITEMS)
    for document in found:
        if document.get("collection") in UNCONFIGURED:
            continue
        config = source_of(document)
        (collection,) = (c for c in config.collections if c.id == document["collection"])
        item = parse_item(document, config, collection)
        properties = document["properties"]
        assert item.problem == ""
        assert item.observed_at.isoformat()[:19] == properties["datetime"][:19]
        assert item.observed_at.utcoffset() == timedelta(0)
        assert item.platform in {"S2A", "S2B", "S2C", "L8", "L9", "S1A", "S1C"}
        if "proj:epsg" not in properties:
            assert "fields" in name, "an answer of the fields extension: no assets, no projection"
            continue
        assert item.crs == f"EPSG:{properties['proj:epsg']}"
        assert {"sentinel-2": "R", "sentinel-1": "R", "landsat": "P"}[collection.sensor] == item.orbit[0]
        if collection.sensor == "sentinel-2":
            hosts = gate_for(config).hosts
            assert all(urlsplit(asset.href).hostname in hosts for asset in item.assets), "its hosts are allowed"
        check = {"sentinel-2": check_sentinel_2, "sentinel-1": check_sentinel_1, "landsat": check_landsat}
        check[collection.sensor](item, document, collection)


def check_sentinel_2(item: Item, document: dict[str, Any], collection: CollectionConfig) -> None:
    assert item.tile in document["id"].replace("_", "")
    assert {asset.band for asset in item.assets} == set(collection.bands)
    assert all(asset.scale == (1.0 if asset.band == "scl" else 1e-4) for asset in item.assets)
    offset = -0.1 if item.processing >= "04.00" else 0.0
    assert all(asset.offset == (0.0 if asset.band == "scl" else offset) for asset in item.assets)
    assert all(asset.nodata == 0 for asset in item.assets)
    assert item.sun_elevation_deg is not None
    assert -90 < item.sun_elevation_deg < 90


def check_landsat(item: Item, document: dict[str, Any], collection: CollectionConfig) -> None:
    assert document["id"].split("_")[2] == item.orbit[1:] + item.tile
    assert item.processing == "02"
    assert {asset.band for asset in item.assets} == set(collection.bands)
    for asset in item.assets:
        declared = (1.0, 0.0, 1.0) if asset.band == "qa" else (2.75e-05, -0.2, 0.0)
        assert (asset.scale, asset.offset, asset.nodata) == declared
        assert asset.href.startswith("s3://usgs-landsat/")


def check_sentinel_1(item: Item, document: dict[str, Any], collection: CollectionConfig) -> None:
    assert item.orbit == f"R{document['properties']['sat:relative_orbit']:03d}"
    wanted = {name.lower() for name in document["properties"]["sar:polarizations"]}
    assert {asset.band for asset in item.assets} == wanted
    assert all((asset.scale, asset.offset) == (1.0, 0.0) for asset in item.assets)


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
