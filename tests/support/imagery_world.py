"""A small place of known reflectance, written as Sentinel-2 items in the manner of the public catalogues."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString, box

from pipeline.config import SourceConfig
from pipeline.model import Grid, Site, Track
from pipeline.simulate.catalogue import Acquisition, write_acquisition

CRS = "EPSG:32652"
WEST, NORTH = 632000.0, 4698600.0
FULL = Grid(CRS, (10.0, 0.0, WEST, 0.0, -10.0, NORTH), 120, 80)  # a "tile", wider than the site
BANDS = ("blue", "green", "red", "nir", "swir16")
SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def small_site() -> Site:
    """Return a site of 800 m by 480 m with two tracks, inside the tile."""
    area = box(WEST + 200, NORTH - 640, WEST + 1000, NORTH - 160)
    tracks = tuple(
        Track(
            f"t{i}",
            f"Track {i}",
            LineString([(WEST + 300, y), (WEST + 900, y)]),
            "yard",
            provisional=False,
        )
        for i, y in enumerate((NORTH - 400.0, NORTH - 405.0))
    )
    return Site("small", "A small place", CRS, area, tracks)


def reflectance(seed: int, kind: str = "mixed") -> tuple[dict[str, NDArray[np.float64]], NDArray[np.uint8]]:
    """Return (reflectance by band, scene classes) on FULL: fields, forest, a river and a gravel yard.

    Mean reflectances are those of USGS spectral library classes, rounded. Kind `bare` has neither vegetation nor
    water; kind `snow` lies under snow.
    """
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[0:80, 0:120]
    classes = np.full(FULL.shape, 5, dtype=np.uint8)
    if kind == "mixed":
        classes[rows < 30] = 4
        classes[rows > 66] = 6
    spectra = {
        5: (0.09, 0.11, 0.14, 0.20, 0.24),
        4: (0.025, 0.05, 0.03, 0.32, 0.14),
        6: (0.045, 0.05, 0.03, 0.015, 0.008),
        11: (0.80, 0.82, 0.80, 0.75, 0.08),
    }
    if kind == "snow":
        classes[:] = 11
    bands = {}
    for index, name in enumerate(BANDS):
        mean = np.choose(np.searchsorted([4, 5, 6, 11], classes), [spectra[c][index] for c in (4, 5, 6, 11)])
        texture = 1 + 0.08 * np.sin(cols / 3.1 + index) * np.cos(rows / 2.7)
        bands[name] = np.clip(mean * texture + rng.normal(0, 0.002, FULL.shape), 0.0005, 1.2)
    return bands, classes


def numbers(bands: dict[str, NDArray[np.float64]], offset: int) -> dict[str, NDArray[np.uint16]]:
    """Return digital numbers, with `offset` (0 or 1000) in them."""
    return {name: np.rint(band * 10000 + offset).astype(np.uint16) for name, band in bands.items()}


def acquisition(day: int = 0, **changes: Any) -> Acquisition:
    """Return the description of a pass, `day` days after 6 October 2023."""
    when = datetime(2023, 10, 6, 2, 20, 11, tzinfo=UTC) + timedelta(days=day)
    fields: dict[str, Any] = {
        "item_id": f"S2A_52TFM_{when:%Y%m%d}_0_L2A",
        "observed_at": when,
        "platform": "sentinel-2a",
        "orbit": 103,
        "processing_baseline": "05.09",
        "datatake_id": f"GS2A_{when:%Y%m%dT%H%M%S}_043000_N05.09",
        "updated": "2023-10-07T00:00:00Z",
        "sun_elevation_deg": 40.0,
        "sun_azimuth_deg": 160.0,
        "cloud_cover": 3.0,
        "offset": -0.1,
        "offset_applied": None,
    }
    return Acquisition(**{**fields, **changes})


def write_item(
    folder: Path,
    bands: dict[str, NDArray[np.uint16]],
    classes: NDArray[np.uint8],
    what: Acquisition,
    *,
    base_url: str = "",
    part: tuple[slice, slice] | None = None,
    old_projection_key: bool = False,
) -> dict[str, Any]:
    """Write one item's files and return the item; with `base_url` its hrefs are absolute."""
    grid = FULL
    if part is not None:
        rows, cols = part
        bands = {name: band[part] for name, band in bands.items()}
        classes = classes[part]
        x, y = FULL.to_xy(cols.start or 0, rows.start or 0)
        grid = Grid(CRS, (10.0, 0.0, x, 0.0, -10.0, y), classes.shape[1], classes.shape[0])
    path = write_acquisition(folder, grid, what, {**bands, "scl": classes}, old_projection_key=old_projection_key)
    item: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if base_url:
        for asset in item["assets"].values():
            asset["href"] = f"{base_url}/items/{what.item_id}/{asset['href'].lstrip('./')}"
        path.write_text(json.dumps(item), encoding="utf-8")
    return item


def collection_document(identifier: str = "sentinel-2-l2a") -> dict[str, Any]:
    """Return the collection's own document."""
    return {
        "type": "Collection",
        "id": identifier,
        "stac_version": "1.0.0",
        "description": "Items of a test",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]},
        },
        "links": [],
    }


def source_config(kind: str, url: str, **changes: Any) -> SourceConfig:
    """Return the configuration of a source of such items."""
    fields: dict[str, Any] = {
        "name": "made",
        "title": "Made for a test",
        "kind": kind,
        "url": url,
        "allow_loopback": True,
        "collections": [
            {
                "id": "sentinel-2-l2a",
                "sensor": "sentinel-2",
                "gsd_m": 10,
                "bands": {name: {"asset": name} for name in (*BANDS, "scl")},
                "mask": {"band": "scl", "kind": "s2-scl"},
            }
        ],
    }
    return SourceConfig.model_validate({**fields, **changes})


def in_site(array: NDArray[Any]) -> NDArray[Any]:
    """Cut an array on FULL to the small site's grid (rows 16 to 64, columns 20 to 100)."""
    return array[..., 16:64, 20:100]
