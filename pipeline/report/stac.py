"""A surge's evidence as a STAC item, so that other tools can read it."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

from shapely.geometry import mapping

from pipeline.model import Surge
from pipeline.report.data import ReportData
from pipeline.report.geofiles import to_wgs84
from pipeline.report.headline import analyst_line
from pipeline.report.tables import surge_row

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_MEDIA = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".png": "image/png",
    ".geojson": "application/geo+json",
    ".gpkg": "application/geopackage+sqlite3",
    ".csv": "text/csv",
    ".json": "application/json",
    ".txt": "text/plain",
}
_ROLES = {".tif": ["data"], ".png": ["overview"], ".geojson": ["data"], ".gpkg": ["data"], ".csv": ["data"]}
SHA256_MULTIHASH = "1220"  # multihash prefix: SHA-256, 32 bytes


def write_stac_item(pack: Path, surge: Surge, data: ReportData) -> Path:
    """Write ``item.json`` that describes every file of a pack, with sizes and checksums, and return its path.

    Times are the onset's first bound to the end, or to the peak when the episode is open; the geometry is the
    site's area in WGS 84.
    """
    import pystac

    area = to_wgs84(data.site.area, data.site.crs)
    row = surge_row(surge)
    end = max(surge.ended_at or surge.peak_at, surge.peak_at, surge.onset_earliest + timedelta(seconds=1))
    item = pystac.Item(
        id=f"railwatch-surge-{surge.surge_id}",
        geometry=mapping(area),
        bbox=[round(v, 7) for v in area.bounds],
        datetime=surge.peak_at,
        start_datetime=surge.onset_earliest,
        end_datetime=end,
        properties={
            "title": f"{data.site.title[:120]}: {surge.tier.value} surge of {surge.first_alarm_at:%Y-%m-%d}",
            "description": analyst_line(surge),
            "proj:code": data.site.crs,
            **{f"railwatch:{name}": value for name, value in row.items() if value not in (None, "")},
        },
        stac_extensions=[PROJECTION, FILE],
    )
    for path in sorted(p for p in pack.rglob("*") if p.is_file() and p.name not in ("item.json", "SHA256SUMS")):
        relative = path.relative_to(pack).as_posix()
        content = path.read_bytes()
        item.add_asset(
            relative.replace("/", "-").replace(".", "-"),
            pystac.Asset(
                href=f"./{relative}",
                media_type=_MEDIA.get(path.suffix),
                roles=_ROLES.get(path.suffix, ["metadata"]),
                extra_fields={
                    "file:size": len(content),
                    "file:checksum": SHA256_MULTIHASH + hashlib.sha256(content).hexdigest(),
                },
            ),
        )
    out = pack / "item.json"
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    out.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n", encoding="utf-8")
    return out
