"""Links that run out, and files that are not what they say: each read ends right or in one clear sentence."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.imagery_servers import Answer, LocalServer, local_server, nginx_server, ranged, secure_link
from support.imagery_world import (
    BANDS,
    SINCE,
    UNTIL,
    acquisition,
    in_site,
    numbers,
    reflectance,
    small_site,
    source_config,
    write_item,
)

from pipeline.errors import HostileInputError, ReadError
from pipeline.imagery.items import parse_item
from pipeline.imagery.remote import Web
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.signing import NoSigner
from pipeline.imagery.stac import StacSource, open_stac
from pipeline.model import Scene

SITE = small_site()


class CountingSigner(NoSigner):
    """Signs links of the nginx server; the first signature has run out before it is used."""

    def __init__(self, root: str) -> None:
        self.root, self.fresh = root, 0

    def sign(self, href: str, *, fresh: bool = False) -> str:
        self.fresh += fresh
        expires = int(time.time()) + 60 if fresh else int(time.time()) - 60
        return f"{href}?{secure_link(href.removeprefix(self.root), expires)}"


def test_links_that_ran_out_between_search_and_read_are_signed_again_and_read_once(tmp_path: Path) -> None:
    bands, classes = reflectance(3)
    with nginx_server(tmp_path / "files", tmp_path / "nginx") as url:
        item = write_item(tmp_path / "files", numbers(bands, 1000), classes, acquisition(), base_url=f"{url}/signed")
        config = source_config("stac-api", url)
        source = open_stac(config, signer=CountingSigner(url))
        scene = scene_of(item, source)
        chip = source.read(SITE, scene)
        log = (tmp_path / "nginx" / "access.log").read_text().splitlines()
    assert np.array_equal(chip.values[0], in_site(numbers(bands, 1000)["blue"]))
    refused = [line for line in log if '" 403 ' in line]
    served = [line for line in log if '" 206 ' in line]
    assert len(refused) == len(served) == len(BANDS) + 1, "each asset: one refusal, one read"


def test_links_that_cannot_be_signed_say_so(tmp_path: Path) -> None:
    bands, classes = reflectance(3)
    with nginx_server(tmp_path / "files", tmp_path / "nginx") as url:
        item = write_item(tmp_path / "files", numbers(bands, 0), classes, acquisition(), base_url=f"{url}/signed")
        source = open_stac(source_config("stac-api", url))
        with pytest.raises(ReadError, match=r"S2A_20231006_R103: item S2A_52TFM\S+, asset \w+: .* answers 403"):
            source.read(SITE, scene_of(item, source))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[LocalServer, StacSource, Scene]]:
    bands, classes = reflectance(4)
    with local_server(tmp_path) as files:
        item = write_item(tmp_path, numbers(bands, 1000), classes, acquisition(), base_url=files.url)
        source = open_stac(source_config("stac-api", files.url))
        source = replace(source, web=Web(source.web.gate, source.web.signer, attempts=2, wait_s=0.01, timeout_s=5.0))
        yield files, source, scene_of(item, source)


BLUE = "/items/S2A_52TFM_20231006_0_L2A/blue.tif"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>sign in</html>"), "is a web page"),
        ((200, {"Content-Type": "image/tiff"}, b"<!DOCTYPE html><p>sign in"), "is a web page"),
        ((200, {"Content-Type": "image/tiff"}, gzip.compress(b"0" * 10_000_000)), "is a gzip file"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b"0" * 10_000_000)), "sent compressed"),
        ((200, {"Content-Type": "image/tiff"}, b""), "is empty"),
        ((200, {"Content-Type": "image/tiff"}, b"II*\x00" + b"\xff" * 400), "not a readable image"),
        ((200, {}, b'<VRTDataset rasterXSize="1"><SourceFilename>/etc/passwd'), "none of GeoTIFF"),
        ((503, {}, b""), "answers 503"),
        ((404, {}, b""), "answers 404"),
        ((302, {"Location": "http://169.254.169.254/latest"}, b""), "169.254.169.254"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "not an http or https address"),
        ((302, {"Location": "http://other.example/x.tif"}, b""), "host 'other.example'"),
        ((302, {"Location": BLUE}, b""), "redirects more than"),
    ],
)
def test_a_file_that_is_none_ends_in_one_sentence(
    world: tuple[LocalServer, StacSource, Scene], answer: Answer, said: str
) -> None:
    files, source, scene = world
    files.answers[BLUE] = lambda _: answer
    with pytest.raises(ReadError) as caught:
        source.read(SITE, scene)
    text = str(caught.value)
    assert said in text
    assert text.startswith("S2A_20231006_R103: item S2A_52TFM_20231006_0_L2A, asset blue: ")
    assert "\n" not in text
    assert caught.value.transient == (answer[0] == 503)
    assert isinstance(caught.value, HostileInputError) == (answer[0] == 302)


def test_a_redirect_to_another_server_of_this_machine_is_not_followed(
    tmp_path: Path, world: tuple[LocalServer, StacSource, Scene]
) -> None:
    files, source, scene = world
    closed = replace(source.web.gate, allow_loopback=False, hosts=("127.0.0.1",))
    with local_server() as victim:
        files.answers[BLUE] = lambda _: (302, {"Location": f"{victim.url}/secret"}, b"")
        with pytest.raises(HostileInputError, match=r"127\.0\.0\.1"):
            replace(source, web=replace(source.web, gate=closed)).read(SITE, scene)
        assert victim.requests == []


def test_a_file_cut_off_in_its_middle_is_an_error_and_never_a_zero(
    tmp_path: Path, world: tuple[LocalServer, StacSource, Scene]
) -> None:
    files, source, scene = world
    data = (tmp_path / BLUE.lstrip("/")).read_bytes()
    files.answers[BLUE] = lambda request: ranged(data[: len(data) // 2], request.headers.get("Range", ""))
    with pytest.raises(ReadError, match="cut off or damaged"):
        source.read(SITE, scene)


def test_a_png_cut_off_in_its_middle_is_an_error_and_never_filled(
    tmp_path: Path, world: tuple[LocalServer, StacSource, Scene]
) -> None:
    files, source, scene = world
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(1, 255, (600, 600)).astype(np.uint8)).save(out, "PNG")
    data = out.getvalue()[: len(out.getvalue()) * 2 // 3]
    files.answers[BLUE] = lambda request: ranged(data, request.headers.get("Range", ""))
    with pytest.raises(ReadError, match=r"asset blue: .* is cut off"):
        source.read(SITE, scene)


def test_a_connection_that_breaks_once_is_tried_again(
    tmp_path: Path, world: tuple[LocalServer, StacSource, Scene]
) -> None:
    files, source, scene = world
    data = (tmp_path / BLUE.lstrip("/")).read_bytes()
    tries: list[int] = []

    def broken_once(request: object) -> Answer:
        status, headers, body = ranged(data, request.headers.get("Range", ""))  # type: ignore[attr-defined]
        tries.append(1)
        if len(tries) == 1:
            return status, {**headers, "Content-Length": str(len(body))}, body[: len(body) // 3]
        return status, headers, body

    files.answers[BLUE] = broken_once
    chip = source.read(SITE, scene)
    assert np.array_equal(chip.values[0], in_site(numbers(reflectance(4)[0], 1000)["blue"]))
    assert len(tries) == 2


def test_a_range_answered_by_fewer_bytes_than_it_names_is_not_taken(
    tmp_path: Path, world: tuple[LocalServer, StacSource, Scene]
) -> None:
    files, source, scene = world
    data = (tmp_path / BLUE.lstrip("/")).read_bytes()

    def short(request: object) -> Answer:
        status, headers, body = ranged(data, request.headers.get("Range", ""))  # type: ignore[attr-defined]
        return status, headers, body[:-100]  # its Content-Length agrees with what is sent

    files.answers[BLUE] = short
    with pytest.raises(ReadError, match=r"breaks off after \d+ of \d+ bytes") as caught:
        source.read(SITE, scene)
    assert caught.value.transient


def test_a_file_that_makes_its_reader_ask_for_too_much_is_refused(
    world: tuple[LocalServer, StacSource, Scene],
) -> None:
    files, source, _ = world
    first = {"Content-Range": f"bytes 0-65535/{10**12}"}
    files.answers["/huge.tif"] = lambda _: (206, first, b"II*\x00" + bytes(65532))
    with source.web.client() as client, source.web.open(f"{files.url}/huge.tif", client) as remote:
        assert remote.read(10**10) == b""
        assert "no window needs" in str(remote.error)
    assert len(files.requests) == 1


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "/vsicurl/http://127.0.0.1/x.tif",
        "ftp://127.0.0.1/x.tif",
        "http://user:word@127.0.0.1/x.tif",
        "http://127.0.0.1.example.org/x.tif",
        "http://[::1]/x.tif",
        "http://2130706433/x.tif",
        "http://127.0.0.1\\@evil.example/x.tif",
        "gopher://127.0.0.1/",
    ],
)
def test_an_href_of_another_kind_or_host_is_not_read(world: tuple[LocalServer, StacSource, Scene], href: str) -> None:
    files, source, scene = world
    item = scene.items[0]
    assets = tuple(replace(asset, href=href) for asset in item.assets)
    with pytest.raises(HostileInputError) as caught:
        source.read(SITE, replace(scene, items=(replace(item, assets=assets),)))
    assert "\n" not in str(caught.value)
    assert "word" not in str(caught.value)
    assert files.requests == []


def test_an_address_in_s3_without_keys_says_what_to_do(world: tuple[LocalServer, StacSource, Scene]) -> None:
    files, source, scene = world
    item = scene.items[0]
    assets = tuple(replace(asset, href="s3://sentinel-s1-l1c/GRD/iw-vv.tiff") for asset in item.assets)
    with pytest.raises(ReadError, match="lies in S3, which is read with keys only; set 'signing' to s3") as caught:
        source.read(SITE, replace(scene, items=(replace(item, assets=assets),)))
    assert "\n" not in str(caught.value)
    assert files.requests == []


def scene_of(item: dict[str, object], source: StacSource) -> Scene:
    parsed = parse_item(item, source.config, source.config.collections[0])
    assert SINCE <= parsed.observed_at <= UNTIL
    scenes, _ = scenes_from_items([parsed], ["made"])
    return scenes[0]
