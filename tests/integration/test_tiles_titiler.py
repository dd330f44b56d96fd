"""A georeferenced image behind titiler as XYZ tiles: the same ground as from the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from shapely.geometry import LineString, box
from support.imagery_servers import titiler_server

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError
from pipeline.imagery.doctor import examine
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.tiles import TileSource, open_tiles
from pipeline.model import Site, Track

EAST, NORTH, GSD = 632000.0, 4698000.0, 0.5
AREA = box(EAST, NORTH - 200.0, EAST + 300.0, NORTH)
SITE = Site(
    "yard", "Yard", "EPSG:32652", AREA,
    (Track("t1", "1", LineString([(EAST + 40, NORTH - 100), (EAST + 260, NORTH - 100)]), "yard"),),
)  # fmt: skip
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
DAYS = ("2023-09-14", "2023-10-05")


def ground(east: NDArray[np.float64], north: NDArray[np.float64], day: str) -> NDArray[np.float64]:
    """The known ground: smooth waves in the site's metres, another one each day, (3, rows, columns)."""
    phase = DAYS.index(day) * 1.7
    return np.stack([
        120 + 60 * np.sin((east - EAST) / 9 + phase) * np.cos((north - NORTH) / 7),
        110 + 50 * np.cos((east - EAST) / 11 + phase),
        100 + 40 * np.sin((north - NORTH) / 8 + phase),
    ])  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with titiler_server() as url:
        yield url


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    corner, shape = Affine(GSD, 0, EAST - 60, 0, -GSD, NORTH + 60), (640, 840)
    cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    for day in DAYS:
        values = ground(corner.c + cols * GSD, corner.f - rows * GSD, day)
        with rasterio.open(
            folder / f"{day}.tif", "w", driver="COG", width=shape[1], height=shape[0], count=3, dtype="uint8",
            crs="EPSG:32652", transform=corner, compress="DEFLATE", overviews="NONE",
        ) as target:  # fmt: skip
            target.write(np.rint(values).astype("uint8"))
    return folder


def tiles_of(server: str, images: Path, **extra: object) -> TileSource:
    url = f"{server}/cog/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png?url={images}/{{time}}.tif&resampling=cubic"
    dates = [date.fromisoformat(day) for day in DAYS]
    given = {"kind": "xyz", "url": url, "gsd_m": GSD, "dates": dates, "allow_loopback": True, **extra}
    return open_tiles(SourceConfig.model_validate({"name": "titiler", "title": "Titiler", **given}), Path())


def test_each_release_lands_on_the_known_ground(server: str, images: Path) -> None:
    reader = tiles_of(server, images)
    items = reader.search(SITE, *EVER)
    scenes, _ = scenes_from_items(items, ["titiler"])
    assert [scene.scene_id for scene in scenes] == ["titiler_20230914", "titiler_20231005"]
    assert all(scene.date_uncertain and scene.sensor == "tiles" for scene in scenes)
    for scene, day in zip(scenes, DAYS, strict=True):
        chip = reader.read(SITE, scene)
        x, y = chip.grid.to_xy(*np.meshgrid(np.arange(chip.grid.width) + 0.5, np.arange(chip.grid.height) + 0.5))
        expected = ground(x, y, day)
        assert chip.valid.all()
        assert chip.grid == SITE.grid(GSD)
        error = chip.values.astype(float) - expected
        assert np.abs(error).max() < 3.0
        for axis, name in ((1, "columns"), (0, "rows")):
            slope = np.gradient(expected[0], axis=axis)
            assert abs((error[0] * slope).sum() / (slope**2).sum()) < 0.1, f"pixels of shift along {name}"


def test_a_release_that_the_server_does_not_have_is_an_error_and_never_black(server: str, images: Path) -> None:
    reader = tiles_of(server, images, dates=[date(2022, 1, 1)])
    (scene,), _ = scenes_from_items(reader.search(SITE, *EVER), ["titiler"])
    with pytest.raises(ReadError, match="titiler_20220101") as caught:
        reader.read(SITE, scene)
    assert "\n" not in str(caught.value)


def test_ground_outside_the_image_is_not_valid(server: str, images: Path) -> None:
    beside = box(EAST + 250, NORTH - 200.0, EAST + 450, NORTH)
    line = LineString([(EAST + 260, NORTH - 100), (EAST + 440, NORTH - 100)])
    site = Site("edge", "Edge", "EPSG:32652", beside, (Track("t1", "1", line, "yard"),))
    reader = tiles_of(server, images)
    (scene, _), _ = scenes_from_items(reader.search(site, *EVER), ["titiler"])
    chip = reader.read(site, scene)
    x, _ = chip.grid.to_xy(np.arange(chip.grid.width) + 0.5, 0.5)
    inside = x < EAST - 60 + 840 * GSD
    assert chip.valid[:, inside][:, :-2].all()
    assert not chip.valid[:, ~inside][:, 2:].any()


def test_doctor_tries_a_source_of_tiles_and_says_what_it_took(server: str, images: Path) -> None:
    source = tiles_of(server, images).config
    found = examine(source, SITE, base=images, now=datetime(2024, 1, 1, tzinfo=UTC))
    assert found.state == "ok"
    assert [step.name for step in found.steps] == ["search", "read"]
    assert re.search(r"100% valid, \d+ requests, \d+ KB", found.steps[1].said)
    assert found.network_bytes > 100_000
