"""Sentinel-1 GRD: located by ground control points, calibrated by its annotation; geometry and power are known.

No recording is at hand. The item is built as stactools-sentinel1, which public catalogues use, writes it (extensions
`sar` 1.0, `sat` 1.0, `projection` 1.1 with the made-up EPSG:4326 that such items carry); the annotation as ESA's
Sentinel-1 Product Specification (S1-RS-MDA-52-7441, section 6.3) has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from shapely import affinity
from support.imagery_servers import local_server
from support.imagery_world import small_site

from pipeline.config import QualitySettings, SourceConfig, open_configuration
from pipeline.counting.radar.count import _same_orbit
from pipeline.errors import HostileInputError, ReadError
from pipeline.imagery.hosts import Gate
from pipeline.imagery.items import parse_item
from pipeline.imagery.quality import look_at
from pipeline.imagery.radar_power import MAX_VECTORS, read_calibration
from pipeline.imagery.remote import Web
from pipeline.imagery.scene_json import scene_from_json, scene_to_json
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.signing import S3Signer
from pipeline.imagery.window import read_scene
from pipeline.model import Asset, Chip, Item, Scene

ROOT = Path(__file__).parents[3]
SITE = small_site()
ITEM = "S1A_IW_GRDH_1SDV_20231006T213812_20231006T213837_050621_061A2B"
LINES, PIXELS = 500, 600  # of the image; the site lies in its middle
AREA = SITE.area.bounds
MIDDLE = (AREA[0] + AREA[2]) / 2, (AREA[1] + AREA[3]) / 2
LIGHTS = [(AREA[0] + 87.0, AREA[1] + 61.0), (AREA[0] + 702.0, AREA[1] + 95.0), (AREA[0] + 411.0, AREA[1] + 402.0)]
TO_DEGREES = Transformer.from_crs("EPSG:32652", "EPSG:4326", always_xy=True)
Ground = Callable[[Any, Any], Any]


def placed(line: Any, pixel: Any) -> tuple[Any, Any]:
    """Return where a line and pixel (of corners) lie, metres: a descending pass that looks to the right.

    Turned by 12 degrees, mirrored, and bent: by the range, and by hills of which the points know.
    """
    a, b = 10.0 * (pixel - PIXELS / 2), 10.0 * (line - LINES / 2)
    a, b = a + bend(a, b), b + 25.0 * (a / 3000.0) * (b / 2500.0)
    turn = np.deg2rad(12.0)
    return (
        MIDDLE[0] - a * np.cos(turn) - b * np.sin(turn),
        MIDDLE[1] + a * np.sin(turn) - b * np.cos(turn),
    )


def bend(a: Any, b: Any) -> Any:
    """Metres by which places are moved in range."""
    return 40.0 * (a / 3000.0) ** 2 + 25.0 * np.sin(a / 500.0 + b / 700.0)


def meadow(east: Any, north: Any) -> Any:
    """Power of the ground, linear: smooth waves from 0.05 to 0.15."""
    return 0.1 + 0.03 * np.sin((east - AREA[0]) / 60.0) + 0.02 * np.cos((north - AREA[1]) / 45.0)


def lit(east: Any, north: Any) -> Any:
    """The meadow with three bright spots of 15 m."""
    spots = [20.0 * np.exp(-((east - x) ** 2 + (north - y) ** 2) / (2 * 15.0**2)) for x, y in LIGHTS]
    return meadow(east, north) + sum(spots)


def gain(line: Any, pixel: Any) -> Any:
    """The annotation's A, as steep across the image as that of a whole swath."""
    return 300.0 + 0.2 * pixel + 0.05 * line


def annotation(vectors: int = 6, name: str = "sigmaNought") -> bytes:
    pixels = np.linspace(0, PIXELS - 1, 31).round().astype(int)
    made = ""
    for line in np.linspace(-40, LINES + 60, vectors).round().astype(int):
        values = " ".join(f"{value:.6e}" for value in gain(line, pixels))
        made += f"""<calibrationVector><azimuthTime>2023-10-06T21:38:12.1</azimuthTime><line>{line}</line>
<pixel count="31">{" ".join(map(str, pixels))}</pixel><{name} count="31">{values}</{name}>
<betaNought count="31">{" ".join(["2.37e+02"] * 31)}</betaNought></calibrationVector>"""
    return f"""<?xml version="1.0" encoding="UTF-8"?><calibration><adsHeader><missionId>S1A</missionId></adsHeader>
<calibrationVectorList count="{vectors}">{made}</calibrationVectorList></calibration>""".encode()


def write_image(path: Path, ground: Ground, *, points: int = 8) -> None:
    """Write amplitudes with a grid of control points, as a measurement file of a GRD has them."""
    line, pixel = np.mgrid[0:LINES, 0:PIXELS]
    amplitude = np.sqrt(ground(*placed(line + 0.5, pixel + 0.5))) * gain(line, pixel)
    numbers = np.rint(amplitude).astype(np.uint16)
    numbers[:, :12] = 0  # the border that GRDs have
    at = [(row, col) for row in np.linspace(0, LINES, points) for col in np.linspace(0, PIXELS, points + 3)]
    known = [GroundControlPoint(row, col, *TO_DEGREES.transform(*placed(row, col)), 30.0) for row, col in at]
    with rasterio.open(
        path, "w", driver="GTiff", width=PIXELS, height=LINES, count=1, dtype="uint16", gcps=known,
        crs=CRS.from_epsg(4326), tiled=True, blockxsize=256, blockysize=256,
    ) as target:  # fmt: skip
        target.write(numbers, 1)


def document(folder: str, *, annotated: bool = True, platform: str = "SENTINEL-1A") -> dict[str, Any]:
    """Return the item of a GRD."""
    round_trip = ((0, 0), (0, PIXELS), (LINES, PIXELS), (LINES, 0), (0, 0))
    ring = [list(map(float, TO_DEGREES.transform(*placed(row, col)))) for row, col in round_trip]
    xs, ys = [c[0] for c in ring], [c[1] for c in ring]
    assets: dict[str, Any] = {}
    for name in ("vv", "vh"):
        assets[name] = {
            "href": f"{folder}/iw-{name}.tiff",
            "type": "image/tiff; application=geotiff",
            "roles": ["data"],
        }
        if annotated:
            assets[f"schema-calibration-{name}"] = {
                "href": f"{folder}/calibration-iw-{name}.xml", "type": "application/xml", "roles": ["metadata"],
            }  # fmt: skip
        assets[f"schema-noise-{name}"] = {"href": f"{folder}/noise-iw-{name}.xml", "type": "application/xml"}
    made = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": ITEM,
        "collection": "sentinel-1-grd",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": {
            "datetime": "2023-10-06T21:38:24.6Z",
            "start_datetime": "2023-10-06T21:38:12.1Z",
            "end_datetime": "2023-10-06T21:38:37.1Z",
            "platform": platform,
            "constellation": "sentinel-1",
            "sar:instrument_mode": "IW",
            "sar:frequency_band": "C",
            "sar:product_type": "GRD",
            "sar:polarizations": ["VV", "VH"],
            "sat:orbit_state": "descending",
            "sat:absolute_orbit": 50621,
            "sat:relative_orbit": 149,
            "proj:epsg": 4326,
            "proj:shape": [LINES, PIXELS],
            "proj:transform": [1e-4, 0.0, min(xs), 0.0, -1e-4, max(ys)],
            "s1:processing_level": "1",
        },
        "assets": assets,
        "links": [{"rel": "collection", "href": "https://example.org/c", "type": "application/json"}],
    }
    pystac.Item.from_dict(made).validate()
    return made


def parsed(folder: str, source: str = "planetary-computer-grd", **what: Any) -> tuple[SourceConfig, Item]:
    config = open_configuration(ROOT / "config").source(source)
    return config, parse_item(document(folder, **what), config, config.collections[0])


def scene_of(item: Item) -> Scene:
    (scene,), ledger = scenes_from_items([item], [item.source])
    assert not ledger.entries
    return scene


def read(folder: Path, **what: Any) -> Chip:
    config, item = parsed(str(folder), **what)
    assert item.problem == ""
    return read_scene(config, Web(Gate(config.name, root=folder)), SITE, scene_of(item))


def centres(chip: Chip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cols, rows = np.meshgrid(np.arange(chip.grid.width) + 0.5, np.arange(chip.grid.height) + 0.5)
    return chip.grid.to_xy(cols, rows)


@pytest.fixture
def grd(tmp_path: Path) -> Path:
    for name in ("vv", "vh"):
        write_image(tmp_path / f"iw-{name}.tiff", lit)
        (tmp_path / f"calibration-iw-{name}.xml").write_bytes(annotation())
    return tmp_path


def test_bright_spots_lie_where_they_are_within_a_tenth_of_a_pixel(grd: Path) -> None:
    chip = read(grd)
    assert (chip.scene.scene_id, chip.bands) == ("S1A_20231007_R149", ("vv", "vh"))
    assert chip.grid == SITE.grid(10.0)
    assert chip.valid.all()
    east, north = centres(chip)
    for x, y in LIGHTS:
        near = np.hypot(east - x, north - y) < 60.0
        weight = np.where(near, chip.values[0] - meadow(east, north), 0.0)
        found = (east * weight).sum() / weight.sum(), (north * weight).sum() / weight.sum()
        assert np.hypot(found[0] - x, found[1] - y) < 1.0, "metres; a pixel is 10"


def test_numbers_become_sigma0_by_the_annotation(grd: Path) -> None:
    write_image(grd / "iw-vh.tiff", meadow)
    chip = read(grd)
    truth = meadow(*centres(chip))
    assert chip.values.dtype == np.float32
    assert np.abs(chip.values[1] / truth - 1.0).max() < 0.03
    assert chip.values[1].mean() == pytest.approx(truth.mean(), rel=0.002)
    look = look_at(chip, SITE, QualitySettings())
    assert look.flags == ()
    assert np.array_equal(look.band("vh"), chip.values[1])


def test_without_an_annotation_numbers_are_relative_and_say_so(grd: Path) -> None:
    chip = read(grd, annotated=False)
    write_image(grd / "iw-vv.tiff", lambda east, north: 2.0 * lit(east, north))
    brighter = read(grd, annotated=False)
    ratio = brighter.values[0] / chip.values[0]
    assert np.median(ratio) == pytest.approx(2.0, rel=0.01), "a change between passes is right"
    assert chip.values[0].min() > 1000.0, "squared numbers, not sigma0"
    look = look_at(chip, SITE, QualitySettings())
    assert look.flags == ("RADAR_UNCALIBRATED",)
    kept = scene_from_json(scene_to_json(chip.scene))
    assert look_at(replace(chip, scene=kept), SITE, QualitySettings()).flags == ("RADAR_UNCALIBRATED",)


def test_kinds_of_radar_never_share_a_baseline(grd: Path) -> None:
    chip = read(grd)
    look = look_at(chip, SITE, QualitySettings())
    assert _same_orbit(look, look)
    plain = look_at(read(grd, annotated=False), SITE, QualitySettings())
    assert not _same_orbit(look, plain)
    item = replace(chip.scene.items[0], collection="sentinel-1-rtc")
    corrected = replace(look, scene=replace(look.scene, items=(item,)))
    assert not _same_orbit(corrected, look)


def found_pixel(east: Any, north: Any) -> Any:
    """Return the pixel (of corners) at a place: the inverse of `placed`, by repetition."""
    turn = np.deg2rad(12.0)
    x, y = east - MIDDLE[0], north - MIDDLE[1]
    across, along = -x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) - y * np.cos(turn)
    a, b = across, along
    for _ in range(50):
        a, b = across - bend(a, b), along - 25.0 * (a / 3000.0) * (b / 2500.0)
    return a / 10.0 + PIXELS / 2


def test_the_image_ends_where_it_ends(grd: Path) -> None:
    config, item = parsed(str(grd))
    east, north = placed(LINES / 2, 12)  # the end of the border of zeros
    shift = float(east - MIDDLE[0]), float(north - MIDDLE[1])
    there = replace(SITE, area=affinity.translate(SITE.area, *shift))
    chip = read_scene(config, Web(Gate(config.name, root=grd)), there, scene_of(item))
    inside = found_pixel(*centres(chip)) - 12.0
    assert 0.3 < chip.valid.mean() < 0.7
    assert chip.valid[inside > 1.0].all()
    assert not chip.valid[inside < -1.0].any()
    far = replace(SITE, area=affinity.translate(SITE.area, 20_000.0, 0.0))
    assert not read_scene(config, Web(Gate(config.name, root=grd)), far, scene_of(item)).valid.any()


def test_it_is_read_over_http_and_from_no_other_host(grd: Path) -> None:
    with local_server(grd) as server:
        config, item = parsed(server.url)
        web = Web(Gate(config.name, ("127.0.0.1",), allow_loopback=True), attempts=1)
        chip = read_scene(config, web, SITE, scene_of(item))
        assert np.array_equal(chip.values, read(grd).values)
        assert not [path for path, _ in server.requests if "noise" in path]
        assets = tuple(replace(asset, calibration="http://localhost/c.xml") for asset in item.assets)
        with pytest.raises(HostileInputError, match=r"asset v[vh]: .*'localhost'"):
            read_scene(config, web, SITE, scene_of(replace(item, assets=assets)))
        assets = tuple(replace(asset, calibration=f"{server.url}/none.xml") for asset in item.assets)
        with pytest.raises(ReadError, match=r"item S1A_IW_GRDH.*, asset v[vh]: .*none\.xml answers 404"):
            read_scene(config, web, SITE, scene_of(replace(item, assets=assets)))


def test_a_refusal_of_the_paid_bucket_says_what_to_do(grd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-this-test")
    with local_server() as server:
        config, item = parsed("s3://sentinel-s1-l1c/GRD/2023/10/6/IW/DV/x", "earth-search-sentinel-1")
        bucket = config.s3.model_copy(update={"endpoint": server.url, "path_style": True})
        server._answer = lambda request: (403, {}, b"<Error><Code>AccessDenied</Code></Error>")  # type: ignore[method-assign]
        web = Web(Gate(config.name, ("127.0.0.1",), allow_loopback=True), S3Signer(bucket), attempts=1)
        with pytest.raises(ReadError, match="may not read what the requester pays for") as caught:
            read_scene(config, web, SITE, scene_of(item))
        assert all("x-amz-request-payer=requester" in path for path, _ in server.requests)
        assert "AKIDEXAMPLE" not in str(caught.value)
        unsigned = Web(Gate(config.name, ("127.0.0.1",), allow_loopback=True), attempts=1)
        with pytest.raises(ReadError, match="lies in S3, which is read with keys only"):
            read_scene(config, unsigned, SITE, scene_of(item))


def test_the_table_is_read_where_the_window_lies() -> None:
    table = read_calibration(annotation(), "c.xml")
    for top, left, shape in ((0, 0, (5, 7)), (77, 130, (200, 64)), (LINES - 3, PIXELS - 3, (3, 3)), (250, 9, (1, 1))):
        line, pixel = np.mgrid[top : top + shape[0], left : left + shape[1]]
        assert np.abs(table.over(top, left, shape) - gain(line, pixel)).max() < 1e-2
    assert read_calibration(annotation(1), "c.xml").over(9, 9, (2, 2)).shape == (2, 2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "not well-formed"),
        (b"<calibration/>", "not a calibration annotation"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><calibration/>", "document type"),
        (annotation(name="gamma"), "not whole"),
        (annotation().replace(b"<line>", b"<line>x"), "not whole"),
        (annotation().replace(b"<line>-40", b"<line>900"), "not in order"),
        (annotation().replace(b"e+02", b"e-999"), "cannot be"),
        (annotation().replace(b"3.", b"-3."), "cannot be"),
        (annotation().replace(b">0 20", b">20 20"), "cannot be"),
        (annotation(MAX_VECTORS + 1), "not a calibration annotation"),
    ],
    ids=["html", "empty", "entity", "no sigma", "line", "order", "zero", "negative", "pixels", "many"],
)
def test_a_bad_annotation_ends_in_one_sentence(body: bytes, words: str) -> None:
    with pytest.raises(ReadError, match=f"c.xml.*{words}") as caught:
        read_calibration(body, "c.xml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("points", [[0, 1], [0, 1, 0, 1]])
def test_too_few_points_are_said(grd: Path, points: list[int]) -> None:
    known = [GroundControlPoint(k, k, *TO_DEGREES.transform(*placed(k, k))) for k in points]
    with rasterio.open(grd / "iw-vv.tiff") as source:
        data = source.read()
    with rasterio.open(
        grd / "iw-vv.tiff", "w", driver="GTiff", width=PIXELS, height=LINES, count=1, dtype="uint16",
        gcps=known, crs=CRS.from_epsg(4326),
    ) as target:  # fmt: skip
        target.write(data)
    with pytest.raises(ReadError, match=r"asset vv: .*2 usable ground control points"):
        read(grd)


@pytest.mark.parametrize("source", ["planetary-computer-grd", "earth-search-sentinel-1"])
def test_the_shipped_sources_are_off_and_say_why(source: str) -> None:
    config, item = parsed("s3://b/x", source)
    assert not config.enabled
    assert "Planetary Computer" in config.disabled_reason or "planetary-computer" in config.disabled_reason
    assert (item.platform, item.orbit, item.tile) == ("S1A", "R149", "20231006T213812")
    assert [(asset.band, asset.calibration) for asset in item.assets] == [
        ("vv", "s3://b/x/calibration-iw-vv.xml"),
        ("vh", "s3://b/x/calibration-iw-vh.xml"),
    ]
    assert Asset("vv", "x").calibration is None
