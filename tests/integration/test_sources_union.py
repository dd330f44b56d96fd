"""One simulated pass delivered by three sources, each in its own manner: one look, and the same pixels from each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine
from support.imagery_servers import local_server, rustac_server
from support.imagery_world import CRS, collection_document, small_site
from support.sources_world import stac_source, write_sources_config

from pipeline.imagery.quality import look_at
from pipeline.imagery.scenes import scenes_from_items
from pipeline.model import Grid, Look
from pipeline.round.run import run_round
from pipeline.round.workspace import Workspace

SITE = small_site()
WHEN = datetime(2023, 10, 6, 2, 20, 11, tzinfo=UTC)
SINCE, UNTIL = datetime(2023, 10, 1, tzinfo=UTC), datetime(2023, 10, 31, tzinfo=UTC)
BANDS = ("blue", "green", "red", "nir")
ESA = dict(zip((*BANDS, "scl"), ("B02", "B03", "B04", "B08", "SCL"), strict=True))
LEVEL = {"blue": 0.05, "green": 0.08, "red": 0.06, "nir": 0.30}
WEST, NORTH = 631900.0, 4698700.0


def ground(band: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return reflectance at metres of the site's projection: vegetation, smooth, with structure down to 60 m."""
    u, v = (x - 632000.0) / 60.0, (y - 4698000.0) / 75.0
    return LEVEL[band] * (1 + 0.25 * np.sin(u) * np.cos(v) + 0.15 * np.sin(0.37 * u + 0.9 * v))


def write(path: Path, driver: str, crs: str, transform: Affine, shape: tuple[int, int], band: str, add: int) -> None:
    """Write one band sampled at pixel centres, or classes that are all vegetation."""
    cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = Grid(crs, tuple(transform)[:6], 1, 1).to_xy(cols, rows)
    x, y = Transformer.from_crs(crs, CRS, always_xy=True).transform(x, y)
    if band == "scl":
        values = np.full(shape, 4, dtype=np.uint8)
    else:
        values = np.rint(ground(band, np.asarray(x), np.asarray(y)) * 10000 + add).astype(np.uint16)
    options = {"QUALITY": 100, "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    with rasterio.open(
        path, "w", driver=driver, width=shape[1], height=shape[0], count=1, dtype=values.dtype, crs=crs,
        transform=transform, nodata=0 if driver == "GTiff" else None, **options,
    ) as target:  # fmt: skip
        target.write(values, 1)


def item(name: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    to_degrees = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    corners = [(WEST - 500, NORTH + 500), (WEST + 2500, NORTH + 500), (WEST + 2500, NORTH - 2500)]
    corners.append((WEST - 500, NORTH - 2500))
    ring = [list(to_degrees.transform(*corner)) for corner in (*corners, corners[0])]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(p[0] for p in ring), min(p[1] for p in ring), max(p[0] for p in ring), max(p[1] for p in ring)],
        "properties": {"datetime": f"{WHEN:%Y-%m-%dT%H:%M:%SZ}", "eo:cloud_cover": 2, **properties},
        "assets": assets,
        "links": [],
    }


def bands_of(names: dict[str, str]) -> dict[str, Any]:
    return {band: {"asset": name, "scale": 0.0001, "nodata": 0} for band, name in names.items()}


def collection(names: dict[str, str], rule: str) -> dict[str, Any]:
    mask = {"band": "scl", "kind": "s2-scl"}
    common = {"id": "sentinel-2-l2a", "sensor": "sentinel-2", "gsd_m": 10, "mask": mask}
    return {**common, "bands": bands_of(names), "offset_rule": rule}


@contextmanager
def three_sources(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Serve the pass; yields the YAML of each source.

    `api`: a STAC API, GeoTIFF of the tile's own pixels, +1000 carried and declared in the item.
    `esa`: a static catalogue over http, lossless JPEG 2000 under ESA's names, +1000 told by the baseline alone.
    `disk`: a static catalogue on disk in the neighbouring zone, offset removed although the item still declares it.
    """
    with local_server(folder) as files:
        api, esa, disk = folder / "api", folder / "esa", folder / "disk"
        for path in (api, esa, disk):
            path.mkdir(parents=True)
        assets = {}
        for band in (*BANDS, "scl"):
            write(api / f"{band}.tif", "GTiff", CRS, Affine(10, 0, WEST, 0, -10, NORTH), (140, 160), band, 1000)
            raster = {"scale": 0.0001, "offset": -0.1, "nodata": 0} if band != "scl" else {"nodata": 0}
            assets[band] = {"href": f"{files.url}/api/{band}.tif", "raster:bands": [raster]}
        told = {"platform": "sentinel-2a", "sat:relative_orbit": 103, "proj:code": CRS}
        one = item(
            "S2A_52TFM_20231006_0_L2A",
            assets,
            **told,
            **{"s2:processing_baseline": "05.09", "grid:code": "MGRS-52TFM"},
        )
        (folder / "collection.json").write_text(json.dumps(collection_document()), encoding="utf-8")
        (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": [one]}))

        for band, name in ESA.items():
            corner = Affine(10, 0, WEST - 70, 0, -10, NORTH + 130)
            write(esa / f"{name}.jp2", "JP2OpenJPEG", CRS, corner, (150, 170), band, 1000)
        links = {name: {"href": f"./{name}.jp2"} for name in ESA.values()}
        product = "S2A_MSIL2A_20231006T022011_R103_T52TFM_20231006T061234"
        uri = {"s2:product_uri": f"{product}.SAFE", "s2:mgrs_tile": "52TFM", "proj:epsg": 32652}
        two = item(product, links, platform="Sentinel-2A", **uri, **{"s2:processing_baseline": "05.09"})
        write_static(esa, two)

        zone = "EPSG:32651"
        x, y = Transformer.from_crs(CRS, zone, always_xy=True).transform(632000.0, 4698600.0)
        corner = Affine(10, 0, round(x, -1) - 300, 0, -10, round(y, -1) + 500)
        assets = {}
        for band in (*BANDS, "scl"):
            write(disk / f"{band}.tif", "GTiff", zone, corner, (190, 260), band, 0)
            raster = {"scale": 0.0001, "offset": -0.1, "nodata": 0} if band != "scl" else {"nodata": 0}
            assets[band] = {"href": f"./{band}.tif", "raster:bands": [raster]}
        extra = {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09", "proj:code": zone}
        three = item("S2A_51TZG_20231006_1_L2A", assets, **{**told, **extra})
        write_static(disk, three)

        plain = {band: band for band in (*BANDS, "scl")}
        here = {"allow_loopback": True, "allowed_hosts": ["127.0.0.1"]}
        with rustac_server(folder / "collection.json", folder / "items.json") as url:
            yield {
                "api": stac_source(url, collections=[collection(plain, "item")]),
                "esa": {
                    "kind": "stac-static",
                    "url": f"{files.url}/esa/catalog.json",
                    "collections": [collection(ESA, "esa-baseline-0400")],
                    **here,
                },
                "disk": {
                    "kind": "stac-static",
                    "url": str(disk),
                    "collections": [collection(plain, "item")],
                },
            }


def write_static(folder: Path, document: dict[str, Any]) -> None:
    (folder / "item.json").write_text(json.dumps(document), encoding="utf-8")
    links = [{"rel": "item", "href": "./item.json", "type": "application/geo+json"}]
    root = {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "one pass", "links": links}
    (folder / "catalog.json").write_text(json.dumps(root), encoding="utf-8")


def shift(values: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (columns, rows) in pixels by least squares on the reference's gradient (Lucas and Kanade 1981)."""
    gy, gx = np.gradient(reference)
    inner = (slice(2, -2), slice(2, -2))
    design = np.column_stack((gx[inner].ravel(), gy[inner].ravel()))
    found: NDArray[np.float64] = np.linalg.lstsq(design, (reference - values)[inner].ravel(), rcond=None)[0]
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("union")
    with three_sources(folder / "served") as sources:
        yield write_sources_config(folder / "config", sources), folder


def test_the_pass_is_one_look_from_the_preferred_source(world: tuple[Path, Path]) -> None:
    config, folder = world
    with Workspace.open(config, folder / "home") as ws:
        result = run_round(ws, "small", today=UNTIL, since=SINCE, until=UNTIL)
        (row,) = ws.store.observations("small")
        assert (row.scene_id, row.source) == ("S2A_20231006_R103", "api")
        assert row.item_ids == ("S2A_52TFM_20231006_0_L2A",)
        assert len(ws.archive.find("small")) == 1
        same = [entry.subject for entry in result.ledger.of("skipped") if "same pass" in entry.detail]
        assert len(same) == 2, "the other two deliveries are named"
        assert len([entry for entry in result.ledger.entries if entry.outcome == "failed"]) == 0
        again = run_round(ws, "small", today=UNTIL, since=SINCE, until=UNTIL)
        assert again.plan.new == ()
        assert list(ws.store.observations("small")) == [row]


def test_whatever_the_preference_the_pass_has_one_name(world: tuple[Path, Path]) -> None:
    config, folder = world
    with Workspace.open(config, folder / "home-names") as ws:
        items = [i for name in ("api", "esa", "disk") for i in ws.reader(name).search(ws.site("small"), SINCE, UNTIL)]
    for order in permutations(("api", "esa", "disk")):
        (scene,), _ = scenes_from_items(items, order)
        assert (scene.scene_id, scene.source) == ("S2A_20231006_R103", order[0])


def test_pixels_of_the_three_agree_on_the_grid(world: tuple[Path, Path]) -> None:
    config, folder = world
    looks: dict[str, Look] = {}
    with Workspace.open(config, folder / "home-pixels") as ws:
        site = ws.site("small")
        for name in ("api", "esa", "disk"):
            (scene,), _ = scenes_from_items(ws.reader(name).search(site, SINCE, UNTIL), [name])
            chip = ws.reader(name).read(site, scene)
            looks[name] = look_at(chip, site, ws.settings.quality)
            assert chip.valid.all()
    grid = looks["api"].grid
    assert all(look.grid == grid for look in looks.values())
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    for band in BANDS:
        truth = ground(band, *grid.to_xy(cols, rows))
        for name, look in looks.items():
            seen = look.band(band).astype(np.float64)
            assert np.abs(seen - truth).max() <= 0.001, f"{name} {band}: 0.1 % reflectance"
            assert np.abs(seen - looks["api"].band(band)).max() <= 0.001
            if LEVEL[band] > 0.1:
                assert np.abs(shift(seen, looks["api"].band(band).astype(np.float64))).max() <= 0.02, f"{name} pixels"
    assert {name for name, look in looks.items() if "OFFSET_AMBIGUOUS" in look.flags} == set()
    moved = replace(looks["api"], values=np.roll(looks["api"].values, 1, axis=2)).band("nir").astype(np.float64)
    assert abs(shift(moved, looks["api"].band("nir").astype(np.float64))[0]) > 0.5, "a shift would have been seen"
