"""Tiles without a server: zoom, dates of a WMTS, templates, capabilities that ask for too much."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, ReadError, SourceError
from pipeline.imagery import tiles_web, tiles_wmts
from pipeline.imagery.tiles import choose_zoom, open_tiles, zoom_sampling
from pipeline.imagery.tiles_wmts import Layer, read_layer, with_time

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
        monkeypatch.setattr(tiles_web, "_get", lambda address, limit: (status, kind, body))

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
    layer = Layer("t", "l", "G", True, (1.0,), ("2023-01-30/2023-03-30/P1M", "2020", "2023-02-10/2023-02-12/P1D",
                                               "nonsense", "2023-13-01"), "", ("0",), b"")  # fmt: skip
    found = layer.times(date(2020, 1, 1), date(2023, 2, 20), 100)
    assert found == [
        (date(2020, 1, 1), "2020", True),
        (date(2023, 1, 30), "2023-01-30", True),
        (date(2023, 2, 10), "2023-02-10", False),
        (date(2023, 2, 11), "2023-02-11", False),
        (date(2023, 2, 12), "2023-02-12", False),
    ]
    endless = Layer("t", "l", "G", True, (1.0,), ("0001-01-01/9998-12-31/P1D",), "", ("0",), b"")
    with pytest.raises(SourceError, match="more than 50 dates"):
        endless.times(date(2020, 1, 1), date(2023, 1, 1), 50)
    assert len(endless.times(date(2020, 1, 1), date(2020, 1, 5), 50)) == 5


def test_capabilities_are_read_and_given_on_with_the_time(answer: Answer) -> None:
    answer(200, "text/xml", CAPABILITIES.replace("HOST", "127.0.0.1").encode())
    layer = read_layer(config())
    assert layer.mercator
    assert layer.zoom_for(80000.0, 0.0) == 1
    assert layer.zoom_for(200000.0, 0.0) == 0
    text = with_time(layer, "2023-10-02").decode()
    assert "2023-10-02</Default>" in text.replace("ns0:", "")
    assert "other" not in text


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
    ],
)
def test_bad_capabilities_are_one_sentence(answer: Answer, status: int, kind: str, body: bytes, words: str) -> None:
    answer(status, kind, body)
    with pytest.raises(SourceError, match=words):
        read_layer(config())


def test_probe_refuses_redirects_and_pages(answer: Answer) -> None:
    answer(302, "", b"")
    with pytest.raises(HostileInputError, match="redirects"):
        tiles_web.probe_tile(config(), "http://127.0.0.1/1/2/3.png", "item")
    answer(200, "text/html", b"hello")
    with pytest.raises(ReadError, match="instead of an image"):
        tiles_web.probe_tile(config(), "http://127.0.0.1/1/2/3.png", "item")
    with pytest.raises(HostileInputError):
        tiles_web.probe_tile(config(), "http://169.254.169.254/latest/meta-data", "item")


@pytest.mark.parametrize("url", ["http://h/{z}/{x}.png", "http://h/{z}/{x}/{y}/{-y}", "http://h/{z}/{x}/{y}?{key}",
                                 "ftp://h/{z}/{x}/{y}", "/vsicurl/{z}/{x}/{y}"])  # fmt: skip
def test_templates_are_checked_when_opened(url: str) -> None:
    with pytest.raises(SourceError, match="url"):
        open_tiles(config(kind="xyz", url=url, layer=""), Path())


def test_a_source_of_tiles_needs_dates_and_a_sampling() -> None:
    assert tiles_wmts.PIXEL_M == 0.00028
    with pytest.raises(SourceError, match="layer"):
        open_tiles(config(layer=""), Path())
