"""An image dropped into a folder becomes outlines of railcars that another program opens where the cars stand."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import yaml
from rasterio.transform import Affine
from rasterio.warp import transform as to_projection
from shapely import unary_union
from shapely.geometry import Polygon, shape
from typer.testing import CliRunner

from flows.cli import app
from pipeline.model import Outcome, RailcarKind
from pipeline.simulate.fine import FineScene, render_fine
from pipeline.simulate.fine_conditions import Conditions
from pipeline.simulate.yard import make_tracks, place_cars

CRS = "EPSG:32652"
SEED, CARS = 611, 34


def rendered() -> FineScene:
    """Return a plain scene of 0.5 m with a known number of cars."""
    rng = np.random.default_rng(SEED)
    tracks = make_tracks("parallel", tracks=5, length_m=320.0, centre=(632500.0, 4697800.0), azimuth_deg=100.0)
    return render_fine(tracks, place_cars(tracks, CARS, rng), Conditions(clutter=0.3), rng, crs=CRS)


def write_world(folder: Path, scene: FineScene) -> Path:
    """Write the image into a folder, and a configuration whose only source is that folder; return the latter."""

    def degrees(points: list[tuple[float, float]]) -> list[list[float]]:
        lon, lat = to_projection(CRS, "EPSG:4326", [p[0] for p in points], [p[1] for p in points])
        return [[round(x, 9), round(y, 9)] for x, y in zip(lon, lat, strict=True)]

    west, south, east, north = scene.site.area.bounds
    ring = degrees([(west, south), (east, south), (east, north), (west, north)])
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    features = [
        {
            "type": "Feature",
            "properties": {"track_id": t.track_id, "name": t.name, "use": t.use, "provisional": False},
            "geometry": {"type": "LineString", "coordinates": degrees([(x, y) for x, y in t.line.coords])},
        }
        for t in scene.site.tracks
    ]
    place = {"name": "yard", "title": "Yard", "crs": CRS, "area": ring, "sources": ["drop"]}
    source = {"name": "drop", "title": "Images in a folder", "kind": "folder", "path": "../images"}
    for name, text in {
        "settings.yaml": yaml.safe_dump({"default_site": "yard"}),
        "sites/yard/site.yaml": yaml.safe_dump({**place, "bbox": [min(xs), min(ys), max(xs), max(ys)]}),
        "sites/yard/tracks.geojson": json.dumps({"type": "FeatureCollection", "features": features}),
        "sources/drop.yaml": yaml.safe_dump(source),
    }.items():
        (folder / "config" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "config" / name).write_text(text, encoding="utf-8")
    (folder / "images").mkdir()
    with rasterio.open(
        folder / "images" / "pass_20240617T021500Z.tif",
        "w",
        driver="GTiff",
        count=scene.values.shape[0],
        height=scene.grid.height,
        width=scene.grid.width,
        dtype=scene.values.dtype,
        crs=CRS,
        transform=Affine(*scene.grid.transform),
    ) as out:
        out.write(scene.values)
    return folder / "config"


def railwatch(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout


def test_cars_of_a_dropped_image_are_where_they_stand(tmp_path: Path) -> None:
    scene = rendered()
    config = write_world(tmp_path, scene)
    base = ("--config", str(config), "--home", str(tmp_path / "home"))
    code, said = railwatch(*base, "run", "yard", "--since", "2024-01-01", "--until", "2024-07-01", "--direct")
    assert code == 0, said
    code, text = railwatch(*base, "series", "yard")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["outcome"] in {Outcome.COUNTED, Outcome.FLAGGED}, text
    assert float(row["railcars_low"]) <= CARS <= float(row["railcars_high"])

    code, text = railwatch(*base, "railcars", "yard", "--scene", row["scene_id"])
    assert code == 0
    document = json.loads(text)
    found = [shape(feature["geometry"]) for feature in document["features"]]
    assert len(found) == round(float(row["railcars"])), "the outlines are the count"
    assert {f["properties"]["track_id"] for f in document["features"]} <= {t.track_id for t in scene.site.tracks}
    assert {f["properties"]["kind"] for f in document["features"]} <= {kind.value for kind in RailcarKind}
    for feature in document["features"]:
        assert 0 < feature["properties"]["score"] <= 1
        assert datetime.fromisoformat(feature["properties"]["observed_at"]) == datetime(
            2024, 6, 17, 2, 15, tzinfo=UTC
        )
        for lon, lat in feature["geometry"]["coordinates"][0]:
            assert 130 < lon < 131, "GeoJSON is longitude, latitude in degrees"
            assert 42 < lat < 43

    out = tmp_path / "cars.gpkg"
    code, _ = railwatch(*base, "railcars", "yard", "--scene", row["scene_id"], "--format", "gpkg", "--out", str(out))
    assert code == 0
    frame = geopandas.read_file(out)
    assert frame.crs.to_authority() == ("EPSG", "32652")
    assert len(frame) == len(found)
    truth = [car.railcar.polygon for car in scene.cars]
    # How many are found too many is a figure of the benchmark; here, that outlines lie where cars stand.
    assert sum(_held(car, list(frame.geometry)) for car in truth) >= 0.8 * CARS
    # The two forms are one set of outlines.
    back = geopandas.GeoSeries(found, crs="EPSG:4326").to_crs(CRS)
    assert unary_union(list(back)).symmetric_difference(unary_union(list(frame.geometry))).area < 1.0


def _held(car: Polygon, outlines: list[Polygon]) -> bool:
    """Tell whether some outline overlaps a car by at least half of their union."""
    return any(outline.intersection(car).area >= 0.5 * outline.union(car).area for outline in outlines)


def test_the_same_image_gives_the_same_outlines(tmp_path: Path) -> None:
    scene = rendered()
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        config = write_world(tmp_path / name, scene)
        base = ("--config", str(config), "--home", str(tmp_path / name / "home"))
        railwatch(*base, "run", "yard", "--since", "2024-01-01", "--until", "2024-07-01", "--direct")
        _, series = railwatch(*base, "series", "yard")
        scene_id = next(csv.DictReader(io.StringIO(series)))["scene_id"]
        texts.append(series + railwatch(*base, "railcars", "yard", "--scene", scene_id)[1])
    assert texts[0] == texts[1]
