"""Writes acquisitions as a static STAC catalogue of cloud-optimised GeoTIFFs, in the manner of Earth Search v1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine

from pipeline.model import Grid

COLLECTION = "sentinel-2-l2a"
BAND_GSD_M = {"blue": 10, "green": 10, "red": 10, "nir": 10, "swir16": 20, "swir22": 20, "scl": 20}
STAC_VERSION = "1.0.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
)


@dataclass(frozen=True)
class Acquisition:
    """One item to be written."""

    item_id: str
    observed_at: datetime  # UTC
    platform: str  # sentinel-2a, sentinel-2b
    orbit: int  # relative orbit
    processing_baseline: str  # such as 04.00
    datatake_id: str
    updated: str  # RFC 3339
    sun_elevation_deg: float
    sun_azimuth_deg: float
    cloud_cover: float  # percent, of the tile
    offset: float  # declared in raster:bands, reflectance
    offset_applied: bool | None  # earthsearch:boa_offset_applied


def write_acquisition(
    folder: Path, grid: Grid, acquisition: Acquisition, bands: Mapping[str, NDArray[Any]], *, old_projection_key: bool
) -> Path:
    """Write one item's assets and its JSON.

    Parameters
    ----------
    folder : Path
        Of the catalogue; the item goes to `folder / "items" / item_id`.
    grid : Grid
        Of the 10 m bands, in metres.
    acquisition : Acquisition
    bands : mapping of str to array
        (rows, columns) digital numbers at 10 m, uint16, 0 where there is no data; `scl` uint8. Bands that the
        sensor has at 20 m are averaged (classes: taken from the upper-left pixel) before they are written.
    old_projection_key : bool
        Write `proj:epsg` as older catalogues do, instead of `proj:code`.

    Returns
    -------
    Path
        Of the item's JSON.
    """
    target = folder / "items" / acquisition.item_id
    target.mkdir(parents=True, exist_ok=True)
    assets: dict[str, Any] = {}
    for name, values in bands.items():
        step = BAND_GSD_M[name] // 10
        pixels = _coarsen(values, step, classes=name == "scl")
        _write_cog(target / f"{name}.tif", pixels, grid, step)
        asset: dict[str, Any] = {
            "href": f"./{name}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
        }
        raster: dict[str, Any] = {"nodata": 0, "data_type": str(pixels.dtype), "spatial_resolution": 10 * step}
        if name != "scl":
            raster |= {"scale": 0.0001, "offset": acquisition.offset}
        asset["raster:bands"] = [raster]
        assets[name] = asset
    path = target / f"{acquisition.item_id}.json"
    path.write_text(json.dumps(_item(grid, acquisition, assets, old_projection_key), indent=1), encoding="utf-8")
    return path


def write_catalogue(folder: Path, title: str, item_ids: list[str]) -> Path:
    """Write the catalogue's root with a link to each item below `folder / "items"`, after all items are written."""
    links: list[dict[str, str]] = [{"rel": "root", "href": "./catalog.json", "type": "application/json"}]
    links += [
        {"rel": "item", "href": f"./items/{name}/{name}.json", "type": "application/geo+json"} for name in item_ids
    ]
    document = {
        "type": "Catalog",
        "id": "railwatch-simulated",
        "stac_version": STAC_VERSION,
        "description": title,
        "links": links,
    }
    path = folder / "catalog.json"
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def _coarsen(values: NDArray[Any], step: int, *, classes: bool) -> NDArray[Any]:
    """Bring 10 m pixels to a coarser sampling: mean for radiometry, one pixel's class for classes."""
    if step == 1:
        return values
    rows, cols = (size // step * step for size in values.shape)
    blocks = values[:rows, :cols].reshape(rows // step, step, cols // step, step)
    if classes:
        return np.ascontiguousarray(blocks[:, 0, :, 0])
    mean: NDArray[Any] = np.rint(blocks.mean(axis=(1, 3))).astype(values.dtype)
    return mean


def _write_cog(path: Path, pixels: NDArray[Any], grid: Grid, step: int) -> None:
    a, b, c, d, e, f = grid.transform
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        crs=grid.crs,
        transform=Affine(a * step, b, c, d, e * step, f),
        nodata=0,
        compress="DEFLATE",
        blocksize=256,
        overviews="NONE",
    ) as target:
        target.write(pixels, 1)


def _item(grid: Grid, acquisition: Acquisition, assets: dict[str, Any], old_projection_key: bool) -> dict[str, Any]:
    west, south, east, north = grid.bounds
    lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    ring = [[round(float(v), 7) for v in lonlat.transform(x, y)] for x, y in corners]
    epsg = int(grid.crs.split(":")[1])
    projection: dict[str, Any] = {"proj:epsg": epsg} if old_projection_key else {"proj:code": grid.crs}
    properties: dict[str, Any] = {
        "datetime": acquisition.observed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "updated": acquisition.updated,
        "platform": acquisition.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": acquisition.cloud_cover,
        "view:sun_elevation": acquisition.sun_elevation_deg,
        "view:sun_azimuth": acquisition.sun_azimuth_deg,
        "sat:relative_orbit": acquisition.orbit,
        "s2:processing_baseline": acquisition.processing_baseline,
        "s2:datatake_id": acquisition.datatake_id,
        **projection,
    }
    if acquisition.offset_applied is not None:
        properties["earthsearch:boa_offset_applied"] = acquisition.offset_applied
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": acquisition.item_id,
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": properties,
        "links": [{"rel": "root", "href": "../../catalog.json", "type": "application/json"}],
        "assets": assets,
    }
