"""A wrong configuration is answered with file, line, key and the nearest good one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.config import open_configuration
from pipeline.errors import ConfigError

PROJECT_CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT_CONFIG, tmp_path / "config")
    return tmp_path / "config"


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_shipped_configuration_is_whole(folder: Path) -> None:
    configuration = open_configuration(folder)
    assert configuration.site_names() == ["khasan", "rajin", "tumangang"]
    tumangang = configuration.site("tumangang")
    assert len(tumangang.tracks) == 17
    assert all(track.provisional for track in tumangang.tracks)
    assert {row.value for row in tumangang.published if row.kind == "count" and row.scope == "Tumangang"} == {
        "73",
        "255",
    }
    for name in configuration.source_names():
        assert configuration.source(name).name == name


def test_tracks_lie_where_the_record_says(folder: Path) -> None:
    """The station is at E 632298 N 4697818, the freight yard about 1.2 km along the axis at azimuth 104 degrees."""
    site = open_configuration(folder).site("tumangang")
    yard = [
        track.line.interpolate(0.5, normalized=True) for track in site.tracks if track.track_id.startswith("yard")
    ]
    x = sum(p.x for p in yard) / len(yard)
    y = sum(p.y for p in yard) / len(yard)
    assert abs(x - (632298 + 1164.4)) < 2
    assert abs(y - (4697818 - 290.3)) < 2


def test_grid_is_snapped_to_the_sampling(folder: Path) -> None:
    grid = open_configuration(folder).site("tumangang").grid(10.0)
    assert grid.transform[2] % 10 == 0
    assert grid.transform[5] % 10 == 0
    col, row = grid.to_pixel(*grid.to_xy(12.5, 7.25))
    assert (round(col, 9), round(row, 9)) == (12.5, 7.25)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("settings.yaml", "guard_days: 28", "gaurd_days: 28", ["line", "alarms.gaurd_days", "'guard_days'"]),
        ("settings.yaml", "read_threads: 8", "read_threads: many", ["line 7", "read_threads", "integer"]),
        ("settings.yaml", "read_threads: 8", "read_threads: 8\nread_threads: 9", ["line 8", "twice"]),
        ("settings.yaml", "quality:", "quality: [", ["settings.yaml line", "not valid YAML"]),
        ("sites/khasan/site.yaml", "sources:", "sorces:", ["line 5", "sorces", "'sources'"]),
        ("sites/khasan/site.yaml", "EPSG:32652", "EPSG:4326", ["crs", "metres"]),
        ("sites/khasan/site.yaml", "EPSG:32652", "EPSG:999999", ["crs", "not a known projection"]),
        (
            "sites/khasan/site.yaml",
            "[130.628, 42.420, 130.662, 42.436]",
            "[130.7, 42.420, 130.662, 42.436]",
            ["bbox"],
        ),
        ("sites/khasan/site.yaml", "[130.628, 42.420, 130.662, 42.436]", "[120, 40, 130, 44]", ["km2"]),
        ("sites/khasan/site.yaml", "name: khasan", "name: kasan", ["'kasan'", "'khasan'"]),
        ("sites/khasan/tracks.geojson", '"use": "yard"', '"use": "jard"', ["feature 1", "'use'"]),
        ("sites/khasan/tracks.geojson", '"use"', '"usage"', ["feature 1", "'usage'", "'use'"]),
        ("sites/khasan/tracks.geojson", '"LineString"', '"Polygon"', ["feature 1", "Polygon"]),
        ("sites/khasan/published.csv", "2022-11-29,", "29.11.2022,", ["published.csv line 2", "YYYY-MM-DD"]),
        ("sites/khasan/published.csv", "publisher", "author", ["'publisher' is missing"]),
    ],
)
def test_each_mistake_is_one_sentence(folder: Path, file: str, old: str, new: str, words: list[str]) -> None:
    _edit(folder / file, old, new)
    with pytest.raises(ConfigError) as caught:
        open_configuration(folder).site("khasan")
    message = str(caught.value)
    assert "\n" not in message
    for word in (*words, Path(file).name if "name: kasan" not in new else "site.yaml"):
        assert word in message


def test_unknown_names_get_the_nearest(folder: Path) -> None:
    configuration = open_configuration(folder)
    with pytest.raises(ConfigError, match="did you mean 'tumangang'"):
        configuration.site("tumangan")
    with pytest.raises(ConfigError, match="sites"):
        open_configuration(folder / "nowhere")


def test_repeated_track_is_refused(folder: Path) -> None:
    path = folder / "sites/khasan/tracks.geojson"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["features"].append(document["features"][0])
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match="stands twice"):
        open_configuration(folder).site("khasan")


def test_site_overrides_settings(folder: Path) -> None:
    path = folder / "sites/khasan/site.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "alarms: {guard_days: 40}\n", encoding="utf-8")
    configuration = open_configuration(folder)
    assert configuration.settings_for("khasan").alarms.guard_days == 40
    assert configuration.settings_for("rajin").alarms.guard_days == 28
