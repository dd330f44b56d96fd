"""A configuration folder for the small site and any sources, and the same passes put into several catalogues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pyproj import Transformer

from support.imagery_world import BANDS, acquisition, numbers, reflectance, small_site, write_item

# Sentinel-2 passes of one orbit, days after 6 October 2023; each comes as two tiles that overlap.
DAYS = (0, 5, 10, 15, 20, 25)
WEST_HALF, EAST_HALF = (slice(0, 80), slice(0, 70)), (slice(0, 80), slice(60, 120))
SCENES = [f"S2A_{acquisition(day=day).observed_at:%Y%m%d}_R103" for day in DAYS]


def truth(day: int) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.uint8]]:
    """Return (reflectance by band, scene classes) of a pass."""
    return reflectance(100 + day)


def write_catalogue_of_passes(folder: Path, files_url: str) -> Path:
    """Write every pass as two tiles; return the path of the item collection beside the files."""
    items = []
    for day in DAYS:
        bands, classes = truth(day)
        for tile, part in (("52TFM", WEST_HALF), ("52TFN", EAST_HALF)):
            name = f"S2A_{tile}_{acquisition(day=day).observed_at:%Y%m%d}_0_L2A"
            what = acquisition(day=day, item_id=name)
            items.append(write_item(folder, numbers(bands, 1000), classes, what, base_url=files_url, part=part))
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}), encoding="utf-8")
    return path


def stac_source(url: str, **changes: Any) -> dict[str, Any]:
    """Return the YAML of a STAC API on this machine that serves such items."""
    collection = {
        "id": "sentinel-2-l2a",
        "sensor": "sentinel-2",
        "gsd_m": 10,
        "bands": {name: {"asset": name} for name in (*BANDS, "scl")},
        "mask": {"band": "scl", "kind": "s2-scl"},
    }
    common = {"kind": "stac-api", "url": url, "allow_loopback": True, "allowed_hosts": ["127.0.0.1"]}
    return {**common, "page_limit": 4, "collections": [collection], **changes}


def write_sources_config(folder: Path, sources: dict[str, dict[str, Any]], **settings: Any) -> Path:
    """Write a configuration that watches the small site from `sources`, in order of preference."""
    site = small_site()
    lonlat = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True)

    def degrees(points: Any) -> list[list[float]]:
        return [[round(float(v), 9) for v in lonlat.transform(x, y)] for x, y in points]

    # A little inside the area: rounded degrees must not add a row of pixels when the grid is snapped outward.
    ring = degrees(list(site.area.buffer(-1.0, join_style="mitre").exterior.coords)[:-1])
    xs, ys = zip(*ring, strict=True)
    home = folder / "sites" / site.name
    home.mkdir(parents=True)
    features = [
        {
            "type": "Feature",
            "properties": {"track_id": track.track_id, "use": track.use, "provisional": False, "source": "invented"},
            "geometry": {"type": "LineString", "coordinates": degrees(track.line.coords)},
        }
        for track in site.tracks
    ]
    tracks = {"type": "FeatureCollection", "features": features}
    (home / "tracks.geojson").write_text(json.dumps(tracks), encoding="utf-8")
    about = {"name": site.name, "title": site.title, "crs": site.crs, "area": ring, "sources": list(sources)}
    about["bbox"] = [min(xs), min(ys), max(xs), max(ys)]
    (home / "site.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    (folder / "settings.yaml").write_text(yaml.safe_dump({"default_site": site.name, **settings}), encoding="utf-8")
    (folder / "sources").mkdir()
    for name, source in sources.items():
        written = {"name": name, "title": f"Source {name}", **source}
        (folder / "sources" / f"{name}.yaml").write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
    return folder
