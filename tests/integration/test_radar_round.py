"""Radar over the whole round: orbits and platforms apart, seen beside the series, judged only where it was proven."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.transform import Affine
from rasterio.warp import transform as to_projection

from pipeline.model import Observation, Outcome
from pipeline.round.progress import Silent
from pipeline.round.run import RoundResult, run_round
from pipeline.round.workspace import Workspace
from pipeline.simulate.radar import RadarConditions, RadarLook, RadarPlan, RadarView, radar_looks
from pipeline.simulate.yard import make_site, make_tracks
from pipeline.traffic.likelihood import evidence

CRS = "EPSG:32652"
START = datetime(2022, 1, 5, 21, 38, 12, tzinfo=UTC)
CALM = RadarConditions(moisture_db=0.4, unlike_db=0.05, season_db=0.3, worked_share=0.0, keep_share=0.0)
MAIN, OTHER = RadarView("S1A", "R061", 80.0), RadarView("S1C", "R061", 80.0)
# The last pass is a surge; earlier ones hold enough variety for radar to be held against known counts.
CARS = (4, 11, 60, 2, 9, 35, 14, 7, 75, 5, 12, 50, 3, 8, 100)
KNOWN = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)


def looks() -> list[RadarLook]:
    """Return fifteen passes of one platform, and four of another that stand between them."""
    tracks = make_tracks("parallel", tracks=6, length_m=500.0, centre=(632400.0, 4697800.0), azimuth_deg=104.0)
    site = make_site(tracks, CRS, margin_m=350.0)
    plans = [RadarPlan(START + timedelta(days=12 * k), n, MAIN) for k, n in enumerate(CARS)]
    plans += [RadarPlan(START + timedelta(days=12 * k + 6), 20, OTHER) for k in range(4)]
    return list(radar_looks(site, sorted(plans, key=lambda plan: plan.observed_at), 12, CALM))


def write_world(folder: Path, passes: list[RadarLook], *, known: bool) -> Path:
    """Write a static catalogue in the manner of sentinel-1-rtc and its configuration; return the latter."""
    tracks = make_tracks("parallel", tracks=6, length_m=500.0, centre=(632400.0, 4697800.0), azimuth_deg=104.0)

    def degrees(points: list[tuple[float, float]]) -> list[list[float]]:
        lon, lat = to_projection(CRS, "EPSG:4326", [p[0] for p in points], [p[1] for p in points])
        return [[round(x, 9), round(y, 9)] for x, y in zip(lon, lat, strict=True)]

    west, south, east, north = passes[0].grid.bounds
    ring = degrees([(west, south), (east, south), (east, north), (west, north), (west, south)])
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    bbox = [min(xs), min(ys), max(xs), max(ys)]
    names = []
    for one in passes:
        when = one.plan.observed_at
        name = f"{one.plan.view.platform}_IW_GRDH_1SDV_{when:%Y%m%dT%H%M%S}_rtc"
        names.append(name)
        target = folder / "catalogue" / name
        target.mkdir(parents=True)
        for band, values in zip(("vv", "vh"), one.values, strict=True):
            profile = {"height": one.grid.height, "width": one.grid.width, "count": 1, "dtype": "float32"}
            place = {"crs": CRS, "transform": Affine(*one.grid.transform), "nodata": -32768}
            with rasterio.open(target / f"{band}.tif", "w", driver="GTiff", **profile, **place) as out:
                out.write(values, 1)
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "sentinel-1-rtc",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": bbox,
            "properties": {
                "datetime": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "platform": f"SENTINEL-1{one.plan.view.platform[-1]}",
                "sat:relative_orbit": int(one.plan.view.orbit[1:]),
                "s1:processing_level": "1",
                "proj:code": CRS,
            },
            "links": [],
            "assets": {band: {"href": f"./{band}.tif", "roles": ["data"]} for band in ("vv", "vh")},
        }
        (target / f"{name}.json").write_text(json.dumps(item))
    links = [{"rel": "item", "href": f"./{name}/{name}.json"} for name in names]
    catalogue = {"type": "Catalog", "id": "radar", "stac_version": "1.0.0", "description": "Radar", "links": links}
    (folder / "catalogue" / "catalog.json").write_text(json.dumps(catalogue))

    features = [
        {
            "type": "Feature",
            "properties": {"track_id": t.track_id, "name": t.name, "use": t.use, "provisional": False},
            "geometry": {"type": "LineString", "coordinates": degrees([(x, y) for x, y in t.line.coords])},
        }
        for t in tracks
    ]
    place = {"name": "yard", "title": "Yard", "crs": CRS, "bbox": bbox, "area": ring[:-1], "sources": ["radar"]}
    bands = {"vv": {"asset": "vv", "nodata": -32768}, "vh": {"asset": "vh", "nodata": -32768}}
    collection = {"id": "sentinel-1-rtc", "sensor": "sentinel-1", "gsd_m": 10, "bands": bands, "offset_rule": "none"}
    source = {"name": "radar", "title": "Radar", "kind": "stac-static", "url": "../catalogue/catalog.json"}
    for name, text in {
        "settings.yaml": yaml.safe_dump({"default_site": "yard", "alarms": {"calibration_years": 50}}),
        "sites/yard/site.yaml": yaml.safe_dump(place),
        "sites/yard/tracks.geojson": json.dumps({"type": "FeatureCollection", "features": features}),
        "sources/radar.yaml": yaml.safe_dump({**source, "collections": [collection]}),
    }.items():
        (folder / "config" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "config" / name).write_text(text, encoding="utf-8")
    if known:
        rows = ["date_start,date_end,site,kind,value,unit,sensor,publisher,confidence,source,note"]
        for k in KNOWN:
            day = (START + timedelta(days=12 * k)).date()
            rows.append(
                f"{day},{day},Yard,count,{CARS[k]},railcars,Planet,X,primary,https://example.org,total of the yard"
            )
        (folder / "config" / "sites" / "yard" / "published.csv").write_text("\n".join(rows) + "\n")
    return folder / "config"


def walk(config: Path, home: Path) -> tuple[RoundResult, list[Observation]]:
    until = START + timedelta(days=12 * len(CARS))
    with Workspace.open(config, home) as ws:
        result = run_round(ws, "yard", today=until, since=START - timedelta(days=1), until=until, progress=Silent())
        return result, ws.store.observations("yard")


@pytest.fixture(scope="module")
def passes() -> list[RadarLook]:
    return looks()


def test_radar_is_counted_beside_the_series_and_never_judged_unproven(
    tmp_path: Path, passes: list[RadarLook]
) -> None:
    result, rows = walk(write_world(tmp_path, passes, known=False), tmp_path / "home")
    assert len(rows) == len(passes)
    other = [row for row in rows if row.platform == "S1C"]
    main = [row for row in rows if row.platform == "S1A"]
    # Four looks of another platform never make up for a short history, nor lengthen that of the first.
    assert [row.flags for row in other] == [("HISTORY_SHORT",)] * 4
    assert [row.outcome for row in main[:8]] == [Outcome.REJECTED] * 8
    counted = main[8:]
    assert all(row.count is not None and "RADAR_UNPROVEN" in row.flags for row in counted)
    surge = counted[-1].count
    assert surge is not None
    assert surge.low <= CARS[-1] <= surge.high
    assert {"change_vv_db", "change_vh_db", "empty_p"} <= surge.measures.keys()
    assert evidence(rows) == ()
    assert result.judgement is not None
    assert result.judgement.surges == ()


def test_where_known_counts_prove_radar_it_is_judged(tmp_path: Path, passes: list[RadarLook]) -> None:
    _, rows = walk(write_world(tmp_path, passes, known=True), tmp_path / "home")
    told = evidence(rows)
    assert told, "no radar look is judged although ten known counts agree with it"
    assert {one.sensor for one in told} == {"sentinel-1"}
    newest = next(row for row in rows if row.observation_id == told[-1].observation_id)
    assert newest.observed_at == max(row.observed_at for row in rows if row.platform == "S1A")
    assert "RADAR_UNPROVEN" not in newest.flags
    assert int(np.argmax(told[-1].own)) > 60
