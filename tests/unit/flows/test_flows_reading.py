"""Commands that read, over a store that is filled by hand."""

from __future__ import annotations

import csv
import io
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import geopandas
import pyarrow.parquet
import pytest
from shapely.geometry import box
from support.store_samples import DAY, count, observation, surge

from flows import cli
from pipeline.config.schema import NotifySettings
from pipeline.model import Observation, Outcome, Railcar, RailcarKind, SurgeStatus
from pipeline.report.notify import messages_for
from pipeline.simulate.demo_site import CENTRE, SITE_NAME, demo_site, write_configuration
from pipeline.store import Store

SERIES = (
    "site,scene_id,observed_at,sensor,gsd_m,outcome,railcars,railcars_low,railcars_high,detection_limit,"
    "clear_fraction,flags,method,method_version,config_digest,observation_id"
)
SURGES = (
    "surge_id,site,tier,status,onset_earliest,onset_latest,first_alarm_at,peak_at,peak_railcars,expected,"
    "expected_low,expected_high,ratio,alarm_rate_per_year,ended_at,verdict"
)
NASTY = "\x1b[31m<b>\u202ered"
Call = Callable[..., tuple[int, str, str]]


def row(number: int, **changes: object) -> Observation:
    return observation(number, site=SITE_NAME, **changes)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Give a function that runs the command line over a store with four looks and two surges."""
    write_configuration(tmp_path / "config", "nowhere/catalog.json")
    x, y = CENTRE
    car = Railcar(box(x, y, x + 14, y + 3), "t1", 10.0, 14.0, RailcarKind.TANK, 0.9)
    rows = [
        row(0, count=replace(count(0), railcar_list=(car,))),
        row(5),
        row(10, outcome=Outcome.REJECTED, count=None, flags=("CLOUDY",)),
        row(15, outcome=Outcome.FAILED, count=None, flags=(), clear_fraction=None, detail=NASTY),
    ]
    (tmp_path / "home").mkdir()
    with Store.open(f"sqlite:///{tmp_path / 'home' / 'railwatch.sqlite'}") as store:
        store.upsert_observations(rows)
        store.save_judgement(
            SITE_NAME,
            [
                surge("aaaa-open", site=SITE_NAME, sentence=NASTY),
                surge("bbbb-ended", site=SITE_NAME, ended_at=DAY + timedelta(days=40), status=SurgeStatus.ENDED),
            ],
            [],
            {},
        )
        store.source_seen("simulated", SITE_NAME, newest_scene_at=DAY, checked_at=DAY)

    def run(*arguments: str) -> tuple[int, str, str]:
        everything = ["railwatch", "--config", str(tmp_path / "config"), "--home", str(tmp_path / "home"), *arguments]
        monkeypatch.setattr(sys, "argv", everything)
        code = 0
        hook, ender = sys.excepthook, signal.getsignal(signal.SIGTERM)
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.excepthook = hook
            signal.signal(signal.SIGTERM, ender)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_series_has_the_columns_of_the_contract(call: Call, tmp_path: Path) -> None:
    code, text, _ = call("series", SITE_NAME)
    assert code == 0
    lines = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == SERIES
    assert [line["outcome"] for line in lines] == ["flagged", "flagged", "rejected", "failed"]
    assert lines[0]["observed_at"] == "2023-10-06T02:20:11.345678Z"
    assert float(lines[0]["railcars"]) == count(0).railcars
    for line in lines[2:]:
        assert not any(line[name] for name in ("railcars", "railcars_low", "railcars_high", "detection_limit"))
    _, as_json, _ = call("series", SITE_NAME, "--format", "json")
    rows = json.loads(as_json)
    assert list(rows[0]) == SERIES.split(",")
    assert rows[2]["railcars"] is None
    code, out, _ = call("series", "--format", "parquet", "--out", str(tmp_path / "s.parquet"))
    assert (code, out) == (0, "")
    table = pyarrow.parquet.read_table(tmp_path / "s.parquet").to_pylist()
    assert table == rows


def test_surges_in_every_form(call: Call) -> None:
    _, text, _ = call("surges", "--format", "csv")
    assert text.splitlines()[0] == SURGES
    _, as_json, _ = call("surges", "--format", "json")
    rows = json.loads(as_json)
    assert list(rows[0]) == SURGES.split(",")
    assert rows[0]["ended_at"] is None
    _, table, _ = call("surges")
    head, *body = table.splitlines()
    assert head.split()[:3] == ["surge_id", "tier", "status"]
    starts = [line.index("high") for line in body]
    assert len(set(starts)) == 1  # aligned
    assert "\x1b" not in table


def test_railcars_are_outlined_in_wgs84_and_in_the_site_projection(call: Call, tmp_path: Path) -> None:
    scene = row(0).scene_id
    _, text, _ = call("railcars", SITE_NAME, "--scene", scene)
    document = json.loads(text)
    (feature,) = document["features"]
    assert feature["properties"]["kind"] == "tank car"
    lon, lat = feature["geometry"]["coordinates"][0][0]
    assert 130 < lon < 131.5
    assert 42 < lat < 43
    call("railcars", "--scene", scene, "--format", "gpkg", "--out", str(tmp_path / "c.gpkg"))
    frame = geopandas.read_file(tmp_path / "c.gpkg")
    assert frame.crs == "EPSG:32652"
    assert frame.geometry.iloc[0].area == pytest.approx(42.0)
    code, text, said = call("railcars", "--scene", row(10).scene_id)
    assert (code, json.loads(text)["features"]) == (0, [])
    assert "no single railcar" in said
    code, _, said = call("railcars", "--scene", "nothing")
    assert code == 1
    assert "nothing" in said


def test_status_says_how_things_stand(call: Call) -> None:
    code, text, _ = call("status")
    assert code == 0
    assert "none yet" in text.splitlines()[1]  # no round was recorded
    assert "2 flagged, 1 failed" not in text
    assert "1 failed, 2 flagged, 1 rejected" in text
    assert "Open surges   1" in text
    assert "Failed looks  1" in text
    assert "no new scene for" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert any(sign in text for sign in "▁▂▃▄▅▆▇█")
    _, text, _ = call("status", "--json")
    found = json.loads(text)
    assert [entry["surge_id"] for entry in found["open_surges"]] == ["aaaa-open"]
    assert found["newest_look"]["outcome"] == "failed"
    assert call("status", "--format", "json")[1] == text


def test_a_word_is_kept_and_shown(call: Call) -> None:
    code, text, _ = call("verdict", "aaaa", "reject", "--by", "Ada", "--note", "cloud edge", "--reason", "cloud")
    assert code == 0
    assert "reject" in text
    _, text, _ = call("surges", "--format", "json")
    assert [entry["verdict"] for entry in json.loads(text)] == ["reject", ""]
    _, text, _ = call("status")
    assert "Open surges   none" in text
    call("verdict", "aaaa-open", "confirm", "--by", "Bob")
    _, text, _ = call("surges", "--format", "json")
    assert json.loads(text)[0]["verdict"] == "confirm"
    code, _, said = call("verdict", "zzzz", "confirm", "--by", "Bob")
    assert code == 1
    assert "zzzz" in said
    for wrong in (("confirm", "--by", "  "), ("confirm", "--by", "x", "--reason", "snow")):
        assert call("verdict", "aaaa", *wrong)[0] == 2


def test_a_dry_run_of_notifications_sends_and_records_nothing(call: Call, tmp_path: Path) -> None:
    assert "neither mail nor webhook is set" in call("notify")[1]
    settings = tmp_path / "config" / "settings.yaml"
    ways = "notify:\n  smtp_host: 127.0.0.1\n  mail_from: a@example.org\n  mail_to: [b@example.org]\n"
    settings.write_text(f"{settings.read_text()}\n{ways}")
    for _ in range(2):
        code, text, _ = call("notify", "--dry-run")
        assert code == 0
        assert text.count("Would send by mail") == 1  # the surge that ended long ago is old news
        assert "\x1b" not in text
    with Store.open(f"sqlite:///{tmp_path / 'home' / 'railwatch.sqlite'}") as store:
        assert store.notifications.states() == {}
        ways_of = NotifySettings(smtp_host="127.0.0.1", mail_from="a@example.org", mail_to=("b@example.org",))
        (message,) = messages_for(demo_site(), [store.find_surge("aaaa-open")], ways_of)
        store.notifications.claim(message.key)
        store.notifications.sent(message.key)
    assert "Was sent by mail" in call("notify", "--dry-run")[1]


def test_a_site_that_is_misspelt_is_answered_with_the_nearest(call: Call) -> None:
    code, _, said = call("series", "simulated-yrd")
    assert code == 2
    assert SITE_NAME in said


def test_an_empty_store_gives_headers(call: Call, tmp_path: Path) -> None:
    code, text, _ = call("series", "--home", str(tmp_path / "other"))
    assert (code, text) == (0, SERIES + "\n")
    assert call("surges", "--home", str(tmp_path / "other"))[1] == "No surge.\n"
    assert "none yet" in call("status", "--home", str(tmp_path / "other"))[1]


def test_sources_are_listed(call: Call) -> None:
    code, text, _ = call("sources")
    assert code == 0
    assert "simulated" in text
    assert "stac-static" in text
    assert "nowhere/catalog.json" in text
    assert "…" not in text
