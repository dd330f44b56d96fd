"""Tiles without a server: zoom, dates of a WMTS, templates, capabilities that ask for too much."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import LineString, box
from support.imagery_servers import LocalServer

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, ReadError, SourceError
from pipeline.imagery import tiles_web, tiles_wmts
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.tiles import choose_zoom, open_tiles, zoom_sampling
from pipeline.imagery.tiles_wmts import Layer, read_layer
from pipeline.model import Site, Track

EARLY, LATE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
Answer = Callable[[int, str, bytes], None]
CAPABILITIES = """<?xml version="1.0"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink"><Contents>
<Layer><ows:Identifier>other</ows:Identifier></Layer>
<Layer><ows:Identifier>daily</ows:Identifier><Dimension><ows:Identifier>Time</ows:Identifier>
<Default>2024-02-01</Default><Value>2023-10-01/2023-10-03/P1D</Value><Value>2024-02-01</Value></Dimension>
<TileMatrixSetLink><TileMatrixSet>G</TileMatrixSet></TileMatrixSetLink>
<ResourceURL format="image/png" resourceType="tile" template="http://HOST/{Time}/{TileMatrix}/{TileRow}.png"/></Layer>
<TileMatrixSet><ows:Identifier>G</ows:Identifier><ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>
<TileMatrix><ows:Identifier>0</ows:Identifier><ScaleDenominator>559082264</ScaleDenominator></TileMatrix>
<TileMatrix><ows:Identifier>1</ows:Identifier><ScaleDenominator>279541132</ScaleDenominator></TileMatrix>
</TileMatrixSet></Contents></Capabilities>"""


def config(**extra: object) -> SourceConfig:
    given = {"url": "http://127.0.0.1/caps.xml", "layer": "daily", "allow_loopback": True, "gsd_m": 10.0, **extra}
    return SourceConfig(name="t", title="T", kind=given.pop("kind", "wmts"), **given)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch):
    def give(status: int, kind: str, body: bytes) -> None:
        answered = status, {"content-type": kind}, body
        monkeypatch.setattr(tiles_web, "_get", lambda client, address, limit: answered)

    return give


def test_zoom_follows_the_sampling_at_the_latitude() -> None:
    # Published: 156543.03 m at zoom 0 on the equator; at 60 degrees half of it.
    assert zoom_sampling(0, 0.0) == pytest.approx(156543.03, abs=0.01)
    assert zoom_sampling(17, 60.0) == pytest.approx(0.597, abs=0.001)
    assert choose_zoom(0.5, 42.42) == 18
    assert choose_zoom(0.5, 65.0) == 17
    assert choose_zoom(0.61, 60.0) == 17
    assert choose_zoom(10.0, 42.42) == 14


def test_times_of_a_layer() -> None:
    layer = Layer("t", "l", "G", (1.0,), ("2023-01-30/2023-03-30/P1M", "2020", "2023-02-10/2023-02-12/P1D",
                                               "nonsense", "2023-13-01"), "", ("0",), "default")  # fmt: skip
    found = layer.times(date(2020, 1, 1), date(2023, 2, 20), 100)
    assert found == [
        (date(2020, 1, 1), "2020", True),
        (date(2023, 1, 30), "2023-01-30", True),
        (date(2023, 2, 10), "2023-02-10", False),
        (date(2023, 2, 11), "2023-02-11", False),
        (date(2023, 2, 12), "2023-02-12", False),
    ]
    endless = Layer("t", "l", "G", (1.0,), ("0001-01-01/9998-12-31/P1D",), "", ("0",), "default")
    with pytest.raises(SourceError, match="more than 50 dates"):
        endless.times(date(2020, 1, 1), date(2023, 1, 1), 50)
    assert len(endless.times(date(2020, 1, 1), date(2020, 1, 5), 50)) == 5


def test_capabilities_give_zooms_and_addresses(answer: Answer) -> None:
    answer(200, "text/xml", CAPABILITIES.replace("HOST", "127.0.0.1").encode())
    layer = read_layer(config())
    assert layer.zoom_for(80000.0, 0.0) == 1
    assert layer.zoom_for(200000.0, 0.0) == 0
    assert [layer.web_zoom(level) for level in (0, 1)] == [0, 1]
    assert layer.tile_address(1, 0, 1, "2023-10-02") == "http://127.0.0.1/2023-10-02/1/1.png"


def test_a_service_without_rest_is_asked_by_keys_and_values(answer: Answer) -> None:
    where = (
        '<ows:OperationsMetadata><ows:Operation name="GetTile"><ows:DCP><ows:HTTP>'
        '<ows:Get xlink:href="http://127.0.0.1/service?key=1"/></ows:HTTP></ows:DCP></ows:Operation>'
        "</ows:OperationsMetadata><Contents>"
    )
    body = re.sub(r"<ResourceURL[^>]*/>", "", CAPABILITIES).replace("<Contents>", where)
    answer(200, "text/xml", body.encode())
    address = read_layer(config()).tile_address(1, 0, 1, "2023-10-02")
    assert address.startswith("http://127.0.0.1/service?key=1&SERVICE=WMTS&REQUEST=GetTile&")
    assert {"LAYER=daily", "TILEMATRIXSET=G", "TILEMATRIX=1", "TILEROW=1", "TILECOL=0", "TIME=2023-10-02"} <= set(
        address.partition("?")[2].split("&")
    )


@pytest.mark.parametrize(
    ("status", "kind", "body", "words"),
    [
        (200, "text/html", b"<html>sign in</html>", "not XML"),
        (503, "text/xml", b"", "answers 503"),
        (200, "text/xml", b"<a>", "not well-formed"),
        (200, "text/xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type"),
        (200, "text/xml", CAPABILITIES.replace("HOST", "tiles.example.org").encode(), "tiles.example.org"),
        (200, "text/xml", CAPABILITIES.replace("HOST", "169.254.169.254").encode(), "169.254.169.254"),
        (200, "text/xml", CAPABILITIES.replace("http://HOST", "file:///etc").encode(), "not an http"),
        (200, "text/xml", CAPABILITIES.replace("EPSG::3857", "EPSG::2056").encode(), "not offered in the grid"),
        (200, "text/xml", CAPABILITIES.replace("559082264", "500000000").encode(), "not offered in the grid"),
        (200, "text/xml", CAPABILITIES.replace("559082264", "-1").encode(), "not offered in the grid"),
    ],
)
def test_bad_capabilities_are_one_sentence(answer: Answer, status: int, kind: str, body: bytes, words: str) -> None:
    answer(status, kind, body)
    with pytest.raises(SourceError, match=words):
        read_layer(config())


def tile_server(answers: dict[str, tuple[int, dict[str, str], bytes]]):
    server = LocalServer()
    for path, found in answers.items():
        server.answers[path] = lambda _, found=found: found
    return server


PNG = b"\x89PNG\r\n\x1a\n..."


@pytest.mark.parametrize(
    ("found", "error", "words"),
    [
        (
            (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
            HostileInputError,
            r"169\.254\.169\.254",
        ),
        ((302, {"Location": "http://other.example/1.png"}, b""), HostileInputError, r"host 'other\.example'"),
        ((302, {"Location": "file:///etc/passwd"}, b""), HostileInputError, "not an http"),
        ((302, {"Location": "/1.png"}, b""), HostileInputError, "redirects more than"),
        ((200, {"Content-Type": "text/html"}, b"<html>sign in</html>"), ReadError, "instead of a PNG"),
        ((200, {"Content-Type": "image/png"}, b"<VRTDataset rasterXSize='1'/>"), ReadError, "instead of a PNG"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(PNG + b"0" * 10**7)), ReadError, "does not answer"),
        ((403, {}, b""), ReadError, "answers 403"),
        ((503, {}, b""), ReadError, "answers 503"),
    ],
)
@pytest.mark.parametrize("number", ["0", "1"])
def test_any_tile_that_is_none_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, number: str, found: tuple[int, dict[str, str], bytes], error: type, words: str
) -> None:
    monkeypatch.setattr(tiles_web, "WAIT_S", 0.0)
    good = (200, {"Content-Type": "image/png"}, PNG)
    server = tile_server({"/0.png": good, "/1.png": good, f"/{number}.png": found})
    if found[1].get("Location") == "/1.png":
        server.answers["/1.png"] = lambda _: found
    try:
        with pytest.raises(error, match=words) as caught:
            tiles_web.fetch_tiles(config(), {(x, 0): f"{server.url}/{x}.png" for x in range(2)}, "item")
    finally:
        server.close()
    assert "\n" not in str(caught.value)


def test_tiles_are_fetched_redirected_within_their_host_and_left_out_where_there_are_none() -> None:
    good, moved, none = (200, {}, PNG), (302, {"Location": "/0.png"}, b""), (404, {}, b"")
    server = tile_server({"/0.png": good, "/1.png": moved, "/2.png": none})
    try:
        found = tiles_web.fetch_tiles(config(), {(x, 0): f"{server.url}/{x}.png" for x in range(3)}, "item")
    finally:
        server.close()
    assert found == {(0, 0): PNG, (1, 0): PNG}


def test_addresses_of_tiles_are_checked_and_counted() -> None:
    with pytest.raises(HostileInputError):
        tiles_web.fetch_tiles(config(), {(0, 0): "http://169.254.169.254/latest/meta-data"}, "item")
    with pytest.raises(ReadError, match="lower the zoom"):
        tiles_web.fetch_tiles(config(), {(x, 0): "http://127.0.0.1/" for x in range(6000)}, "item")


@pytest.mark.parametrize("url", ["http://h/{z}/{x}.png", "http://h/{z}/{x}/{y}/{-y}", "http://h/{z}/{x}/{y}?{key}",
                                 "ftp://h/{z}/{x}/{y}", "/vsicurl/{z}/{x}/{y}"])  # fmt: skip
def test_templates_are_checked_when_opened(url: str) -> None:
    with pytest.raises(SourceError, match="url"):
        open_tiles(config(kind="xyz", url=url, layer=""), Path())


def test_a_source_of_tiles_needs_dates_and_a_sampling() -> None:
    assert tiles_wmts.PIXEL_M == 0.00028
    with pytest.raises(SourceError, match="layer"):
        open_tiles(config(layer=""), Path())


def picture(side: int, kind: str, cut: int | None = None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(1, 255, (side, side, 3)).astype(np.uint8)).save(out, kind)
    return out.getvalue()[:cut]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (picture(256, "PNG", 4000), "is cut off or damaged"),
        (picture(256, "PNG", 60), "is cut off or damaged"),
        (picture(256, "JPEG", 20000), "is cut off or damaged"),
        (picture(256, "WEBP", 20000), "is cut off or damaged"),
        (picture(512, "PNG"), "has 512 x 512 pixels"),
        (picture(1, "JPEG"), "has 1 x 1 pixels"),
    ],
    ids=["PNG", "PNG's head", "JPEG", "WebP", "double", "single"],
)
def test_a_tile_that_cannot_be_unpacked_is_an_error_and_never_a_hole(body: bytes, words: str) -> None:
    area = box(632000.0, 4697900.0, 632100.0, 4698000.0)
    line = LineString([(632010.0, 4697950.0), (632090.0, 4697950.0)])
    site = Site("yard", "Yard", "EPSG:32652", area, (Track("t1", "1", line, "yard"),))
    server = LocalServer()
    server._answer = lambda request: (200, {"Content-Type": "image/png"}, body)  # type: ignore[method-assign]
    try:
        given = {"kind": "xyz", "url": server.url + "/{z}/{x}/{y}.png", "layer": "", "dates": [date(2024, 1, 1)]}
        source = open_tiles(config(**given), Path())
        (scene,), _ = scenes_from_items(source.search(site, EARLY, LATE), ["t"])
        with pytest.raises(ReadError, match=rf"t_20240101: tile \d+/\d+/\d+ {words}") as caught:
            source.read(site, scene)
    finally:
        server.close()
    assert "\n" not in str(caught.value)
