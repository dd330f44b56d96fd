"""The doctor: a good source, an empty one, a broken one, a disabled one; each with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine
from shapely.geometry import LineString, box

from pipeline.config.schema import SourceConfig
from pipeline.imagery.doctor import examine, examine_all
from pipeline.model import Site, Track

EAST, NORTH = 632000.0, 4698000.0
SITE = Site(
    "yard",
    "Yard",
    "EPSG:32652",
    box(EAST, NORTH - 100.0, EAST + 200.0, NORTH),
    (Track("t1", "1", LineString([(EAST + 20, NORTH - 50), (EAST + 180, NORTH - 50)]), "yard"),),
)
NOW = datetime(2024, 1, 10, tzinfo=UTC)


def folder(path: Path, name: str = "drop", **extra: object) -> SourceConfig:
    return SourceConfig(name=name, title="Drop", kind="folder", path=str(path), terms="yours", **extra)


def image(path: Path, west: float = EAST) -> None:
    values = np.random.default_rng(0).integers(1, 255, (1, 200, 400)).astype("uint8")
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=200, width=400, dtype="uint8", crs="EPSG:32652",
        transform=Affine(0.5, 0, west, 0, -0.5, NORTH),
    ) as out:  # fmt: skip
        out.write(values)


def test_a_good_source_is_searched_and_read(tmp_path: Path) -> None:
    image(tmp_path / "a_20240105.tif")
    ticks = iter(range(100))
    found = examine(folder(tmp_path), SITE, base=tmp_path, now=NOW, clock=lambda: float(next(ticks)))
    assert found.state == "ok"
    assert [step.name for step in found.steps] == ["search", "read"]
    assert all(step.ok and step.seconds == 1.0 for step in found.steps)
    assert found.pixel_bytes == 200 * 400
    assert found.newest is not None
    assert found.newest.date().isoformat() == "2024-01-05"
    assert found.terms == "yours"
    assert found.advice == ""


def test_an_old_archive_is_found_and_an_empty_one_is_said(tmp_path: Path) -> None:
    assert examine(folder(tmp_path), SITE, base=tmp_path, now=NOW).state == "empty"
    image(tmp_path / "a_20140105.tif")
    assert examine(folder(tmp_path), SITE, base=tmp_path, now=NOW).state == "ok"


def test_what_fails_says_where_and_what_to_do(tmp_path: Path) -> None:
    image(tmp_path / "a_20240105.tif", west=EAST + 50000)
    configs = [
        folder(tmp_path / "none", "gone"),
        folder(tmp_path, "elsewhere"),
        folder(tmp_path, "off", enabled=False, disabled_reason="the terms forbid it"),
        SourceConfig(name="tiles", title="T", kind="xyz", url="http://127.0.0.1:9/{z}/{x}/{y}.png", gsd_m=0.5,
                     dates=("2024-01-01",)),
        SourceConfig(name="typo", title="T", kind="xyz", url="http://127.0.0.1:9/{z}/{x}.png", gsd_m=0.5),
    ]  # fmt: skip
    gone, elsewhere, off, tiles, typo = examine_all(configs, SITE, base=tmp_path, now=NOW)
    assert (gone.state, gone.steps[-1].name) == ("failed", "search")
    assert "sources/gone.yaml" in gone.advice
    assert (elsewhere.state, elsewhere.steps[-1].name) == ("failed", "read")
    assert "another place" in elsewhere.steps[-1].said
    assert (off.state, off.steps) == ("disabled", ())
    assert "the terms forbid it" in off.advice
    assert (tiles.state, tiles.steps[-1].name) == ("failed", "read")
    assert "allowed_hosts" in tiles.advice  # loopback without leave is hostile
    assert (typo.state, typo.steps[-1].name) == ("failed", "open")
    assert "sources/typo.yaml" in typo.advice
