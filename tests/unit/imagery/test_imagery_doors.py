"""The shipped sources, the gate, the signer: what may be opened and what may not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.imagery_servers import local_server
from support.imagery_world import source_config

from pipeline.config import SourceConfig, open_configuration
from pipeline.errors import HostileInputError, ReadError
from pipeline.imagery.hosts import Gate, gate_for, shorten
from pipeline.imagery.items import parse_item
from pipeline.imagery.signing import NoSigner, PlanetaryComputerSigner, open_signer
from pipeline.imagery.tokens import bearer

ROOT = Path(__file__).parents[3]
CATALOGUES = ("earth-search", "planetary-computer", "copernicus-data-space")


def shipped(name: str) -> SourceConfig:
    return open_configuration(ROOT / "config").source(name)


@pytest.mark.parametrize("name", CATALOGUES)
def test_shipped_catalogues_say_all_that_is_needed(name: str) -> None:
    config = shipped(name)
    assert config.url.startswith("https://")
    assert config.terms
    assert config.attribution
    assert config.enabled or config.disabled_reason
    assert not config.allow_loopback
    for collection in config.collections:
        assert collection.bands
        if collection.sensor == "sentinel-2":
            assert collection.mask is not None
            assert {"blue", "green", "red", "nir", "swir16"} <= set(collection.bands)
        for band in collection.bands.values():
            assert band.nodata is not None


def test_hosts_of_the_recorded_items_are_allowed() -> None:
    for path in (ROOT / "tests" / "data" / "stac").glob("*.json"):
        document = json.loads(path.read_text())
        if document.get("type") != "Feature":
            continue
        name = "planetary-computer" if "blob.core" in json.dumps(document["assets"]) else "earth-search"
        config = shipped(name)
        collection = next((c for c in config.collections if c.id == document.get("collection")), None)
        if collection is None:
            continue
        hosts = gate_for(config).hosts
        for asset in parse_item(document, config, collection).assets:
            assert urlsplit(asset.href).hostname in hosts


LANDSAT = {
    # Built to the published schema of landsat-c2-l2 (USGS extension 1.1); no recording of this catalogue was at hand.
    "type": "Feature",
    "id": "LC09_L2SP_114031_20231006_02_T1",
    "collection": "landsat-c2-l2",
    "geometry": {"type": "Polygon", "coordinates": [[[130, 41], [132, 41], [132, 43], [130, 43], [130, 41]]]},
    "properties": {
        "datetime": "2023-10-06T02:04:11.5Z",
        "platform": "landsat-9",
        "landsat:wrs_path": "114",
        "landsat:wrs_row": "031",
        "landsat:collection_number": "02",
        "proj:code": "EPSG:32652",
        "view:sun_elevation": 39.2,
        "eo:cloud_cover": 12.5,
    },
    "assets": {
        **{
            name: {
                "href": f"https://landsateuwest.blob.core.windows.net/landsat-c2/{name}.TIF",
                "raster:bands": [{"scale": 2.75e-05, "offset": -0.2, "nodata": 0, "spatial_resolution": 30}],
            }
            for name in ("blue", "green", "red", "nir08", "swir16", "swir22")
        },
        "qa_pixel": {"href": "https://landsateuwest.blob.core.windows.net/landsat-c2/qa.TIF"},
    },
}


def test_a_landsat_item_is_read_by_its_scale_and_offset() -> None:
    config = shipped("planetary-computer")
    collection = next(c for c in config.collections if c.id == "landsat-c2-l2")
    item = parse_item(LANDSAT, config, collection)
    assert item.problem == ""
    assert (item.platform, item.orbit, item.tile, item.crs) == ("L9", "P114", "031", "EPSG:32652")
    red, qa = item.asset("red"), item.asset("qa")
    assert red is not None
    assert qa is not None
    assert (red.scale, red.offset, red.nodata) == (2.75e-05, -0.2, 0.0)
    assert (qa.scale, qa.offset) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://data.example.org/a.tif", True),
        ("https://DATA.example.org./a.tif", True),
        ("https://x.tiles.example.org/a.tif", True),
        ("https://tiles.example.org/a.tif", False),
        ("https://data.example.org.evil.example/a.tif", False),
        ("https://evil.example/data.example.org", False),
        ("https://data.example.org@evil.example/", False),
        ("ftp://data.example.org/a.tif", False),
        ("javascript:alert(1)", False),
        ("https://data.example.org/a b", False),
        ("https://data.example.org:99999/", False),
        ("", False),
    ],
)
def test_only_allowed_hosts_pass(monkeypatch: pytest.MonkeyPatch, url: str, allowed: bool) -> None:
    monkeypatch.setattr("pipeline.imagery.hosts._resolve", lambda host, port: ())
    gate = Gate("s", ("data.example.org", "*.tiles.example.org"))
    if allowed:
        assert gate.check_url(url) == url
        return
    with pytest.raises(HostileInputError, match="source s: "):
        gate.check_url(url)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]"]  # noqa: E501, S104
)  # fmt: skip
def test_addresses_of_this_machine_do_not_pass_even_when_named(address: str) -> None:
    host = address.strip("[]")
    with pytest.raises(HostileInputError, match="this machine or its provider"):
        Gate("s", (host,)).check_url(f"http://{address}/")


def test_a_name_that_resolves_to_this_machine_does_not_pass() -> None:
    with pytest.raises(HostileInputError, match="this machine"):
        Gate("s", ("localhost",)).check_url("http://localhost/")
    assert Gate("s", ("localhost",), allow_loopback=True).check_url("http://localhost/")


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    text = shorten("https://user:word@host.example/a/b.tif?sig=SECRET#x\n")
    assert "SECRET" not in text
    assert "word" not in text
    assert "b.tif" in text
    assert len(shorten("https://x/" + "a" * 9999)) < 130


@pytest.fixture
def token_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Stand in for Planetary Computer's token service, as the package's own settings allow."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from planetary_computer import sas, settings
    issued: list[str] = []

    def answer(_: object) -> tuple[int, dict[str, str], bytes]:
        issued.append(f"st=x&se=y&sig=token{len(issued)}")
        expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        body = json.dumps({"msft:expiry": expiry, "token": issued[-1]}).encode()
        return 200, {"Content-Type": "application/json"}, body

    with local_server() as server:
        server.answers["/token/sentinel2l2a01/sentinel2-l2"] = answer
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{server.url}/token")
        settings.Settings.get.cache_clear()
        sas.TOKEN_CACHE.clear()
        yield issued
    settings.Settings.get.cache_clear()
    sas.TOKEN_CACHE.clear()


def test_planetary_computer_links_are_signed_at_the_read_and_anew_when_refused(token_service: list[str]) -> None:
    assert isinstance(open_signer(shipped("planetary-computer")), PlanetaryComputerSigner)
    assert isinstance(open_signer(shipped("earth-search")), NoSigner)
    href = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/52/T/FM/B04.tif"
    signer = PlanetaryComputerSigner()
    first, again, fresh = signer.sign(href), signer.sign(href), signer.sign(href, fresh=True)
    assert first == again
    assert parse_qs(urlsplit(first).query)["sig"] == ["token0"]
    assert parse_qs(urlsplit(fresh).query)["sig"] == ["token1"]
    assert len(token_service) == 2


def test_a_token_service_that_is_down_is_a_passing_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = PlanetaryComputerSigner()
    monkeypatch.setattr(
        "planetary_computer.sign_url", lambda _: (_ for _ in ()).throw(ValueError("no")), raising=True
    )
    with pytest.raises(ReadError, match="could not be signed") as caught:
        signer.sign("https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/x.tif")
    assert caught.value.transient


def test_a_token_goes_to_its_hosts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "A_TOKEN", "abc")
    config = source_config("stac-api", "https://a.example/", bearer_env="A_TOKEN", token_hosts=["d.example"])
    headers = bearer(config)
    assert headers("https://d.example/x") == {"Authorization": "Bearer abc"}
    assert headers("http://d.example/x") == {}
    assert headers("https://a.example/x") == {}
