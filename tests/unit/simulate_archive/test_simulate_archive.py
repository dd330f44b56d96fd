"""The simulated archive is a catalogue with a truth, and its accidents are where it says."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rasterio
from rasterio.errors import RasterioIOError

import pipeline.simulate.archive as archive_module
from pipeline.config import open_configuration
from pipeline.errors import RailwatchError
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.round.demo import simulate_dir
from pipeline.round.progress import Silent
from pipeline.simulate.demo_site import SITE_NAME, SOURCE_NAME
from pipeline.simulate.plan import PlannedLook, plan_looks

SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)


def short_plan(years: int, seed: int) -> tuple[PlannedLook, ...]:
    looks = plan_looks(years, seed)
    middle = next(number for number, look in enumerate(looks) if look.offset_dn)
    clear = [look for look in looks[middle - 12 : middle + 12] if look.sky == "clear"]
    return tuple(clear[:3] + clear[-3:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_module, "plan_looks", short_plan)
        out = tmp_path_factory.mktemp("archive") / "sim"
        simulate_dir(out, 2, 3, Silent())
        yield out


def test_scene_ids_of_the_truth_are_those_of_the_round(folder: Path) -> None:
    configuration = open_configuration(folder / "config")
    items = open_source(configuration.source(SOURCE_NAME), base=folder / "config").search(
        configuration.site(SITE_NAME), SINCE, UNTIL
    )
    scenes, _ = scenes_from_items(items, [SOURCE_NAME])
    with (folder / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["scene_id"] for row in rows] == [scene.scene_id for scene in scenes]
    assert [row["observed_at"] for row in rows] == [f"{scene.observed_at:%Y-%m-%dT%H:%M:%SZ}" for scene in scenes]
    assert len(items) == len(rows) + 2, "one look came in two tiles, one in two processings"


def test_accidents_are_where_they_are_said_to_be(folder: Path) -> None:
    said = json.loads((folder / "accidents.json").read_text())
    items = folder / "catalogue" / "items"
    with pytest.raises(RasterioIOError), rasterio.open(items / said["corrupt"][0]) as broken:
        broken.read()
    for name in said["duplicate"] + said["reprocessed"]:
        assert (items / name / f"{name}.json").is_file()
    twin = said["reprocessed"][0]
    old = twin.replace("_1_L2A", "_0_L2A")
    offsets = []
    levels = []
    for name in (old, twin):
        item = json.loads((items / name / f"{name}.json").read_text())
        offset = item["assets"]["red"]["raster:bands"][0]["offset"]
        with rasterio.open(items / name / "red.tif") as image:
            levels.append(image.read(1) * 1e-4 + offset)
        offsets.append(offset)
    assert offsets[1] == pytest.approx(-0.1)
    assert abs(levels[0] - levels[1]).max() < 1e-6, "both processings say the same reflectance"


def test_equal_seeds_give_equal_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "plan_looks", short_plan)
    simulate_dir(tmp_path / "again", 2, 3, Silent())
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = {
        p.relative_to(tmp_path / "again"): p.read_bytes() for p in (tmp_path / "again").rglob("*") if p.is_file()
    }
    assert first == again


def content(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RailwatchError, match=r"already holds thesis\.txt; name a new or empty folder"):
        simulate_dir(tmp_path, 1, 1, Silent())
