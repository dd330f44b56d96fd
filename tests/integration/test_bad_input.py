"""Every way an image can be wrong, over the whole round: one clear sentence and a row, never a number or a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform as to_projection
from rasterio.windows import Window
from support.flow_world import SITE as COARSE_SITE
from support.flow_world import item_id, write_world

from pipeline.model import Observation, Outcome
from pipeline.round.progress import Silent
from pipeline.round.run import RoundResult, run_round
from pipeline.round.workspace import Workspace

CRS, EAST, NORTH = "EPSG:32652", 632000.0, 4698000.0
WIDTH_M, HEIGHT_M = 300.0, 160.0  # of the site's area; its tracks lie in the southern half
TODAY = datetime(2024, 7, 1, tzinfo=UTC)
SINCE = datetime(2024, 1, 1, tzinfo=UTC)
Array = NDArray[np.generic]


def write_site(folder: Path) -> Path:
    """Write a configuration whose one source is a folder of images; return its folder."""
    config = folder / "config"

    def degrees(points: list[tuple[float, float]]) -> list[list[float]]:
        lon, lat = to_projection(CRS, "EPSG:4326", [p[0] for p in points], [p[1] for p in points])
        return [[round(x, 9), round(y, 9)] for x, y in zip(lon, lat, strict=True)]

    ring = degrees([(EAST + dx, NORTH - dy) for dx, dy in ((0, HEIGHT_M), (WIDTH_M, HEIGHT_M), (WIDTH_M, 0), (0, 0))])
    xs, ys = [p[0] for p in ring], [p[1] for p in ring]
    bbox = [min(xs), min(ys), max(xs), max(ys)]
    place = {"name": "yard", "title": "Yard", "crs": CRS, "bbox": bbox, "area": ring, "sources": ["drop"]}
    source = {"name": "drop", "title": "Images in a folder", "kind": "folder", "path": "../images"}
    features = [
        {
            "type": "Feature",
            "properties": {"track_id": f"t{k}", "name": f"Track {k}", "use": "yard", "provisional": False},
            "geometry": {
                "type": "LineString",
                "coordinates": degrees([(EAST + 15, NORTH - 120 - 5 * k), (EAST + 285, NORTH - 120 - 5 * k)]),
            },
        }
        for k in range(3)
    ]
    for name, text in {
        "settings.yaml": yaml.safe_dump({"default_site": "yard"}),
        "sites/yard/site.yaml": yaml.safe_dump(place),
        "sites/yard/tracks.geojson": json.dumps({"type": "FeatureCollection", "features": features}),
        "sources/drop.yaml": yaml.safe_dump(source),
    }.items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_text(text, encoding="utf-8")
    (folder / "images").mkdir()
    return config


def write_image(
    path: Path, values: Array, *, west: float = EAST, north: float = NORTH, gsd: float = 0.5, crs: str | None = CRS
) -> None:
    """Write (bands, rows, columns) as a GeoTIFF."""
    count, height, width = values.shape
    place = {"transform": Affine(gsd, 0, west, 0, -gsd, north), "crs": crs}
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **place
    ) as out:
        out.write(values)


def ground(bands: int = 3, rows: int = 320, columns: int = 600) -> NDArray[np.uint8]:
    """Return a plain, grainy ground."""
    return np.random.default_rng(1).integers(60, 120, (bands, rows, columns), dtype=np.uint8)


def nan_over_tracks() -> NDArray[np.float32]:
    values = ground().astype(np.float32)
    values[:, 200:] = np.nan
    return values


def flat_over_tracks() -> NDArray[np.uint8]:
    values = ground()
    values[:, 200:] = 90
    return values


# name: (writes the file, outcome, flags that must stand, words of the sentence)
CASES: dict[str, tuple[Callable[[Path], None], Outcome, tuple[str, ...], str]] = {
    "another-place": (partial(write_image, values=ground(), west=EAST + 90000), Outcome.FAILED, (), "another place"),
    "wrong-zone": (partial(write_image, values=ground(), crs="EPSG:32635"), Outcome.FAILED, (), "another place"),
    "metres-as-degrees": (partial(write_image, values=ground(), crs="EPSG:4326"), Outcome.FAILED, (), "projection"),
    "no-projection": (partial(write_image, values=ground(), crs=None), Outcome.FAILED, (), "no projection"),
    "missing-band": (partial(write_image, values=ground(2)), Outcome.FAILED, (), "2 bands"),
    "all-nan": (
        partial(write_image, values=np.full((3, 320, 600), np.nan, np.float32)),
        Outcome.FAILED,
        (),
        "no valid pixel",
    ),
    "nan-over-tracks": (
        partial(write_image, values=nan_over_tracks()),
        Outcome.REJECTED,
        ("NO_DATA",),
        "no valid pixel",
    ),
    "constant": (partial(write_image, values=np.full((3, 320, 600), 7, np.uint8)), Outcome.FAILED, (), "constant"),
    "constant-over-tracks": (
        partial(write_image, values=flat_over_tracks()),
        Outcome.REJECTED,
        ("CONSTANT_IMAGE",),
        "constant over the track area",
    ),
    "one-pixel": (partial(write_image, values=ground(3, 1, 1)), Outcome.FAILED, (), "1 x 1"),
    "tracks-outside": (
        partial(write_image, values=ground(3, 200, 600)),
        Outcome.REJECTED,
        ("TRACKS_OUTSIDE",),
        "No track of yard",
    ),
    "too-coarse": (
        partial(write_image, values=ground(3, 24, 40), gsd=10.0),
        Outcome.REJECTED,
        ("SAMPLING_UNSUITED",),
        "10 m",
    ),
}


def walk(config: Path, home: Path, site: str = "yard") -> tuple[RoundResult, dict[str, Observation]]:
    """Walk a round; return what it did and its rows by item."""
    with Workspace.open(config, home) as ws:
        result = run_round(ws, site, today=TODAY, since=SINCE, until=TODAY, progress=Silent())
        rows = {item: row for row in ws.store.observations(site) for item in row.item_ids}
    return result, rows


def test_each_bad_image_is_a_row_with_one_clear_sentence(tmp_path: Path) -> None:
    config = write_site(tmp_path)
    for number, (name, (make, *_)) in enumerate(CASES.items()):
        make(tmp_path / "images" / f"{name}_202402{number + 1:02d}T021500.tif")
    result, rows = walk(config, tmp_path / "home")
    found = {item.rsplit("_", 1)[0]: row for item, row in rows.items()}
    for name, (_, outcome, flags, words) in CASES.items():
        row = found[name]
        assert (row.outcome, name) == (outcome, name), row.detail
        assert set(flags) <= set(row.flags), name
        assert words in row.detail, (name, row.detail)
        assert row.count is None
        assert row.detail.endswith("."), row.detail
        assert "\n" not in row.detail
        assert "Traceback" not in row.detail
        assert str(tmp_path) not in row.detail
    assert len(rows) == len(CASES)
    assert result.exit_code == 3
    assert result.report_path is not None
    assert result.report_path.exists()
    again, same = walk(config, tmp_path / "home")
    assert same == rows
    assert not again.plan.new, "a broken file is not read again until it changes"


def test_a_band_that_the_catalogue_lost_fails_the_one_scene(tmp_path: Path) -> None:
    config = write_world(tmp_path, looks=3)
    path = tmp_path / "catalogue" / "items" / item_id(1) / f"{item_id(1)}.json"
    document = json.loads(path.read_text())
    del document["assets"]["nir"]
    path.write_text(json.dumps(document))
    with Workspace.open(config, tmp_path / "home") as ws:
        until = datetime(2023, 4, 1, tzinfo=UTC)
        run_round(
            ws, COARSE_SITE, today=until, since=datetime(2023, 1, 1, tzinfo=UTC), until=until, progress=Silent()
        )
        rows = {row.item_ids[0]: row for row in ws.store.observations(COARSE_SITE)}
    bad = rows.pop(item_id(1))
    assert bad.outcome is Outcome.FAILED
    assert "nir" in bad.detail
    assert item_id(1) in bad.detail
    assert len(rows) == 2
    assert all(row.outcome is Outcome.REJECTED and "HISTORY_SHORT" in row.flags for row in rows.values())


def test_each_bad_file_of_a_catalogue_is_a_row_with_its_reason(tmp_path: Path) -> None:
    config = write_world(tmp_path, looks=6)
    items = tmp_path / "catalogue" / "items"
    with rasterio.open(items / item_id(0) / "red.tif") as image:
        shape, place = image.shape, image.transform

    def put(number: int, values: Array, bands: tuple[str, ...] = ("red",), **extra: object) -> None:
        for band in bands:
            profile = {"count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": values.dtype}
            where = {"crs": CRS, "transform": place, **extra}
            with rasterio.open(
                items / item_id(number) / f"{band}.tif", "w", driver="GTiff", **profile, **where
            ) as out:
                out.write(values, 1)

    plain = np.full(shape, 900, np.uint16)
    put(0, plain[:1, :1])
    put(1, plain, transform=Affine(10, 0, place.c + 90000, 0, -10, place.f))
    put(2, plain, crs="EPSG:4326")
    put(3, np.full(shape, np.nan, np.float32))
    put(4, plain, ("blue", "green", "red", "nir", "swir16", "swir22"))
    (items / item_id(5) / "red.tif").write_bytes(b"")
    until = datetime(2023, 6, 1, tzinfo=UTC)
    with Workspace.open(config, tmp_path / "home") as ws:
        run_round(
            ws, COARSE_SITE, today=until, since=datetime(2023, 1, 1, tzinfo=UTC), until=until, progress=Silent()
        )
        rows = {row.item_ids[0]: row for row in ws.store.observations(COARSE_SITE)}
    assert len(rows) == 6
    for number in range(4):
        row = rows[item_id(number)]
        assert row.outcome in {Outcome.REJECTED, Outcome.FAILED}, number
        assert "no valid pixel over the track area" in row.detail or item_id(number) in row.detail, row.detail
    assert "CONSTANT_IMAGE" in rows[item_id(4)].flags
    assert rows[item_id(5)].outcome is Outcome.FAILED
    assert "asset red" in rows[item_id(5)].detail
    assert all(row.count is None and row.detail.endswith(".") for row in rows.values())


def test_a_huge_image_passes_the_whole_round_under_a_gigabyte(tmp_path: Path) -> None:
    """30,000 x 30,000 pixels of 3 x 16 bits are 5.4 GB; only the site's window may be held."""
    config = write_site(tmp_path)
    with rasterio.open(
        tmp_path / "images" / "huge_20240617T021500.tif",
        "w",
        driver="GTiff",
        count=3,
        width=30000,
        height=30000,
        dtype="uint16",
        crs=CRS,
        transform=Affine(0.5, 0, EAST - 7000, 0, -0.5, NORTH + 7000),
        tiled=True,
        compress="deflate",
        sparse_ok=True,
    ) as out:
        values = ground(3, 400, 680).astype(np.uint16) * 40
        out.write(values, window=Window(13960, 13960, values.shape[2], values.shape[1]))
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
import test_bad_input as t
result, rows = t.walk(Path({str(config)!r}), Path({str(tmp_path / "home")!r}))
(row,) = rows.values()
# The kernel hands ru_maxrss on over fork and exec, so that it would be this test run's own peak; VmHWM starts anew.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(row.outcome.value, int(peak.split()[1]) // 1024, row.detail)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    outcome, peak_mb, detail = done.stdout.split(maxsplit=2)
    assert outcome in {"counted", "flagged", "rejected"}, detail
    assert int(peak_mb) < 1000
