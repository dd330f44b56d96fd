"""Wayback: pictures dated by the releases' metadata service, over a loopback server that speaks its published form.

No recording of the service is at hand: its terms forbid automated use. The list of releases is built as Esri's own
client wayback-core documents it (itemTitle, itemURL with {level}, {row} and {col}, metadataLayerUrl), the answers as
an ArcGIS map service's `query` gives them (`features` with `attributes`; errors with status 200).
"""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import yaml
from PIL import Image
from pyproj import Transformer
from shapely.geometry import LineString, box
from support.imagery_servers import LocalServer

from pipeline.config.schema import QualitySettings, SourceConfig
from pipeline.errors import SourceError
from pipeline.imagery import tiles_web
from pipeline.imagery.doctor import examine
from pipeline.imagery.quality import look_at
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.imagery.wayback import WaybackSource
from pipeline.model import Item, Site, Track

ROOT = Path(__file__).parents[3]
EAST, NORTH = 632000.0, 4698000.0
SITE = Site(
    "yard",
    "Yard",
    "EPSG:32652",
    box(EAST, NORTH - 100.0, EAST + 200.0, NORTH),
    (Track("t1", "1", LineString([(EAST + 20, NORTH - 50), (EAST + 180, NORTH - 50)]), "yard", provisional=False),),
)
EARLY, LATE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
BASE = {"SRC_DATE": None, "SRC_DATE2": None, "SRC_RES": 15, "NICE_DESC": "Earthstar Geographics", "SRC_DESC": None}


def taken(day: str, source: str = "WV03", resolution: float = 0.31) -> dict[str, Any]:
    """Return a picture's attributes with both of its dates."""
    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return {
        "SRC_DATE": int(f"{when:%Y%m%d}"),
        "SRC_DATE2": int(when.timestamp() * 1000),
        "SRC_RES": resolution,
        "NICE_DESC": "Maxar",
        "SRC_DESC": source,
    }


RELEASES: dict[str, tuple[str, list[dict[str, Any]]]] = {  # number: day, pictures over the tracks
    "1111": ("2023-01-11", [taken("2022-08-01")]),
    "222": ("2023-06-13", [taken("2022-08-01")]),
    "33": ("2023-12-07", [taken("2023-10-05", "GE01", 0.46)]),
    "44444": ("2024-06-06", [BASE]),
    "5": ("2024-10-10", [BASE]),
    "6": ("2025-02-27", [taken("2024-06-17"), taken("2024-12-03", "PNEO")]),
}


class Wayback(LocalServer):
    """A loopback server that speaks Wayback's published form; its tiles show their release and place."""

    def __init__(self, releases: dict[str, tuple[str, list[dict[str, Any]]]]) -> None:
        super().__init__()
        self.list = {
            number: {
                "itemID": "0" * 32,
                "itemTitle": f"World Imagery (Wayback {day})",
                "itemURL": f"{self.url}/tile/{number}/{{level}}/{{row}}/{{col}}",
                "metadataLayerUrl": f"{self.url}/meta_{number}/MapServer",
                "layerIdentifier": f"WB_{number}",
            }
            for number, (day, _) in releases.items()
        }
        self.pictures = {number: pictures for number, (_, pictures) in releases.items()}
        self.answers["/list.json"] = lambda _: json_answer(self.list)

    def _answer(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        path = urlsplit(request.path).path
        if found := re.fullmatch(r"/meta_(\d+)/MapServer/\d+/query", path):
            features = [{"attributes": picture} for picture in self.pictures[found[1]]]
            return json_answer({"displayFieldName": "NICE_NAME", "features": features})
        if found := re.fullmatch(r"/tile/(\d+)/(\d+)/(\d+)/(\d+)", path):
            return 200, {"Content-Type": "image/png"}, tile(*(int(part) for part in found.groups()))
        return super()._answer(request)

    def asked(self, part: str) -> list[str]:
        return [path for path, _ in self.requests if part in path]


def json_answer(document: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "text/plain;charset=utf-8"}, json.dumps(document).encode()


def ground(east: np.ndarray, north: np.ndarray, release: int) -> np.ndarray:
    """The known ground in the site's metres; another one each release."""
    return 120 + 60 * np.sin((east - EAST) / 9 + release % 7) * np.cos((north - NORTH) / 7)


def tile(release: int, zoom: int, row: int, column: int) -> bytes:
    """Return a map tile of the known ground, by the definition of web maps (EPSG:3857, origin north-west)."""
    span = 2 * 20037508.342789244 / 2**zoom
    steps = (np.arange(256) + 0.5) / 256
    x, y = np.meshgrid(-20037508.342789244 + (column + steps) * span, 20037508.342789244 - (row + steps) * span)
    east, north = Transformer.from_crs("EPSG:3857", "EPSG:32652", always_xy=True).transform(x, y)
    out = io.BytesIO()
    Image.fromarray(np.repeat(np.rint(ground(east, north, release)).astype("uint8")[..., None], 3, 2)).save(
        out, "PNG"
    )
    return out.getvalue()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiles_web, "WAIT_S", 0.0)
    server = Wayback(RELEASES)
    yield server
    server.close()


def opened(server: LocalServer, **extra: object) -> WaybackSource:
    given = {"url": f"{server.url}/list.json", "gsd_m": 0.6, "allow_loopback": True, **extra}
    source = open_source(SourceConfig(name="wb", title="W", kind="wayback", **given), base=Path())
    assert isinstance(source, WaybackSource)
    return source


def found(server: LocalServer, since: datetime = EARLY, until: datetime = LATE) -> tuple[Item, ...]:
    return opened(server).search(SITE, since, until)


def test_a_picture_is_one_look_at_its_own_date_however_many_releases_show_it(service: Wayback) -> None:
    items = found(service)
    assert [item.item_id for item in items] == [
        "wb_20220801",
        "wb_20231005",
        "wb_20240606_undated",
        "wb_20240617_20241203",
    ]
    assert [item.date_uncertain for item in items] == [False, False, True, True]
    days = [(item.observed_at + timedelta(hours=9)).date().isoformat() for item in items]  # the site's own clock
    assert days == ["2022-08-01", "2023-10-05", "2024-06-06", "2024-12-03"]
    assert [item.processing for item in items] == [
        "taken 2022-08-01, release 2023-01-11",
        "taken 2023-10-05, release 2023-12-07",
        "taken on a day not stated, release 2024-06-06",
        "taken 2024-06-17 to 2024-12-03, release 2025-02-27",
    ]
    assert [item.gsd_m for item in items] == [0.6, 0.6, 15.0, 0.6], "an enlarged picture is not finer than it is"
    assert [item.platform for item in items] == [
        "Maxar WV03", "Maxar GE01", "Earthstar Geographics", "Maxar PNEO and Maxar WV03",
    ]  # fmt: skip
    scenes, ledger = scenes_from_items(items, ("wb",))
    assert len(scenes) == 4
    assert not ledger.entries


def test_the_metadata_of_the_zoom_that_is_read_are_asked_about_the_tracks(service: Wayback) -> None:
    found(service)
    asked = [urlsplit(path) for path in service.asked("/query")]
    assert {part.path.split("/")[-2] for part in asked} == {"5"}, "0.6 m at 42 N is zoom 18, layer 23 - 18"
    query = parse_qs(asked[0].query)
    assert query["f"] == ["json"]
    assert {"SRC_DATE2", "SRC_DATE", "SRC_RES"} <= set(query["outFields"][0].split(","))
    around = json.loads(query["geometry"][0])
    assert around["spatialReference"] == {"wkid": 4326}
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32652", always_xy=True)
    west, south = to_utm.transform(around["xmin"], around["ymin"])
    east, north = to_utm.transform(around["xmax"], around["ymax"])
    assert (west, east) == pytest.approx((EAST + 20, EAST + 180), abs=1.0)
    assert (south + north) / 2 == pytest.approx(NORTH - 50, abs=1.0)
    assert north - south < 10


@pytest.mark.parametrize(
    ("since", "until", "looks", "asked"),
    [
        ("2023-09-01", "2023-10-06", ["wb_20231005"], 5),  # released two months after it was taken
        ("2023-11-25", "2023-12-10", ["wb_20231005"], 5),  # taken before the window, first published in it
        ("2023-06-01", "2023-06-20", [], 6),  # published again
        ("2024-06-01", "2024-06-10", ["wb_20240606_undated"], 4),
        ("2024-09-20", "2024-11-04", [], 3),  # the undated picture of the release before
        ("2024-12-01", "2025-01-15", ["wb_20240617_20241203"], 2),
        ("2025-03-01", "2025-04-15", [], 1),
    ],
)
def test_a_window_gives_what_was_taken_or_first_published_in_it(
    service: Wayback, since: str, until: str, looks: list[str], asked: int
) -> None:
    whole = {item.item_id: item for item in found(service)}
    service.requests.clear()
    start, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (since, until))
    part = found(service, start, end)
    assert [item.item_id for item in part] == looks
    assert all(item == whole[item.item_id] for item in part), "the same look whenever it is found"
    assert len(service.asked("/query")) == asked, "what is older than the window is not asked"


def test_a_dated_picture_is_judged_and_an_undated_one_is_flagged(service: Wayback) -> None:
    source = opened(service)
    scenes, _ = scenes_from_items(source.search(SITE, EARLY, LATE), ("wb",))
    chip = source.read(SITE, scenes[1])
    cols, rows = np.meshgrid(np.arange(chip.grid.width) + 0.5, np.arange(chip.grid.height) + 0.5)
    error = chip.values[0].astype(float) - ground(*chip.grid.to_xy(cols, rows), 33)
    assert chip.valid.all()
    assert np.abs(error).max() < 3.0, "the tiles of release 33, where they belong"
    assert "DATE_UNCERTAIN" not in look_at(chip, SITE, QualitySettings()).flags
    seam = source.read(SITE, scenes[3])
    assert "DATE_UNCERTAIN" in look_at(seam, SITE, QualitySettings()).flags
    base = source.read(SITE, scenes[2])
    assert base.grid.gsd_m == 15.0
    assert {path.split("/")[3] for path in service.asked("/tile/")} == {"18"}, "other zooms may show other pictures"


@pytest.mark.parametrize(
    ("pictures", "days", "uncertain"),
    [
        ([{"SRC_DATE2": 1696464000000}], "20231005", False),
        ([{"SRC_DATE": 20231005}], "20231005", False),
        ([{"SRC_DATE": "20231005", "SRC_DATE2": 1696431600000}], "20231005", False),  # midnight in Korea
        ([{"SRC_DATE": 20230101, "SRC_DATE2": 1696464000000}], "20230101_20231005", True),
        ([{"SRC_DATE2": 4070908800000}], "undated", True),  # 2099
        ([{"SRC_DATE2": -4000000000000}], "undated", True),  # 1843
        ([{"SRC_DATE2": 1e300}], "undated", True),
        ([{"SRC_DATE2": True, "SRC_DATE": False}], "undated", True),
        ([{"SRC_DATE2": "<script>", "SRC_DATE": "20231399"}], "undated", True),
        ([{"SRC_DATE": 20231005}, {}], "undated", True),
        ([], "undated", True),
    ],
)  # fmt: skip
def test_dates_that_cannot_be_are_no_dates(
    monkeypatch: pytest.MonkeyPatch, pictures: list[dict[str, Any]], days: str, uncertain: bool
) -> None:
    server = Wayback({"7": ("2024-01-18", pictures)})
    try:
        (item,) = found(server)
    finally:
        server.close()
    assert item.item_id in (f"wb_{days}", f"wb_20240118_{days}")
    assert item.date_uncertain is uncertain
    assert item.observed_at <= datetime(2024, 1, 18, 23, tzinfo=UTC)


BAD_ENTRIES = [
    ("x", {}, "is not described as a release"),
    ("7", "text", "is not described as a release"),
    ("7", {"itemTitle": None}, "lacks its title"),
    ("7", {"itemTitle": "World Imagery"}, "holds no date"),
    ("7", {"itemTitle": "Wayback 2023-02-31"}, "holds no date"),
    ("7", {"itemURL": "http://127.0.0.1/{level}/{row}"}, "not of the form"),
    ("7", {"itemURL": "http://127.0.0.1/{level}/{row}/{col}/{key}"}, "not of the form"),
    ("7", {"itemURL": "http://169.254.169.254/{level}/{row}/{col}"}, "169.254.169.254"),
    ("7", {"itemURL": "file:///etc/{level}/{row}/{col}"}, "not an http"),
    ("7", {"metadataLayerUrl": "http://other.example/MapServer"}, "'other.example'"),
    ("7", {"metadataLayerUrl": "http://127.0.0.1/MapServer?x=1"}, "not of the form"),
]


@pytest.mark.parametrize(("number", "changes", "words"), BAD_ENTRIES)
def test_a_bad_entry_is_listed_with_its_reason_and_hides_no_other(
    service: Wayback, number: str, changes: Any, words: str
) -> None:
    good = service.list["33"]
    service.list = {"33": good, number: {**good, **changes} if isinstance(changes, dict) else changes}
    if number == "x":
        service.list["x"] = good
    items = found(service)
    assert [item.item_id for item in items if not item.problem] == ["wb_20231005"]
    (bad,) = [item for item in items if item.problem]
    assert words in bad.problem
    assert "\n" not in bad.problem
    _, ledger = scenes_from_items(items, ("wb",))
    assert [entry.outcome for entry in ledger.entries] == ["failed"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>sign in</html>", "does not answer with JSON"),
        (200, b"[]", "is no object"),
        (200, b"{}", "no release that can be used"),
        (200, b"[" * 100_000, "does not answer with JSON"),
        (200, b'{"a": "' + b"x" * 5 * 2**20 + b'"}', "larger than 4 MB"),
        (200, json.dumps(dict.fromkeys(map(str, range(6000)))).encode(), "6000 releases"),
        (404, b"", "answers 404"),
        (503, b"", "answers 503"),
    ],
    ids=["html", "array", "empty", "nested", "large", "many", "404", "503"],
)
def test_a_bad_list_ends_in_one_sentence(service: Wayback, status: int, body: bytes, words: str) -> None:
    service.answers["/list.json"] = lambda _: (status, {}, body)
    with pytest.raises(SourceError, match=words) as caught:
        found(service)
    assert "\n" not in str(caught.value)
    assert "/list.json" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (json_answer({"error": {"code": 400, "message": "Failed to execute query.", "details": []}}), "error 400"),
        (json_answer({"error": "?"}), "error of no stated kind"),
        (json_answer({"features": {}}), "list of pictures"),
        (json_answer({"features": [{}] * 500}), "list of pictures"),
        (json_answer({"features": [{"attributes": 7}]}), "without attributes"),
        ((200, {}, b"<html>"), "does not answer with JSON"),
        ((302, {"Location": "http://169.254.169.254/"}, b""), "answers 302"),
        ((404, {}, b""), "answers 404"),
    ],
)
def test_a_release_without_metadata_is_listed_with_its_reason(
    service: Wayback, answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    service.pictures.pop("33")
    ask = Wayback._answer
    service._answer = lambda request: answer if "/meta_33/" in request.path else ask(service, request)  # type: ignore[method-assign]
    items = found(service)
    (bad,) = [item for item in items if item.problem]
    assert words in bad.problem
    assert bad.item_id == "release 33"
    assert len(items) == 4


def test_a_metadata_service_that_is_down_ends_the_search(service: Wayback) -> None:
    ask = Wayback._answer
    down = (503, {}, b"")
    service._answer = lambda request: down if "/meta_5/" in request.path else ask(service, request)  # type: ignore[method-assign]
    with pytest.raises(SourceError, match=r"meta_5/.* answers 503"):
        found(service)
    assert len(service.asked("/meta_5/")) == tiles_web.ATTEMPTS
    down = json_answer({"error": {"code": 500, "message": "Error performing query operation", "details": []}})
    with pytest.raises(SourceError, match="error 500"):
        found(service)


def test_doctor_says_how_many_have_a_date(service: Wayback) -> None:
    seen = examine(opened(service).config, SITE, base=Path(), now=datetime(2025, 3, 1, tzinfo=UTC), days=1000)
    assert seen.state == "ok"
    assert re.search(r"4 items, 2 of them without a certain date, 7 requests, \d+ KB", seen.steps[0].said)


def test_the_shipped_source_is_off_and_says_why() -> None:
    document = yaml.safe_load((ROOT / "config" / "sources" / "esri-wayback.yaml").read_text(encoding="utf-8"))
    config = SourceConfig.model_validate(document)
    with pytest.raises(SourceError, match="terms forbid scraping"):
        open_source(config, base=Path())
    allowed = SourceConfig.model_validate({**document, "enabled": True})
    assert isinstance(open_source(allowed, base=Path()), WaybackSource)
    for wrong in ({"url": "ftp://h/x"}, {"gsd_m": None}):
        with pytest.raises(SourceError, match=r"key '(url|gsd_m)'"):
            open_source(SourceConfig.model_validate({**document, "enabled": True, **wrong}), base=Path())
