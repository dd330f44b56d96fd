"""The evidence pack: everything behind one surge, in files that need no railwatch to be read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, time
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

from pipeline.errors import ReportError
from pipeline.model import Look, Observation, Surge
from pipeline.report.build import write_atomically
from pipeline.report.data import ReportData
from pipeline.report.drawing import draw_look
from pipeline.report.episode import story_of
from pipeline.report.geofiles import write_cog, write_geojson, write_geopackage
from pipeline.report.headline import analyst_line
from pipeline.report.pictures import Stretch, stretch_of, window_around_tracks
from pipeline.report.stac import write_stac_item
from pipeline.report.tables import SERIES_COLUMNS, as_csv, series_row, surge_row, zulu

FORMAT = "railwatch-surge-1"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: equal content gives equal files
_COPIED = (
    *("scene_id", "observation_id", "observed_at", "sensor", "gsd_m", "outcome", "railcars", "railcars_low"),
    *("railcars_high", "detection_limit", "method", "method_version"),
)
_README = """Evidence for a surge of railcars, written by railwatch.

surge.json         the surge, its looks, alarms and words of analysts; surge.schema.json says what each field is
series.csv         every look of the site up to the day of the report, rejected and failed ones included
looks/*.tif        the site's window of each look as a cloud-optimised GeoTIFF: reflectance (radar: linear power),
                   the last band is 1 where a pixel is usable
looks/*.png        the same with tracks and railcars drawn, all of one sensor with the stretch of the quiet look
detections.geojson single railcars of the looks that resolve them (WGS 84)
evidence.gpkg      railcars, tracks and area in the site's projection, with styles for QGIS
item.json          all of this as a STAC item
provenance.json    images, methods, versions and configuration behind each number, and how to make them again
SHA256SUMS         checksums of the other files: sha256sum -c SHA256SUMS
"""


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``surge.json``."""
    text = (resources.files("pipeline.report") / "schemas" / "surge.schema.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def pack_name(surge: Surge) -> str:
    """Return the name of a surge's pack: site, date of the first alarm and start of the identifier."""
    return f"{_safe(surge.site, 40)}-{surge.first_alarm_at.astimezone(UTC):%Y%m%d}-{_safe(surge.surge_id, 8)}"


def build_evidence_pack(surge: Surge, data: ReportData, folder: Path, *, zipped: bool = False) -> Path:
    """Write the evidence pack of a surge.

    Parameters
    ----------
    surge : Surge
        One of `data`.
    data : ReportData
        Its `look_for` gives the chips; a look without one is listed without files.
    folder : Path
        Where the pack goes, as a folder or a zip file named by `pack_name`; an older one of that name is replaced.
    zipped : bool
        True: one zip file.

    Returns
    -------
    Path
        The pack. The same record gives the same bytes.

    Raises
    ------
    ReportError
        When it cannot be written.
    """
    name = pack_name(surge)
    target = folder / (f"{name}.zip" if zipped else name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as scratch:
            pack = Path(scratch) / name
            pack.mkdir()
            _fill(pack, surge, data)
            if zipped:
                write_atomically(target, _zip(pack))
            else:
                _replace(pack, target, Path(scratch))
    except OSError as error:
        raise ReportError(f"{target}: cannot be written ({error}); check the folder and the free space.") from error
    return target


def surge_document(
    surge: Surge, data: ReportData, looks: Sequence[tuple[str, Observation, Look | None, str]]
) -> dict[str, Any]:
    """Return the content of ``surge.json``; `looks` are role, row, look and the stem of its files."""
    ids = set(surge.observation_ids) | {row.observation_id for _, row, _, _ in looks}
    return {
        "format": FORMAT,
        "generated_for": data.generated_for.isoformat(),
        "site": {"name": data.site.name, "title": data.site.title, "crs": data.site.crs},
        "surge": surge_row(surge),
        "sentence": analyst_line(surge),
        "looks": [_look_entry(*entry) for entry in looks],
        "alarms": [
            {
                "observation_id": alarm.observation_id,
                "observed_at": zulu(alarm.observed_at),
                "tier": alarm.tier.value,
                "statistic": alarm.statistic,
                "rate_per_year": alarm.rate_per_year,
                "ratio": alarm.ratio,
            }
            for alarm in data.alarms
            if alarm.observation_id in ids
        ],
        "verdicts": [
            {
                "verdict_id": word.verdict_id,
                "subject": word.subject,
                "subject_id": word.subject_id,
                "decision": word.decision,
                "by": word.by,
                "note": word.note,
                "at": zulu(word.at),
                "reason": word.reason,
                "railcars": word.railcars,
            }
            for word in sorted(data.verdicts, key=lambda v: (v.at, v.verdict_id))
            if word.subject_id == surge.surge_id or word.subject_id in ids
        ],
        "config_digest": data.config_digest,
        "versions": dict(sorted(data.versions.items())),
    }


def _fill(pack: Path, surge: Surge, data: ReportData) -> None:
    (pack / "looks").mkdir()
    stretches: dict[tuple[str, float], Stretch] = {}
    looks = []
    for number, (role, row) in enumerate(_roles(surge, data.observations), 1):
        look = data.look_for(row.scene_id)
        stem = f"looks/{number}-{role.replace(' ', '-')}-{row.observed_at.astimezone(UTC):%Y%m%d}" if look else ""
        if look is not None:
            write_cog(look, pack / f"{stem}.tif")
            key = (row.sensor, look.grid.gsd_m)
            stretch = stretches.setdefault(key, stretch_of(look, window_around_tracks(data.site, look.grid)))
            (pack / f"{stem}.png").write_bytes(draw_look(look, data.site, row, role, stretch=stretch))
        looks.append((role, row, look, stem))
    rows = [(role, row) for role, row, _, _ in looks]
    write_geojson(data.site, rows, pack / "detections.geojson")
    write_geopackage(
        data.site, rows, pack / "evidence.gpkg", datetime.combine(data.generated_for, time(), tzinfo=UTC)
    )
    until = datetime.combine(data.generated_for, time.max, tzinfo=UTC)
    series = [series_row(o) for o in data.observations if o.observed_at <= until]
    (pack / "series.csv").write_text(as_csv(series, SERIES_COLUMNS), encoding="utf-8", newline="")
    _write_json(pack / "surge.json", surge_document(surge, data, looks))
    _write_json(pack / "surge.schema.json", schema())
    _write_json(pack / "provenance.json", _provenance(surge, data))
    (pack / "README.txt").write_text(_README, encoding="utf-8")
    write_stac_item(pack, surge, data)
    files = sorted(p for p in pack.rglob("*") if p.is_file())
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(pack).as_posix()}\n" for p in files]
    (pack / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def _roles(surge: Surge, observations: Sequence[Observation]) -> list[tuple[str, Observation]]:
    story = story_of(surge, observations)
    parts = [("last quiet", story.quiet)]
    if story.alarm is not None and story.alarm is story.peak:
        parts.append(("first alarm and peak", story.peak))
    else:
        parts += [("first alarm", story.alarm), ("peak", story.peak)]
    return [(role, row) for role, row in parts if row is not None]


def _look_entry(role: str, row: Observation, look: Look | None, stem: str) -> dict[str, Any]:
    line = series_row(row)
    items = look.scene.items if look is not None else ()
    return {
        "role": role,
        **{name: line[name] for name in _COPIED},
        "platform": row.platform,
        "flags": list(row.flags),
        "item_ids": list(row.item_ids),
        "source": row.source,
        "processing": row.processing,
        "chip_sha256": row.chip_sha256,
        "sun_elevation_deg": row.sun_elevation_deg,
        "hrefs": sorted(
            {href for item in items for href in (item.self_href, *(a.href for a in item.assets)) if href}
        ),
        "image": f"{stem}.tif" if stem else "",
        "picture": f"{stem}.png" if stem else "",
    }


def _provenance(surge: Surge, data: ReportData) -> dict[str, Any]:
    ids = set(surge.observation_ids)
    return {
        "generated_for": data.generated_for.isoformat(),
        "config_digest": data.config_digest,
        "versions": dict(sorted(data.versions.items())),
        "terms": [
            {"source": t.source, "attribution": t.attribution, "terms": t.terms, "url": t.url} for t in data.terms
        ],
        "observations": [
            {
                "observation_id": o.observation_id,
                "scene_id": o.scene_id,
                "item_ids": list(o.item_ids),
                "source": o.source,
                "processing": o.processing,
                "chip_path": o.chip_path,
                "chip_sha256": o.chip_sha256,
                "history_digest": o.history_digest,
                "method": o.method,
                "method_version": o.method_version,
                "config_digest": o.config_digest,
            }
            for o in data.observations
            if o.observation_id in ids
        ],
        "redo": list(data.redo) or [f"railwatch recount {data.site.name}", f"railwatch report {data.site.name}"],
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2) + "\n", encoding="utf-8")


def _safe(text: str, length: int) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:length] or "surge"


def _zip(pack: Path) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in pack.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(f"{pack.name}/{path.relative_to(pack).as_posix()}", _ZIP_TIME)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, path.read_bytes())
    return out.getvalue()


def _replace(pack: Path, target: Path, scratch: Path) -> None:
    """Put a finished pack in its place; an older one goes aside first, so that the name never holds a part."""
    if target.exists():
        target.rename(scratch / "old")
    pack.rename(target)
    shutil.rmtree(scratch / "old", ignore_errors=True)
