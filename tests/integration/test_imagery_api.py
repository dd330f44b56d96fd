"""A STAC API by others and a server with byte ranges: from the search to the look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.imagery_servers import local_server, rustac_server
from support.imagery_world import (
    BANDS,
    SINCE,
    UNTIL,
    acquisition,
    collection_document,
    in_site,
    numbers,
    reflectance,
    small_site,
    source_config,
    write_item,
)

from pipeline.config import QualitySettings
from pipeline.errors import SourceError
from pipeline.imagery.archive import Archive
from pipeline.imagery.quality import look_at
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.imagery.stac import StacSource, open_stac

SITE = small_site()
WEST_HALF, EAST_HALF = (slice(0, 80), slice(0, 70)), (slice(0, 80), slice(60, 120))


def test_a_pass_in_two_tiles_comes_from_api_and_ranges_to_one_look(tmp_path: Path) -> None:
    bands, classes = reflectance(1)
    dn = numbers(bands, 1000)
    with local_server(tmp_path) as files:
        items = [
            write_item(tmp_path, dn, classes, acquisition(), base_url=files.url, part=WEST_HALF),
            write_item(
                tmp_path,
                dn,
                classes,
                acquisition(item_id="S2A_52TFN_20231006_0_L2A"),
                base_url=files.url,
                part=EAST_HALF,
                old_projection_key=True,
            ),
            write_item(tmp_path, dn, classes, acquisition(day=5), base_url=files.url),
        ]
        (tmp_path / "collection.json").write_text(json.dumps(collection_document()))
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        with rustac_server(tmp_path / "collection.json", tmp_path / "items.json") as url:
            source = open_source(source_config("stac-api", url, page_limit=1), base=tmp_path)
            found = source.search(SITE, SINCE, UNTIL)
            scenes, ledger = scenes_from_items(found, ["made"])
            assert [scene.scene_id for scene in scenes] == ["S2A_20231006_R103", "S2A_20231011_R103"]
            assert [len(scene.items) for scene in scenes] == [2, 1]
            assert not ledger.of("failed")
            files.requests.clear()
            chip = source.read(SITE, scenes[0])
            read = [path for path, _ in files.requests]
    assert all(path.endswith(".tif") for path in read), "no sidecar is probed for"
    assert len(read) <= 2 * 6 * 3, "a few requests an asset"
    truth = np.stack([in_site(dn[name]) for name in BANDS[:4]])
    assert np.array_equal(chip.values[:4], truth), "10 m bands are the file's own numbers, over the seam too"
    assert chip.valid.all()
    archived = Archive(tmp_path / "archive").put(chip)
    look = look_at(archived, SITE, QualitySettings())
    assert look.clear_fraction == 1.0
    assert look.flags == ()
    expected = in_site(bands["red"])
    assert np.abs(look.band("red") - expected).max() < 1e-4
    swir = np.abs(look.band("swir16") - in_site(bands["swir16"]))
    assert np.median(swir) < 0.01, "20 m bands lie where they belong"


def test_a_catalogue_that_dies_between_pages_gives_no_half_list_and_the_next_one_serves(tmp_path: Path) -> None:
    bands, classes = reflectance(2)
    with local_server(tmp_path) as files, local_server() as dying:
        items = [
            write_item(tmp_path, numbers(bands, 1000), classes, acquisition(day=day), base_url=files.url)
            for day in (0, 5, 10)
        ]
        (tmp_path / "collection.json").write_text(json.dumps(collection_document()))
        (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        page = {
            "type": "FeatureCollection",
            "features": items[:1],
            "links": [{"rel": "next", "href": f"{dying.url}/search?page=2", "type": "application/geo+json"}],
        }
        serve_api(dying, page)
        seen: list[str] = []

        def second_page_fails(request: object) -> tuple[int, dict[str, str], bytes]:
            path = request.path  # type: ignore[attr-defined]
            seen.append(path)
            if "page=2" in path:
                return 200, {"Content-Type": "application/json", "Content-Length": "5000"}, b'{"type": "Feat'
            return 200, {"Content-Type": "application/json"}, json.dumps(page).encode()

        dying.answers["/search"] = second_page_fails
        first = replace(open_stac(source_config("stac-api", dying.url, name="first")), attempts=2, wait_s=0.01)
        with pytest.raises(SourceError, match="source first"):
            first.search(SITE, SINCE, UNTIL)
        assert sum("page=2" in path for path in seen) == 2, "the search is begun anew"
        with rustac_server(tmp_path / "collection.json", tmp_path / "items.json") as url:
            second = open_source(source_config("stac-api", url, name="second"), base=tmp_path)
            scenes, _ = scenes_from_items(second.search(SITE, SINCE, UNTIL), ["first", "second"])
            assert [scene.scene_id[4:12] for scene in scenes] == ["20231006", "20231011", "20231016"]
            assert {scene.source for scene in scenes} == {"second"}


def test_a_page_with_too_many_items_is_refused(tmp_path: Path) -> None:
    with local_server() as server:
        items = [{"type": "Feature", "id": f"i{n}", "collection": "sentinel-2-l2a"} for n in range(1000)]
        serve_api(server, {"type": "FeatureCollection", "features": items, "links": []})
        source = quick(source_config("stac-api", server.url, max_items=100))
        with pytest.raises(SourceError, match="more than 100 items"):
            source.search(SITE, SINCE, UNTIL)


def test_pages_that_repeat_without_end_are_broken_off(tmp_path: Path) -> None:
    with local_server() as server:
        page = {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "id": "same", "collection": "sentinel-2-l2a"}],
            "links": [{"rel": "next", "href": f"{server.url}/search?again", "type": "application/json"}],
        }
        serve_api(server, page)
        with pytest.raises(SourceError, match="repeats earlier pages"):
            quick(source_config("stac-api", server.url)).search(SITE, SINCE, UNTIL)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "/etc/passwd", "http://other.example/search"],
)
def test_a_next_page_or_search_link_elsewhere_is_not_followed(tmp_path: Path, target: str) -> None:
    with local_server() as server:
        serve_api(server, {"type": "FeatureCollection", "features": [], "links": []}, search=target)
        with pytest.raises(SourceError) as caught:
            quick(source_config("stac-api", server.url)).search(SITE, SINCE, UNTIL)
        assert "\n" not in str(caught.value)
        assert "root:" not in str(caught.value)


def test_a_search_redirected_to_a_metadata_address_is_not_followed() -> None:
    with local_server() as server:
        serve_api(server, {})
        server.answers["/search"] = lambda _: (302, {"Location": "http://169.254.169.254/secret"}, b"")
        with pytest.raises(SourceError, match=r"169\.254\.169\.254"):
            quick(source_config("stac-api", server.url)).search(SITE, SINCE, UNTIL)


def test_a_web_page_instead_of_an_api_is_said() -> None:
    with local_server() as server:
        server.answers["/"] = lambda _: (200, {"Content-Type": "text/html"}, b"<html>sign in</html>")
        with pytest.raises(SourceError, match=r"source made.*STAC API"):
            quick(source_config("stac-api", server.url)).search(SITE, SINCE, UNTIL)


def test_a_page_that_unpacks_without_end_is_broken_off() -> None:
    import gzip

    bomb = gzip.compress(b" " * (80 * 2**20), compresslevel=9)
    with local_server() as server:
        serve_api(server, {})
        server.answers["/search"] = lambda _: (
            200,
            {"Content-Encoding": "gzip", "Content-Type": "application/json"},
            bomb,
        )
        with pytest.raises(SourceError, match="larger than 64 MB"):
            quick(source_config("stac-api", server.url)).search(SITE, SINCE, UNTIL)


def quick(config: object) -> StacSource:
    return replace(open_stac(config), attempts=2, wait_s=0.01)  # type: ignore[arg-type]


def serve_api(server: object, page: dict[str, object], search: str = "") -> None:
    url = server.url  # type: ignore[attr-defined]
    root = {
        "type": "Catalog",
        "id": "api",
        "stac_version": "1.0.0",
        "description": "api",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
        "links": [
            {"rel": "self", "href": f"{url}/", "type": "application/json"},
            {"rel": "root", "href": f"{url}/", "type": "application/json"},
            {"rel": "search", "href": search or f"{url}/search", "type": "application/geo+json", "method": "GET"},
        ],
    }
    kind = {"Content-Type": "application/json"}
    answers = server.answers  # type: ignore[attr-defined]
    answers["/"] = lambda _: (200, kind, json.dumps(root).encode())
    answers["/search"] = lambda _: (200, kind, json.dumps(page).encode())
