"""Items that no recording was at hand for, built to the published schemas, through the shipped configurations.

Landsat Collection 2 Level 2 as USGS and Planetary Computer write it (extension `landsat` 1.1), Sentinel-1 RTC as
Planetary Computer writes it (extensions `sar` 1.0 and `sat` 1.0), Sentinel-2 as Copernicus Data Space writes it (STAC
1.1 with `alternate` assets).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import Affine
from support.imagery_world import CRS, small_site

from pipeline.config import CollectionConfig, QualitySettings, SourceConfig, open_configuration
from pipeline.imagery.hosts import Gate
from pipeline.imagery.items import parse_item
from pipeline.imagery.quality import look_at
from pipeline.imagery.remote import Web
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.window import read_scene
from pipeline.model import Item

ROOT = Path(__file__).parents[3]
SITE = small_site()
RING = [[130.0, 41.5], [132.5, 41.5], [132.5, 43.5], [130.0, 43.5], [130.0, 41.5]]


def shipped(source: str, collection: str) -> tuple[SourceConfig, CollectionConfig]:
    config = open_configuration(ROOT / "config").source(source)
    return config, next(c for c in config.collections if c.id == collection)


def document(
    item_id: str, collection: str, when: datetime, assets: dict[str, Any], **properties: Any
) -> dict[str, Any]:
    made = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "bbox": [130.0, 41.5, 132.5, 43.5],
        "properties": {"datetime": f"{when:%Y-%m-%dT%H:%M:%S.%fZ}", **properties},
        "assets": assets,
        "links": [{"rel": "collection", "href": "https://example.org/c", "type": "application/json"}],
    }
    pystac.Item.from_dict(made).validate()  # against the core schema that pystac carries
    return made


def landsat(row: str, when: datetime, platform: str = "landsat-9", folder: str = "https://x") -> dict[str, Any]:
    number = platform[-1]
    names = ("blue", "green", "red", "nir08", "swir16", "swir22")
    raster = [{"scale": 2.75e-05, "offset": -0.2, "nodata": 0, "data_type": "uint16", "spatial_resolution": 30}]
    return document(
        f"LC0{number}_L2SP_114{row}_{when:%Y%m%d}_02_T1",
        "landsat-c2-l2",
        when,
        {
            **{name: {"href": f"{folder}/{row}_{name}.TIF", "raster:bands": raster} for name in names},
            "qa_pixel": {"href": f"{folder}/{row}_qa.TIF", "raster:bands": [{"nodata": 1, "data_type": "uint16"}]},
        },
        platform=platform,
        **{
            "landsat:wrs_path": "114",
            "landsat:wrs_row": row,
            "landsat:collection_number": "02",
            "landsat:correction": "L2SP",
            "proj:code": CRS,
            "view:sun_elevation": 39.2,
            "eo:cloud_cover": 12.5,
        },
    )


def test_two_rows_of_a_landsat_path_are_one_look_in_reflectance(tmp_path: Path) -> None:
    config, collection = shipped("planetary-computer", "landsat-c2-l2")
    when = datetime(2023, 10, 6, 2, 4, 11, tzinfo=UTC)
    rng = np.random.default_rng(1)
    truth = {band: rng.uniform(0.02, 0.4, (40, 60)) for band in collection.bands if band != "qa"}
    # The rows overlap along the path: the northern one holds the upper 25 lines, the southern one the lower 25.
    for row, lines in (("030", slice(0, 25)), ("031", slice(15, 40))):
        corner = Affine(30, 0, 631800, 0, -30, 4698900 - 30 * lines.start)
        for band, how in collection.bands.items():
            qa = np.full((25, 60), 21824, np.uint16)  # clear land (USGS LSDS-1619, table 6-2)
            qa[:, 40:] = 22280  # cloud of high confidence
            values = qa if band == "qa" else np.rint((truth[band][lines] + 0.2) / 2.75e-05).astype(np.uint16)
            name = "qa" if band == "qa" else how.asset
            with rasterio.open(
                tmp_path / f"{row}_{name}.TIF", "w", driver="GTiff", width=60, height=25, count=1, dtype="uint16",
                crs=CRS, transform=corner,
            ) as target:  # fmt: skip
                target.write(values, 1)
    items = [
        parse_item(landsat(row, when + timedelta(seconds=24 * n), folder=str(tmp_path)), config, collection)
        for n, row in enumerate(("030", "031"))
    ]
    assert [item.problem for item in items] == ["", ""]
    (scene,), _ = scenes_from_items(items, [config.name])
    assert (scene.scene_id, scene.orbit, len(scene.items)) == ("L9_20231006_P114", "P114", 2)
    chip = read_scene(config, Web(Gate(config.name, root=tmp_path)), SITE, scene)
    look = look_at(chip, SITE, QualitySettings())
    assert chip.valid.all()
    x, y = (
        look.grid.to_xy(np.arange(look.grid.width) + 0.5, 0.5)[0],
        look.grid.to_xy(0.5, np.arange(look.grid.height) + 0.5)[1],
    )
    cols, rows = ((x - 631800) // 30).astype(int), ((4698900 - y) // 30).astype(int)
    for band in truth:
        assert np.abs(look.band(band) - truth[band][np.ix_(rows, cols)]).max() < 1e-4
    assert not look.clear[:, cols >= 40].any()
    assert look.clear[:, cols < 39].all(), "one pixel around a cloud is taken off"


@pytest.mark.parametrize(("platform", "name"), [("landsat-8", "L8"), ("landsat-9", "L9")])
def test_each_landsat_is_a_platform_of_its_own(platform: str, name: str) -> None:
    config, collection = shipped("planetary-computer", "landsat-c2-l2")
    item = parse_item(landsat("031", datetime(2023, 10, 6, 2, 4, tzinfo=UTC), platform), config, collection)
    assert (item.platform, item.orbit, item.tile, item.processing) == (name, "P114", "031", "02")


def radar(platform: str, orbit: int, when: datetime) -> Item:
    config, collection = shipped("planetary-computer", "sentinel-1-rtc")
    unit = platform[-1].upper()
    stamp = f"{when:%Y%m%dT%H%M%S}_{when + timedelta(seconds=25):%Y%m%dT%H%M%S}"
    assets = {
        name: {
            "href": f"https://sentinel1euwestrtc.blob.core.windows.net/sentinel1-grd-rtc/{stamp}/{name}.rtc.tiff",
            "raster:bands": [{"nodata": -32768, "data_type": "float32", "spatial_resolution": 10.0}],
        }
        for name in ("vv", "vh")
    }
    made = document(
        f"S1{unit}_IW_GRDH_1SDV_{stamp}_050621_rtc",
        "sentinel-1-rtc",
        when,
        assets,
        platform=f"SENTINEL-1{unit}",
        **{
            "sar:instrument_mode": "IW",
            "sar:frequency_band": "C",
            "sar:product_type": "GRD",
            "sar:polarizations": ["VV", "VH"],
            "sat:relative_orbit": orbit,
            "sat:orbit_state": "descending",
            "s1:processing_level": "1",
            "proj:code": CRS,
        },
    )
    return parse_item(made, config, collection)


def test_radar_slices_of_one_pass_are_one_look_and_platforms_and_orbits_stay_apart() -> None:
    when = datetime(2025, 5, 4, 21, 38, 12, tzinfo=UTC)
    items = [radar("1a", 61, when), radar("1a", 61, when + timedelta(seconds=25))]
    items += [radar("1c", 61, when + timedelta(days=6)), radar("1d", 61, when + timedelta(days=7))]
    items += [radar("1a", 134, when + timedelta(hours=12))]
    assert [item.problem for item in items] == [""] * 5
    scenes, _ = scenes_from_items(items, ["planetary-computer"])
    assert [(scene.platform, scene.orbit, len(scene.items)) for scene in scenes] == [
        ("S1A", "R061", 2),
        ("S1A", "R134", 1),
        ("S1C", "R061", 1),
        ("S1D", "R061", 1),
    ]
    assert all(asset.nodata == -32768 and asset.offset == 0.0 for item in items for asset in item.assets)


def copernicus() -> dict[str, Any]:
    product = "S2A_MSIL2A_20231006T022011_N0509_R103_T52TFM_20231006T061234"
    assets = {}
    for name in ("B02_10m", "B03_10m", "B04_10m", "B08_10m", "B11_20m", "B12_20m", "SCL_20m"):
        path = f"Sentinel-2/MSI/L2A/2023/10/06/{product}.SAFE/GRANULE/x/IMG_DATA/{name}.jp2"
        href = f"https://download.dataspace.copernicus.eu/odata/v1/Products(1)/Nodes({name})/$value"
        assets[name] = {"href": f"s3://eodata/{path}", "alternate": {"https": {"href": href}}, "proj:code": CRS}
        if name != "SCL_20m":
            assets[name] |= {"raster:scale": 0.0001, "raster:offset": -0.1, "nodata": 0}
    when = datetime(2023, 10, 6, 2, 20, 11, tzinfo=UTC)
    told = {"processing:version": "05.09", "sat:relative_orbit": 103, "grid:code": "MGRS-52TFM"}
    return document(product, "sentinel-2-l2a", when, assets, platform="sentinel-2a", **told)


@pytest.mark.parametrize(
    ("source", "start"),
    [
        ("copernicus-data-space", "https://download.dataspace.copernicus.eu/odata/"),
        ("copernicus-data-space-s3", "s3://eodata/Sentinel-2/"),
    ],
)
def test_copernicus_items_are_read_by_token_or_by_s3(source: str, start: str) -> None:
    config, collection = shipped(source, "sentinel-2-l2a")
    item = parse_item(copernicus(), config, collection)
    assert item.problem == ""
    assert (item.platform, item.orbit, item.tile, item.processing) == ("S2A", "R103", "52TFM", "05.09")
    assert {asset.band for asset in item.assets} == set(collection.bands)
    assert all(asset.href.startswith(start) for asset in item.assets)
    assert all((asset.scale, asset.offset) == (1e-4, -0.1) for asset in item.assets if asset.band != "scl")


def test_one_pass_in_three_public_catalogues_is_one_scene() -> None:
    config, collection = shipped("copernicus-data-space", "sentinel-2-l2a")
    one = parse_item(copernicus(), config, collection)
    others = [
        replace(one, source="earth-search", item_id="S2A_T52TFM_20231006T022011_L2A", processing="05.00"),
        replace(one, source="planetary-computer", orbit="", item_id="S2A_MSIL2A_20231006T022011_R103_T52TFM_x"),
    ]
    scenes, ledger = scenes_from_items([one, *others], ["earth-search", "planetary-computer"])
    assert [(scene.scene_id, scene.source) for scene in scenes] == [("S2A_20231006_R103", "earth-search")]
    assert len(ledger.of("skipped")) == 2
