"""The simulated yard of the demo, and the configuration folder that watches it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from pyproj import Transformer
from shapely.geometry import box

from pipeline.model import Site
from pipeline.simulate.yard import make_tracks

SITE_NAME = "simulated-yard"
SOURCE_NAME = "simulated"
CRS = "EPSG:32652"
CENTRE = (
    634000.0,
    4695000.0,
)  # metres: open country south of the real yard, so that nobody mistakes one for the other
HALF_SIZE = (1100.0, 700.0)  # metres, east and north
AZIMUTH_DEG = 104.0  # of the tracks, as at Tumangang
TRACKS, LENGTH_M = 10, 900.0


def demo_site() -> Site:
    """Return the simulated yard: ten parallel tracks of 900 m in an area of 2.2 km by 1.4 km."""
    x0, y0 = CENTRE
    area = box(x0 - HALF_SIZE[0], y0 - HALF_SIZE[1], x0 + HALF_SIZE[0], y0 + HALF_SIZE[1])
    tracks = make_tracks("parallel", tracks=TRACKS, length_m=LENGTH_M, centre=CENTRE, azimuth_deg=AZIMUTH_DEG)
    return Site(SITE_NAME, "Simulated yard (not a real place)", CRS, area, tracks)


def write_configuration(folder: Path, catalogue: str) -> None:
    """Write a configuration folder that watches the simulated yard.

    Parameters
    ----------
    folder : Path
        Made when it does not exist.
    catalogue : str
        Where the static catalogue's root lies, relative to `folder`.
    """
    site = demo_site()
    lonlat = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True)

    def degrees(points: list[tuple[float, float]]) -> list[list[float]]:
        return [[round(float(v), 7) for v in lonlat.transform(x, y)] for x, y in points]

    west, south, east, north = site.area.bounds
    ring = degrees([(west, south), (east, south), (east, north), (west, north)])
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    _write_yaml(
        folder / "sites" / site.name / "site.yaml",
        {
            "name": site.name,
            "title": site.title,
            "crs": site.crs,
            "bbox": [min(xs), min(ys), max(xs), max(ys)],
            "area": ring,
            "sources": [SOURCE_NAME],
        },
    )
    features = [
        {
            "type": "Feature",
            "properties": {
                "track_id": track.track_id,
                "name": track.name,
                "use": track.use,
                "provisional": False,
                "source": "simulated",
            },
            "geometry": {"type": "LineString", "coordinates": degrees([(x, y) for x, y, *_ in track.line.coords])},
        }
        for track in site.tracks
    ]
    document = json.dumps({"type": "FeatureCollection", "features": features}, indent=1)
    (folder / "sites" / site.name / "tracks.geojson").write_text(document, encoding="utf-8")
    _write_yaml(folder / "settings.yaml", {"default_site": site.name})
    bands = {name: {"asset": name} for name in ("blue", "green", "red", "nir", "swir16", "swir22", "scl")}
    _write_yaml(
        folder / "sources" / f"{SOURCE_NAME}.yaml",
        {
            "name": SOURCE_NAME,
            "title": "Simulated Sentinel-2 archive on disk",
            "kind": "stac-static",
            "url": catalogue,
            "collections": [
                {
                    "id": "sentinel-2-l2a",
                    "sensor": "sentinel-2",
                    "gsd_m": 10,
                    "bands": bands,
                    "mask": {"band": "scl", "kind": "s2-scl"},
                }
            ],
            "terms": "Simulated; no terms.",
            "attribution": "railwatch simulate",
        },
    )


def _write_yaml(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
