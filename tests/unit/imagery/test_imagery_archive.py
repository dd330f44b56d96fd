"""The archive gives back what was put, says what is damaged, and believes nothing half-written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.imagery_world import FULL, SINCE, UNTIL, acquisition, numbers, reflectance, small_site, source_config
from support.imagery_world import write_item as write

from pipeline.errors import ArchiveError
from pipeline.imagery.archive import Archive, ArchiveEntry, digest_of
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.model import Asset, Chip
from pipeline.simulate.catalogue import write_catalogue

SITE = small_site()


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    folder = tmp_path_factory.mktemp("catalogue")
    bands, classes = reflectance(5)
    what = acquisition()
    write(folder, numbers(bands, 1000), classes, what)
    write_catalogue(folder, "one item", [what.item_id])
    source = open_source(source_config("stac-static", "catalog.json"), base=folder)
    scenes, _ = scenes_from_items(source.search(SITE, SINCE, UNTIL), ["made"])
    return source.read(SITE, scenes[0])


def test_what_was_put_comes_back_without_a_network(tmp_path: Path, chip: Chip) -> None:
    put = Archive(tmp_path).put(chip)
    (entry,) = Archive(tmp_path).find("small")
    got = Archive(tmp_path).get(entry)
    assert got.scene == chip.scene == entry.scene
    assert got.grid == chip.grid
    assert (got.bands, got.scale, got.offset) == (chip.bands, chip.scale, chip.offset)
    assert (got.path, got.sha256) == (put.path, put.sha256) == (entry.path, entry.sha256)
    for name in ("values", "valid", "classes"):
        one, other = getattr(got, name), getattr(chip, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def test_putting_again_changes_nothing_and_equal_chips_give_equal_bytes(tmp_path: Path, chip: Chip) -> None:
    first = Archive(tmp_path / "a").put(chip)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert Archive(tmp_path / "a").put(chip).sha256 == first.sha256
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert Archive(tmp_path / "b").put(chip).sha256 == first.sha256


def test_radar_in_floating_point_with_nan_comes_back(tmp_path: Path, chip: Chip) -> None:
    power = np.random.default_rng(1).gamma(4, 0.02, (2, *chip.grid.shape)).astype(np.float32)
    power[:, 0, 0] = np.nan
    assets = (Asset("vv", "https://x/vv.tif", nodata=math.nan), Asset("vh", "https://x/vh.tif", nodata=-32768.0))
    scene = replace(chip.scene, sensor="sentinel-1", items=(replace(chip.scene.items[0], assets=assets),))
    radar = replace(chip, scene=scene, bands=("vv", "vh"), values=power, classes=None, scale=(1.0, 1.0))
    radar = replace(radar, offset=(0.0, 0.0), valid=np.isfinite(power).all(axis=0))
    Archive(tmp_path).put(radar)
    (entry,) = Archive(tmp_path).find("small")
    got = Archive(tmp_path).get(entry)
    assert got.classes is None
    assert np.array_equal(got.values, power, equal_nan=True)
    assert math.isnan(entry.scene.items[0].assets[0].nodata or 0.0)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("suffix", "harm"),
    [
        (".tif", truncate),
        (".tif", Path.unlink),
        (".tif", lambda path: path.write_bytes(b"")),
        (".json", truncate),
        (".json", lambda path: path.write_text("[]")),
        (".json", lambda path: path.write_text("{}")),
        (".json", Path.unlink),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, chip: Chip, suffix: str, harm: Callable[[Path], object]) -> None:
    put = Archive(tmp_path).put(chip)
    path = (tmp_path / put.path).with_suffix(suffix)
    assert Archive(tmp_path).verify("small") == []
    harm(path)
    (said,) = Archive(tmp_path).verify("small")
    assert path.name in said
    with pytest.raises(ArchiveError, match=path.name):
        for entry in Archive(tmp_path).find("small"):
            Archive(tmp_path).get(entry)


def test_a_chip_without_its_done_marker_is_not_there_and_is_written_again(tmp_path: Path, chip: Chip) -> None:
    archive = Archive(tmp_path)
    put = archive.put(chip)
    (tmp_path / put.path).with_suffix(".done").unlink()
    truncate(tmp_path / put.path)
    assert archive.find("small") == []
    assert not archive.has("small", chip.scene)
    assert archive.put(chip).sha256 == put.sha256
    assert archive.verify("small") == []


def test_a_reprocessing_stands_beside_the_old_chip_and_is_the_one_found(tmp_path: Path, chip: Chip) -> None:
    archive = Archive(tmp_path)
    archive.put(chip)
    newer = replace(chip.scene, items=(replace(chip.scene.items[0], processing="05.11"),))
    assert not archive.has("small", newer)
    archive.put(replace(chip, scene=newer))
    assert [entry.scene for entry in archive.find("small")] == [newer]
    assert len(list(tmp_path.rglob("*.tif"))) == 2


def test_a_pass_that_came_from_the_second_source_is_not_fetched_again(tmp_path: Path, chip: Chip) -> None:
    archive = Archive(tmp_path)
    item = replace(chip.scene.items[0], item_id="other-name", source="second")
    archive.put(replace(chip, scene=replace(chip.scene, source="second", items=(item,))))
    assert archive.has("small", chip.scene)
    newer = replace(chip.scene, items=(replace(chip.scene.items[0], processing="05.11"),))
    assert not archive.has("small", newer)


def test_nothing_is_written_outside_whatever_the_names(tmp_path: Path, chip: Chip) -> None:
    root = tmp_path / "home" / "archive"
    item = replace(chip.scene.items[0], item_id="../../../escape")
    Archive(root).put(
        replace(chip, site="../../out", scene=replace(chip.scene, scene_id="../../../x", items=(item,)))
    )
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(root)]
    assert outside == []
    assert len(list(root.rglob("*.done"))) == 1


def test_the_digest_does_not_depend_on_the_order_of_items(chip: Chip) -> None:
    one, two = chip.scene.items[0], replace(chip.scene.items[0], item_id="two")
    assert digest_of(replace(chip.scene, items=(one, two))) == digest_of(replace(chip.scene, items=(two, one)))


def test_the_sidecar_alone_says_where_every_pixel_came_from(tmp_path: Path, chip: Chip) -> None:
    put = Archive(tmp_path).put(chip)
    document = json.loads((tmp_path / put.path).with_suffix(".json").read_text())
    (item,) = document["scene"]["items"]
    assert item["processing"] == "05.09"
    assert {asset["offset"] for asset in item["assets"]} == {-0.1, 0.0}
    assert document["sha256"] == put.sha256
    assert isinstance(Archive(tmp_path).find("small")[0], ArchiveEntry)
    assert FULL.crs == document["grid"]["crs"]
