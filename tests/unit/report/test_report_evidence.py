"""The evidence pack: other people's tools open it, and the same record gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pyogrio
import pystac
import pytest
import rasterio
from rio_cogeo import cog_validate
from support.report_world import a_look, a_report

from pipeline.errors import ReportError
from pipeline.model import Look, Outcome
from pipeline.report import ReportData
from pipeline.report.evidence import build_evidence_pack, pack_name, schema
from pipeline.report.tables import SERIES_COLUMNS


def a_record(hostile: bool = False) -> ReportData:
    """Make a record whose finest look is 4 m, so that packs stay small."""
    data = a_report(years=0.5, hostile=hostile)
    rows = {o.scene_id: o for o in data.observations}

    def look_for(scene_id: str) -> Look | None:
        row = rows[scene_id]
        number = round(row.count.railcars) if row.count else 0
        return a_look(data.site, scene_id, row.observed_at, max(row.gsd_m, 4.0), number)

    return replace(data, look_for=look_for)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "hostile"])
def data(request: pytest.FixtureRequest) -> ReportData:
    return a_record(request.param)


@pytest.fixture(scope="module")
def pack(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_evidence_pack(data.surges[0], data, tmp_path_factory.mktemp("packs"))


def test_the_pack_is_named_by_site_date_and_surge(data: ReportData, pack: Path):
    assert pack.name == pack_name(data.surges[0])
    assert pack.name.startswith("tumangang-20230926-")
    assert all(len(p.name) < 80 for p in pack.rglob("*"))


def test_the_surge_is_valid_against_the_schema_beside_it(data: ReportData, pack: Path):
    document = json.loads((pack / "surge.json").read_text(encoding="utf-8"))
    beside = json.loads((pack / "surge.schema.json").read_text(encoding="utf-8"))
    assert beside == schema()
    jsonschema.Draft202012Validator.check_schema(beside)
    jsonschema.Draft202012Validator(beside).validate(document)
    assert document["surge"]["surge_id"] == data.surges[0].surge_id
    assert [look["role"] for look in document["looks"]] == ["last quiet", "first alarm", "peak"]
    assert {v["decision"] for v in document["verdicts"]} == {"confirm"}
    assert document["alarms"][0]["tier"] == "high"


def test_the_schema_refuses_what_is_not_a_surge(pack: Path):
    document = json.loads((pack / "surge.json").read_text(encoding="utf-8"))
    document["surge"]["tier"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


def test_the_item_is_a_valid_stac_item_with_true_checksums(pack: Path):
    item = pystac.Item.from_file(str(pack / "item.json"))
    assert item.properties["proj:code"] == "EPSG:32652"
    assert item.bbox is not None and 130 < item.bbox[0] < 131 and 42 < item.bbox[1] < 43
    for asset in item.assets.values():
        content = (pack / asset.href).read_bytes()
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert asset.extra_fields["file:size"] == len(content)
    item.stac_extensions = []  # their schemas are on the network; the core's come with pystac
    assert item.validate()


def test_images_are_cogs_in_the_sites_projection_with_named_bands(data: ReportData, pack: Path):
    images = sorted((pack / "looks").glob("*.tif"))
    assert len(images) == 3
    for image in images:
        valid, errors, _ = cog_validate(str(image))
        assert valid, errors
        with rasterio.open(image) as file:
            assert file.crs.to_string() == "EPSG:32652"
            assert file.descriptions == ("red", "green", "blue", "nir", "clear")
    with rasterio.open(images[0]) as file:
        look = data.look_for(data.observations[-6].scene_id)
        assert look is not None
        assert tuple(file.transform)[:6] == look.grid.transform
        assert set(file.read(5).ravel().tolist()) <= {0.0, 1.0}
    assert all(image.with_suffix(".png").read_bytes().startswith(b"\x89PNG") for image in images)


def test_detections_lie_at_the_yard_in_longitude_and_latitude(data: ReportData, pack: Path):
    collection = json.loads((pack / "detections.geojson").read_text(encoding="utf-8"))
    assert len(collection["features"]) == 73
    for feature in collection["features"]:
        for longitude, latitude in feature["geometry"]["coordinates"][0]:
            assert 130.6 < longitude < 130.66
            assert 42.38 < latitude < 42.45
    assert {f["properties"]["kind"] for f in collection["features"]} == {"ore car", "box car", "tank car"}


def test_the_geopackage_opens_with_projection_layers_and_style(data: ReportData, pack: Path):
    path = pack / "evidence.gpkg"
    features = {name: pyogrio.read_info(path, layer=name)["features"] for name in ("area", "tracks", "railcars")}
    assert features == {"area": 1, "tracks": 10, "railcars": 73}
    assert pyogrio.read_info(path, layer="railcars")["crs"] == "EPSG:32652"
    with closing(sqlite3.connect(path)) as database:
        styles = dict(database.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault"))
        columns = dict(database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"))
        named = dict(database.execute("SELECT f_table_name, f_geometry_column FROM layer_styles"))
    assert named == columns  # QGIS finds a style by table and geometry column
    for style in styles.values():
        root = ET.fromstring(style)  # noqa: S314 - written by us a moment ago
        assert root.tag == "qgis"
        assert root.find("renderer-v2/symbols/symbol") is not None


def test_the_series_has_every_look_in_the_columns_that_others_rely_on(data: ReportData, pack: Path):
    import csv

    csv.field_size_limit(10**6)
    with (pack / "series.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == SERIES_COLUMNS
    assert [r["scene_id"] for r in rows] == [o.scene_id for o in data.observations]
    unseen = [r for r in rows if r["outcome"] in ("rejected", "failed")]
    assert unseen
    assert all(r["railcars"] == r["railcars_low"] == r["detection_limit"] == "" for r in unseen)


def test_the_checksums_cover_every_other_file(pack: Path):
    lines = (pack / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    files = {p.relative_to(pack).as_posix() for p in pack.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    assert set(listed) == files
    assert all(hashlib.sha256((pack / name).read_bytes()).hexdigest() == digest for name, digest in listed.items())


def test_the_same_record_gives_the_same_zip(tmp_path: Path):
    data = a_record()
    first = build_evidence_pack(data.surges[0], data, tmp_path / "a", zipped=True).read_bytes()
    again = build_evidence_pack(data.surges[0], a_record(), tmp_path / "b", zipped=True)
    assert again.read_bytes() == first
    with zipfile.ZipFile(again) as archive:
        assert archive.testzip() is None
        assert f"{pack_name(data.surges[0])}/SHA256SUMS" in archive.namelist()
    assert [p.name for p in (tmp_path / "a").iterdir()] == [again.name]  # nothing half-done is left


def test_an_older_pack_is_replaced_whole(tmp_path: Path):
    data = replace(a_record(), look_for=lambda _scene_id: None)
    pack = build_evidence_pack(data.surges[0], data, tmp_path)
    (pack / "stray.txt").write_text("of an older method")
    assert build_evidence_pack(data.surges[0], data, tmp_path) == pack
    assert not (pack / "stray.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == [pack.name]


def test_looks_without_a_chip_and_counts_without_railcars_are_still_a_pack(tmp_path: Path):
    data = a_record()
    coarse = tuple(
        o if o.count is None else replace(o, count=replace(o.count, railcar_list=())) for o in data.observations
    )
    data = replace(data, look_for=lambda _scene_id: None, observations=coarse)
    pack = build_evidence_pack(data.surges[0], data, tmp_path)
    document = json.loads((pack / "surge.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema())
    assert all(look["image"] == "" for look in document["looks"])
    assert pyogrio.read_info(pack / "evidence.gpkg", layer="railcars")["features"] == 0
    assert any(o.outcome is Outcome.REJECTED for o in data.observations)


def test_an_unwritable_place_is_one_sentence(tmp_path: Path):
    (tmp_path / "taken").write_text("a file")
    data = a_record()
    with pytest.raises(ReportError, match="cannot be written"):
        build_evidence_pack(data.surges[0], data, tmp_path / "taken")
