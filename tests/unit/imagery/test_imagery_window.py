"""Pixels on the grid: the same pass in other files, samplings and projections gives the same ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from scipy import ndimage
from support.imagery_world import CRS, SINCE, UNTIL, small_site, source_config

from pipeline.errors import ReadError
from pipeline.imagery.resample import place
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.model import Asset, Chip, Grid

SITE = small_site()
GRID = SITE.grid(10.0)


def ground(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return reflectance at metres of the site's projection: smooth, with structure down to 60 m."""
    u, v = (x - 632000.0) / 60.0, (y - 4698000.0) / 75.0
    return 0.2 + 0.05 * np.sin(u) * np.cos(v) + 0.03 * np.sin(0.37 * u + 0.9 * v)


def write(path: Path, crs: str, transform: Affine, shape: tuple[int, int], **options: object) -> None:
    """Write `ground` as digital numbers sampled at pixel centres."""
    from pyproj import Transformer

    cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = Grid(crs, tuple(transform)[:6], 1, 1).to_xy(cols, rows)
    sx, sy = Transformer.from_crs(crs, CRS, always_xy=True).transform(x, y)
    values = np.rint(ground(np.asarray(sx), np.asarray(sy)) * 10000).astype(np.uint16)
    with rasterio.open(
        path, "w", driver="GTiff", width=shape[1], height=shape[0], count=1, dtype="uint16", crs=crs,
        transform=transform, nodata=0, **options,
    ) as target:  # fmt: skip
        target.write(values, 1)


CASES = {
    "own pixels": (CRS, Affine(10, 0, 631900, 0, -10, 4698700), (140, 160)),
    "shifted by half a pixel": (CRS, Affine(10, 0, 631905, 0, -10, 4698705), (140, 160)),
    "20 m": (CRS, Affine(20, 0, 631900, 0, -20, 4698700), (80, 80)),
    "the zone beside": ("EPSG:32651", Affine(10, 0, 1125000, 0, -10, 4713300), (190, 260)),
    "web mercator": ("EPSG:3857", Affine(13.5, 0, 14538300, 0, -13.5, 5224900), (140, 180)),
}


def placed(tmp_path: Path, case: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    crs, transform, shape = CASES[case]
    path = tmp_path / "x.tif"
    if case == "the zone beside":  # its origin is where the site lies
        from pyproj import Transformer

        x, y = Transformer.from_crs(CRS, crs, always_xy=True).transform(632000.0, 4698600.0)
        transform = Affine(10, 0, round(x, -1) - 300, 0, -10, round(y, -1) + 500)
    if case == "web mercator":
        from pyproj import Transformer

        x, y = Transformer.from_crs(CRS, crs, always_xy=True).transform(632000.0, 4698600.0)
        transform = Affine(13.5, 0, x - 300, 0, -13.5, y + 400)
    write(path, crs, transform, shape)
    with rasterio.open(path) as source:
        values, valid = place(source, Asset("red", "x.tif", nodata=0.0), GRID, classes=False, crs="")
    return values * 1e-4, valid


@pytest.mark.parametrize("case", CASES)
def test_every_delivery_of_a_pass_agrees_on_the_grid(tmp_path: Path, case: str) -> None:
    values, valid = placed(tmp_path, case)
    cols, rows = np.meshgrid(np.arange(GRID.width) + 0.5, np.arange(GRID.height) + 0.5)
    truth = ground(*GRID.to_xy(cols, rows))
    assert valid.all()
    assert np.abs(values - truth).max() <= 0.001, "0.1 % reflectance"
    # Shift by least squares against the truth's own gradient (Lucas and Kanade 1981).
    gy, gx = np.gradient(truth)
    inner = (slice(2, -2), slice(2, -2))
    design = np.column_stack((gx[inner].ravel(), gy[inner].ravel()))
    shift = np.linalg.lstsq(design, (truth - values)[inner].ravel(), rcond=None)[0]
    assert np.abs(shift).max() <= 0.02, "pixels"


def test_nodata_does_not_bleed_and_dark_pixels_do_not_become_nodata(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    write(path, CRS, Affine(20, 0, 631900, 0, -20, 4698700), (80, 80))
    with rasterio.open(path, "r+") as target:
        values = target.read(1)
        values[20:30, 20:40] = 0
        values[35:38, 45:50] = 1
        target.write(values, 1)
    with rasterio.open(path) as source:
        out, valid = place(source, Asset("red", "x.tif"), GRID, classes=False, crs="")
    truth = ndimage.zoom(values > 0, 2, order=0)[26:74, 30:110]
    assert np.array_equal(valid, truth)
    assert out[valid].min() >= 1
    edge = valid & ndimage.binary_dilation(~valid, iterations=2)
    assert out[edge].min() > 900


def test_classes_are_never_averaged(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    kinds = np.random.default_rng(3).choice(np.array([3, 4, 9], dtype=np.uint8), (80, 80))
    with rasterio.open(
        path, "w", driver="GTiff", width=80, height=80, count=1, dtype="uint8", crs=CRS,
        transform=Affine(20, 0, 631900, 0, -20, 4698700),
    ) as target:  # fmt: skip
        target.write(kinds, 1)
    with rasterio.open(path) as source:
        out, _ = place(source, Asset("scl", "x.tif"), GRID, classes=True, crs="")
    assert np.array_equal(out, np.kron(kinds, np.ones((2, 2), np.uint8))[26:74, 30:110])


def test_a_file_of_another_place_is_all_invalid(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    write(path, CRS, Affine(10, 0, 732000, 0, -10, 4698700), (30, 30))
    with rasterio.open(path) as source:
        _, valid = place(source, Asset("red", "x.tif"), GRID, classes=False, crs="")
    assert not valid.any()


def test_a_file_without_a_place_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    warns = pytest.warns(rasterio.errors.NotGeoreferencedWarning)
    with warns, rasterio.open(path, "w", driver="GTiff", width=9, height=9, count=1, dtype="uint16") as target:
        target.write(np.ones((9, 9), np.uint16), 1)
    warns = pytest.warns(rasterio.errors.NotGeoreferencedWarning)
    with warns, rasterio.open(path) as source, pytest.raises(ReadError, match="where on earth"):
        place(source, Asset("red", "x.tif"), GRID, classes=False, crs="")


def radar_document(folder: Path) -> dict[str, object]:
    """Return an item as the published schemas of sentinel-1-rtc have it (no recording was at hand)."""
    power = np.random.default_rng(4).gamma(4.4, 0.02, (140, 160)).astype(np.float32)
    power[:30] = -32768.0
    for name in ("vv", "vh"):
        with rasterio.open(
            folder / f"{name}.tif", "w", driver="GTiff", width=160, height=140, count=1, dtype="float32", crs=CRS,
            transform=Affine(10, 0, 631900, 0, -10, 4698700), nodata=-32768.0,
        ) as target:  # fmt: skip
            target.write(power * (1.0 if name == "vv" else 0.2), 1)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S1A_IW_GRDH_1SDV_20231004T213812_20231004T213837_050621_061986_rtc",
        "collection": "sentinel-1-rtc",
        "geometry": {"type": "Polygon", "coordinates": [[[130, 42], [132, 42], [132, 43], [130, 43], [130, 42]]]},
        "properties": {
            "datetime": "2023-10-04T21:38:24.5Z",
            "start_datetime": "2023-10-04T21:38:12Z",
            "end_datetime": "2023-10-04T21:38:37Z",
            "platform": "SENTINEL-1A",
            "sat:relative_orbit": 61,
            "sat:orbit_state": "descending",
            "proj:code": CRS,
        },
        "assets": {name: {"href": f"./{name}.tif"} for name in ("vv", "vh")},
        "links": [],
    }


def test_radar_is_read_as_linear_power(tmp_path: Path) -> None:
    import json

    (tmp_path / "s1.json").write_text(json.dumps(radar_document(tmp_path)))
    root = {"type": "Catalog", "links": [{"rel": "item", "href": "s1.json"}]}
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    collection = {
        "id": "sentinel-1-rtc",
        "sensor": "sentinel-1",
        "gsd_m": 10,
        "bands": {name: {"asset": name, "nodata": -32768} for name in ("vv", "vh")},
        "offset_rule": "none",
    }
    source = open_source(source_config("stac-static", "catalog.json", collections=[collection]), base=tmp_path)
    (scene,), _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    # 21:38 UTC is the morning of the 5th by the sun of 131 degrees east.
    assert (scene.scene_id, scene.platform, scene.orbit) == ("S1A_20231005_R061", "S1A", "R061")
    chip: Chip = source.read(SITE, scene)
    assert chip.values.dtype == np.float32
    assert chip.bands == ("vv", "vh")
    assert chip.scale == (1.0, 1.0)
    assert not chip.valid[0].any()
    assert chip.valid[10:].all()
    assert chip.values[:, chip.valid].min() > 0
