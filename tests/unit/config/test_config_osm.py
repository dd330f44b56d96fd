"""OpenStreetMap lines of a dense real yard become tracks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from shapely.geometry import box

from pipeline.config.osm import import_osm_tracks
from pipeline.config.sites import read_tracks
from pipeline.errors import ConfigError
from pipeline.model import Site

RAILS = Path(__file__).parents[2] / "data" / "rails" / "sankt-poelten-yard.geojson"


@pytest.fixture
def make_site() -> Callable[..., Site]:
    def make(bounds: tuple[float, float, float, float]) -> Site:
        return Site("st-poelten", "Sankt Pölten", "EPSG:32633", box(*bounds), ())

    return make


def _to_site():  # noqa: ANN202
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)


def test_real_yard_is_clipped_and_sorted_by_use(make_site: Callable[..., Site], tmp_path: Path) -> None:
    ways = json.loads(RAILS.read_text(encoding="utf-8"))["features"]
    xs = [x for way in ways for x, _ in way["geometry"]["coordinates"]]
    ys = [y for way in ways for _, y in way["geometry"]["coordinates"]]
    x, y = _to_site().transform(sum(xs) / len(xs), sum(ys) / len(ys))
    site = make_site((x - 400, y - 200, x + 400, y + 200))
    result = import_osm_tracks(site, RAILS, tmp_path / "tracks.geojson")
    tracks = read_tracks(result.path, _to_site())
    assert len(tracks) == sum(result.kept.values())
    assert result.kept["yard"] > 0
    assert set(result.kept) <= {"yard", "siding", "main"}
    assert all(site.area.buffer(0.05).contains(track.line) for track in tracks)
    assert sum(track.line.length for track in tracks) == pytest.approx(result.metres, abs=0.5)
    assert sum(result.left_out.values()) > 0
    assert not any(track.provisional for track in tracks)
    assert len({track.track_id for track in tracks}) == len(tracks)


def test_yard_elsewhere_is_refused_and_nothing_is_overwritten(make_site: Callable[..., Site], tmp_path: Path) -> None:
    target = tmp_path / "tracks.geojson"
    target.write_text("before", encoding="utf-8")
    with pytest.raises(ConfigError, match="no yard, siding or main line lies inside"):
        import_osm_tracks(make_site((0, 0, 100, 100)), RAILS, target)
    assert target.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"features": 3}', '{"features": [1]}', "\x00"])
def test_rubbish_is_one_sentence(make_site: Callable[..., Site], tmp_path: Path, text: str) -> None:
    source = tmp_path / "rails.geojson"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rails\.geojson: not a GeoJSON"):
        import_osm_tracks(make_site((0, 0, 100, 100)), source, tmp_path / "tracks.geojson")
