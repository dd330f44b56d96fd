"""Documents that were made to do harm, through a whole round: each is named in one sentence and does none."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.imagery_servers import local_server
from support.imagery_world import acquisition, numbers, small_site, source_config, write_item
from support.sources_world import DAYS, SCENES, stac_source, truth, write_sources_config
from tenacity import wait_none

from pipeline.errors import SourceError
from pipeline.imagery.source import open_source
from pipeline.model import Outcome
from pipeline.round.run import run_round
from pipeline.round.workspace import Workspace

SINCE, UNTIL = acquisition().observed_at.replace(day=1), acquisition(day=40).observed_at
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between attempts."""
    for module in ("stac", "remote"):
        monkeypatch.setattr(f"pipeline.imagery.{module}.wait_exponential", lambda **_: wait_none())
        monkeypatch.setattr(f"pipeline.imagery.{module}.wait_random", lambda *_: wait_none())


def api(url: str, page: dict[str, Any]) -> dict[str, Any]:
    kind = {"Content-Type": "application/json"}
    root = {
        "type": "Catalog",
        "id": "api",
        "stac_version": "1.0.0",
        "description": "api",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
        "links": [
            {"rel": "self", "href": f"{url}/"},
            {"rel": "root", "href": f"{url}/"},
            {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "GET"},
        ],
    }
    return {
        "/": lambda _: (200, kind, json.dumps(root).encode()),
        "/search": lambda _: (200, kind, json.dumps(page).encode()),
    }


def on_day(item: dict[str, Any], day: int, **changes: Any) -> dict[str, Any]:
    """Return a copy of an item as a pass of another day, changed."""
    made = copy.deepcopy(item)
    made["id"] = f"S2A_52TFM_{acquisition(day=day).observed_at:%Y%m%d}_0_L2A"
    made["properties"]["datetime"] = f"{acquisition(day=day).observed_at:%Y-%m-%dT%H:%M:%SZ}"
    for key, value in changes.items():
        if key == "href":
            made["assets"]["blue"]["href"] = value
        else:
            made[key] = value
    return made


def test_a_round_over_hostile_items_takes_the_good_ones_and_names_the_rest(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "blue.tif").write_bytes(b"II*\x00 not yours")
    with local_server(tmp_path / "files") as server, local_server(tmp_path / "secret") as victim:
        good = []
        for day in DAYS[:2]:
            bands, classes = truth(day)
            good.append(
                write_item(
                    tmp_path / "files", numbers(bands, 1000), classes, acquisition(day=day), base_url=server.url
                )
            )
        bow = [[130.5, 42.3], [131.5, 43.3], [131.5, 42.3], [130.5, 43.3], [130.5, 42.3]]
        dateline = [[179.0, 51.0], [-179.0, 51.0], [-179.0, 52.0], [179.0, 52.0], [179.0, 51.0]]
        # By the day of October 2023 on which each says to have been taken.
        hostile = {
            7: on_day(good[0], 1, href="http://169.254.169.254/latest/meta-data/blue.tif"),
            8: on_day(good[0], 2, href="file:///etc/passwd"),
            9: on_day(good[0], 3, href=f"{victim.url.replace('127.0.0.1', 'localhost')}/blue.tif"),
            10: on_day(good[0], 4, href=f"{server.url}/hop"),
            12: on_day(good[0], 6, href="s3://bucket/blue.tif"),
            13: on_day(good[0], 7, href=f"{server.url}/page"),
        }
        unusable = [
            on_day(good[0], 8, id="../../../escape"),
            on_day(good[0], 9, geometry={"type": "Polygon", "coordinates": []}),
            on_day(good[0], 11, properties={}),
        ]
        elsewhere = on_day(good[0], 12, geometry={"type": "Polygon", "coordinates": [dateline]})
        crossing = on_day(good[0], 13, geometry={"type": "Polygon", "coordinates": [bow]})
        features = [*good, *hostile.values(), *unusable, elsewhere, crossing]
        server.answers |= api(server.url, {"type": "FeatureCollection", "features": features, "links": []})
        server.answers["/hop"] = lambda _: (302, {"Location": "http://localhost:9/x"}, b"")
        server.answers["/page"] = lambda _: (200, {"Content-Type": "text/html"}, b"<html>sign in</html>")
        source = stac_source(server.url, allowed_hosts=[])
        config = write_sources_config(tmp_path / "config", {"hostile": source})
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        home = tmp_path / "home"
        with Workspace.open(config, home) as ws:
            result = run_round(ws, "small", today=UNTIL, since=SINCE, until=UNTIL)
            rows = {row.scene_id: row for row in ws.store.observations("small")}
        assert victim.requests == [], "nothing is fetched that should not be"
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(home) for path in written), "nothing is written outside home"
    assert result.exit_code == 3
    failed = {row.observed_at.day: row for row in rows.values() if row.outcome is Outcome.FAILED}
    assert set(failed) == set(hostile)
    for row in failed.values():
        assert "asset blue" in row.detail
        assert "\n" not in row.detail
        assert "root:" not in row.detail
    assert "169.254.169.254" in failed[7].detail
    assert "is a local file; nothing was read" in failed[8].detail
    assert "is a web page" in failed[13].detail
    # The two good ones, and the self-crossing footprint that is mended and lies over the site.
    others = {row.scene_id for row in rows.values() if row.outcome is not Outcome.FAILED}
    assert others == {*SCENES[:2], f"S2A_{acquisition(day=13).observed_at:%Y%m%d}_R103"}
    listed = [entry for entry in result.ledger.of("failed") if entry.step == "discover"]
    assert len(listed) == len(unusable)
    assert all("\n" not in entry.detail and len(entry.detail) < 400 for entry in listed)


MILLION = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support.imagery_world import SINCE, UNTIL, small_site, source_config
from pipeline.errors import SourceError
from pipeline.imagery.source import open_source
try:
    open_source(source_config("stac-api", {url!r}), base=Path()).search(small_site(), SINCE, UNTIL)
except SourceError as error:
    # VmHWM is this program's own peak: ru_maxrss may be handed on by the parent.
    peak = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(json.dumps({{"said": str(error), "peak_mb": int(peak[0].split()[1]) // 1024}}))
"""


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (b'{"type":"Feature","id":"i","collection":"sentinel-2-l2a"}', "more than 20000 items"),
        (
            b'{"type":"Feature","id":"i","collection":"sentinel-2-l2a","note":"' + b"x" * 40 + b'"}',
            "larger than 64 MB",
        ),
    ],
)
def test_a_million_items_in_a_page_are_refused_within_bounds(tmp_path: Path, feature: bytes, words: str) -> None:
    with local_server() as server:
        body = b'{"type":"FeatureCollection","links":[],"features":[' + b",".join([feature] * 10**6) + b"]}"
        server.answers |= api(server.url, {})
        server.answers["/search"] = lambda _: (200, {"Content-Type": "application/json"}, body)
        code = MILLION.format(tests=str(ROOT / "tests"), url=server.url)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert words in told["said"]
    assert "\n" not in told["said"]
    assert told["peak_mb"] < 1500


def test_json_that_is_too_deep_is_one_sentence(tmp_path: Path) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with local_server() as server:
        server.answers["/"] = lambda _: (200, {"Content-Type": "application/json"}, deep)
        server.answers["/catalog.json"] = server.answers["/"]
        for config in (
            source_config("stac-api", server.url),
            source_config("stac-static", f"{server.url}/catalog.json"),
        ):
            with pytest.raises(SourceError) as caught:
                open_source(config, base=tmp_path).search(small_site(), SINCE, UNTIL)
            assert "\n" not in str(caught.value)
