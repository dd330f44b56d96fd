"""Known cars in a georeferenced image, counted from the file and from the same image served as XYZ tiles."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine
from support.fine_yards import true_cars, unseen_scene
from support.imagery_servers import titiler_server

from pipeline.config import CountingSettings, QualitySettings, SourceConfig
from pipeline.counting import count_look
from pipeline.counting.resolved.score import match
from pipeline.imagery.quality import look_at
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source
from pipeline.model import Count, Site
from pipeline.simulate.fine import FineScene

GSD = 0.5
SCENES = ((31, 0), (32, 1), (33, 0), (33, 1), (34, 1), (37, 1))  # seed and number of scenes in colour
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def write(scene: FineScene, path: Path) -> None:
    """Write the scene in red, green and blue of 8 bits, as map tiles are made from images."""
    values = scene.values if scene.values.dtype == np.uint8 else np.clip(scene.values // 8, 1, 255).astype(np.uint8)
    colours = [scene.bands.index(name) if name in scene.bands else 0 for name in ("red", "green", "blue")]
    values = values[colours]
    with rasterio.open(
        path, "w", driver="COG", width=scene.grid.width, height=scene.grid.height, count=len(values), dtype="uint8",
        crs=scene.grid.crs, transform=Affine(*scene.grid.transform), compress="DEFLATE", overviews="NONE",
    ) as target:  # fmt: skip
        target.write(values)


def counted(config: SourceConfig, site: Site, base: Path) -> Count:
    source = open_source(config, base=base)
    (scene,), _ = scenes_from_items(source.search(site, *EVER), [config.name])
    look = look_at(source.read(site, scene), site, QualitySettings())
    found = count_look(look, (), site, (), CountingSettings(), QualitySettings())
    assert isinstance(found, Count), found
    assert found.method == "resolved"
    return found


def test_cars_from_tiles_are_the_cars_from_the_file(tmp_path: Path) -> None:
    true = from_file = from_tiles = differing = 0
    with titiler_server() as url:
        for seed, index in SCENES:
            scene = unseen_scene(seed, index, GSD, "plain")
            folder = tmp_path / f"{seed}-{index}"
            folder.mkdir()
            write(scene, folder / "yard_20231005.tif")
            common = {"title": "Known cars", "allow_loopback": True}
            drop = SourceConfig.model_validate({"name": "drop", "kind": "folder", "path": str(folder), **common})
            image = f"{folder}/yard_{{time}}.tif&resampling=cubic&reproject=cubic"
            tiles = f"{url}/cog/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png?url={image}"
            given = {"url": tiles, "dates": [date(2023, 10, 5)], "time_format": "%Y%m%d", "gsd_m": GSD}
            served = SourceConfig.model_validate({"name": "served", "kind": "xyz", **given, **common})
            one, other = counted(drop, scene.site, tmp_path), counted(served, scene.site, tmp_path)
            pairs = match(
                [car.polygon for car in other.railcar_list], [car.polygon for car in one.railcar_list]
            ).pairs
            apart = abs(len(other.railcar_list) - len(one.railcar_list))
            assert apart <= len(one.railcar_list) / 50, (seed, index, len(one.railcar_list), len(other.railcar_list))
            differing += len(one.railcar_list) + len(other.railcar_list) - 2 * len(pairs)
            true += len(true_cars(scene))
            from_file += len(one.railcar_list)
            from_tiles += len(other.railcar_list)
    assert true >= 100
    assert abs(from_tiles - from_file) <= from_file / 50, (true, from_file, from_tiles, differing)
    assert differing <= from_file / 50, "the same cars, not as many others"
