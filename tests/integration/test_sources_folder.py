"""A folder of one's own images beside a catalogue: every format and every way of telling the time, through rounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import Affine
from support.imagery_world import CRS, NORTH, WEST
from support.sources_world import write_sources_config

from pipeline.model import Observation
from pipeline.round.run import run_round
from pipeline.round.workspace import Workspace

TODAY = datetime(2024, 7, 1, 6, 30, tzinfo=UTC)
PLACE = Affine(0.5, 0, WEST + 190, 0, -0.5, NORTH - 150)
SHAPE = (1000, 1640)


def picture(seed: int) -> NDArray[np.uint8]:
    """Return gravel of 8 bits in three bands."""
    rng = np.random.default_rng(seed)
    grey = rng.normal(110, 9, SHAPE) + 15 * np.sin(np.arange(SHAPE[1]) / 37)
    return np.stack([np.clip(grey + lift, 1, 254) for lift in (4, 0, -5)]).astype(np.uint8)


def write(path: Path, driver: str, values: NDArray[np.uint8], **tags: str) -> None:
    count, height, width = values.shape
    options = {"QUALITY": 100, "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    with rasterio.open(
        path, "w", driver=driver, count=count, height=height, width=width, dtype="uint8", crs=CRS, transform=PLACE,
        **options,
    ) as target:  # fmt: skip
        target.write(values)
        target.update_tags(**tags)


def rows_after(ws: Workspace, today: datetime) -> dict[str, Observation]:
    run_round(ws, "small", today=today)
    return {row.scene_id: row for row in ws.store.observations("small")}


def test_images_of_every_kind_and_date_are_found_whenever_they_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.round.run.report_site", lambda *_, **__: None)  # not looked at here
    drop = tmp_path / "drop"
    drop.mkdir()
    source = {"kind": "folder", "path": str(drop), "time_pattern": r"acq_(?P<time>\d{8}T\d{6})"}
    config = write_sources_config(tmp_path / "config", {"drop": source})
    with Workspace.open(config, tmp_path / "home") as ws:
        write(drop / "tagged.tif", "GTiff", picture(1), TIFFTAG_DATETIME="2024:06:20 02:21:00")
        first = rows_after(ws, TODAY)
        assert {scene: row.observed_at.isoformat() for scene, row in first.items()} == {
            "tagged": "2024-06-20T02:21:00+00:00"
        }
        # A week later somebody drops images of years ago; a round that looks back 45 days would know nothing of them.
        write(drop / "acq_20191005T022000_x.jp2", "JP2OpenJPEG", picture(2))
        Image.fromarray(picture(3).transpose(1, 2, 0)).save(drop / "noted.png")
        (drop / "noted.pgw").write_text(f"0.5\n0\n0\n-0.5\n{PLACE.c + 0.25}\n{PLACE.f - 0.25}\n", encoding="utf-8")
        notes = f"file,observed_at,crs,publisher\nnoted.png,2021-03-04T02:15:00Z,{CRS},Somebody\n"
        (drop / "images.csv").write_text(notes, encoding="utf-8")
        second = rows_after(ws, TODAY + timedelta(days=7))
        assert {scene: row.observed_at.isoformat() for scene, row in second.items()} == {
            "acq_20191005T022000_x": "2019-10-05T02:20:00+00:00",
            "noted": "2021-03-04T02:15:00+00:00",
            "tagged": "2024-06-20T02:21:00+00:00",
        }
        for row in second.values():
            assert row.method == "resolved", "images of half a metre go to resolved counting"
            assert row.chip_path, row.detail
            assert (row.sensor, row.gsd_m) == ("vhr", 0.5)
        assert second["noted"].platform == "Somebody"
        chips = {entry.scene.scene_id: ws.archive.get(entry) for entry in ws.archive.find("small")}
        for seed, scene in ((1, "tagged"), (2, "acq_20191005T022000_x"), (3, "noted")):
            chip = chips[scene]
            col, row = (
                round((chip.grid.transform[2] - PLACE.c) / 0.5),
                round((PLACE.f - chip.grid.transform[5]) / 0.5),
            )
            own = picture(seed)[:, row : row + chip.grid.height, col : col + chip.grid.width]
            assert np.array_equal(chip.values, own), f"{scene}: its own pixels, where they lie"
        third = run_round(ws, "small", today=TODAY + timedelta(days=8))
        assert third.plan.new == ()
