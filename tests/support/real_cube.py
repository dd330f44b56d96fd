"""Real Sentinel-2 dates over a forest in Romania, written as a STAC catalogue and watched as if tracks lay there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.model import Grid
from pipeline.simulate.catalogue import Acquisition, write_acquisition, write_catalogue

SMALL = Path(__file__).parents[1] / "data" / "sentinel2" / "romania-small.npz"
BANDS = ("blue", "green", "red", "nir")
SITE = "romania-forest"


@dataclass(frozen=True)
class Cube:
    """Digital numbers (reflectance x 10000, 0 = no data) and scene classes of one place over many dates."""

    days: NDArray[np.datetime64]  # (dates,)
    values: NDArray[np.uint16]  # (dates, bands, rows, columns), bands as in BANDS
    classes: NDArray[np.uint8]  # (dates, rows, columns)
    grid: Grid


def load_cube(path: Path = SMALL) -> Cube:
    """Load the small cut kept with the tests, or the whole netCDF of the wheel `nrt`."""
    if path.suffix == ".npz":
        with np.load(path) as data:
            grid = Grid(
                "EPSG:3035", tuple(data["transform"].tolist()), data["values"].shape[3], data["values"].shape[2]
            )
            return Cube(data["days"], data["values"], data["classes"], grid)
    import xarray

    with xarray.open_dataset(path) as data:
        values = np.stack([np.nan_to_num(data[name].values) for name in ("B2", "B3", "B4", "B8")], axis=1)
        x, y = data["x"].values, data["y"].values
        # Coordinates are those of pixel centres (CF convention).
        grid = Grid("EPSG:3035", (10.0, 0.0, float(x[0]) - 5, 0.0, -10.0, float(y[0]) + 5), x.size, y.size)
        return Cube(
            data["time"].values.astype("datetime64[D]"),
            np.clip(np.rint(values), 0, 65535).astype(np.uint16),
            np.nan_to_num(data["SCL"].values).astype(np.uint8),
            grid,
        )


def write_real_catalogue(cube: Cube, folder: Path) -> list[dict[str, Any]]:
    """Write every date as an item; return the items as dictionaries.

    The cube has no time of day, platform or sun angles: 09:20 UTC, one platform and the noon sun are assumed.
    """
    ids = []
    for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
        stamp = datetime.fromisoformat(f"{day}T09:20:00").replace(tzinfo=UTC)
        item_id = f"S2A_34TFQ_{stamp:%Y%m%d}_0_L2A"
        season = np.cos(2 * np.pi * (stamp.timetuple().tm_yday - 172) / 365.25)
        acquisition = Acquisition(
            item_id, stamp, "sentinel-2a", 93, "02.14", f"GS2A_{stamp:%Y%m%dT%H%M%S}_000000_N02.14",
            "2021-02-01T00:00:00Z", float(44.8 + 23.4 * season), 160.0, 0.0, 0.0, None,
        )  # fmt: skip
        bands: dict[str, NDArray[Any]] = dict(zip(BANDS, values, strict=True))
        write_acquisition(folder, cube.grid, acquisition, {**bands, "scl": classes}, old_projection_key=True)
        ids.append(item_id)
    write_catalogue(folder, "Real Sentinel-2 dates", ids)
    return [json.loads((folder / "items" / name / f"{name}.json").read_text(encoding="utf-8")) for name in ids]


def write_real_configuration(cube: Cube, folder: Path, *, kind: str, url: str, extra: dict[str, Any]) -> None:
    """Write a configuration that watches the forest with four invented tracks of 600 m."""
    lonlat = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = cube.grid.bounds
    inset = 20.0
    ring = [(west + inset, south + inset), (east - inset, south + inset), (east - inset, north - inset)]
    ring.append((west + inset, north - inset))
    degrees = [[round(float(v), 7) for v in lonlat.transform(x, y)] for x, y in ring]
    xs, ys = [p[0] for p in degrees], [p[1] for p in degrees]
    half = min(300.0, (east - west) / 2 - 60)
    middle = ((west + east) / 2, (south + north) / 2)
    features = []
    for index in range(4):
        y = middle[1] + (index - 1.5) * 5
        line = [[round(float(v), 7) for v in lonlat.transform(x, y)] for x in (middle[0] - half, middle[0] + half)]
        properties = {"track_id": f"t{index + 1}", "use": "yard", "provisional": False, "source": "invented"}
        features.append(
            {"type": "Feature", "properties": properties, "geometry": {"type": "LineString", "coordinates": line}}
        )
    site = folder / "sites" / SITE
    site.mkdir(parents=True)
    (site / "tracks.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8"
    )
    settings = {
        "name": SITE,
        "title": "Forest in Romania",
        "crs": cube.grid.crs,
        "area": degrees,
        "sources": ["real"],
    }
    settings["bbox"] = [min(xs), min(ys), max(xs), max(ys)]
    (site / "site.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder / "settings.yaml").write_text(yaml.safe_dump({"default_site": SITE}), encoding="utf-8")
    (folder / "sources").mkdir()
    collection = {
        "id": "sentinel-2-l2a",
        "sensor": "sentinel-2",
        "gsd_m": 10,
        "bands": {name: {"asset": name} for name in (*BANDS, "scl")},
        "mask": {"band": "scl", "kind": "s2-scl"},
    }
    source = {"name": "real", "title": "Real dates", "kind": kind, "url": url, "collections": [collection], **extra}
    (folder / "sources" / "real.yaml").write_text(yaml.safe_dump(source), encoding="utf-8")
