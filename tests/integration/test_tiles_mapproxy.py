"""Map tiles from a real server (MapProxy): XYZ, TMS and a WMTS with a time dimension over known ground."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer
from shapely.geometry import LineString, box
from support.imagery_servers import free_port, running, server_program

from pipeline.config.schema import SourceConfig
from pipeline.errors import SourceError
from pipeline.imagery.tiles import open_tiles
from pipeline.model import Chip, Item, Scene, Site, Track

ZOOM = 18
DAYS = ("2023-09-14", "2023-10-05")
EAST, NORTH = 632000.0, 4698000.0
AREA = box(EAST, NORTH - 200.0, EAST + 300.0, NORTH)
SITE = Site(
    "yard", "Yard", "EPSG:32652", AREA,
    (Track("t1", "1", LineString([(EAST + 40, NORTH - 100), (EAST + 260, NORTH - 100)]), "yard"),),
)  # fmt: skip
EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
HALF = 20037508.342789244


def ground(east: np.ndarray, north: np.ndarray, day: str) -> np.ndarray:
    """The known ground: smooth waves in the site's metres, another one each day, (3, rows, columns)."""
    phase = DAYS.index(day) * 1.7
    return np.stack([
        120 + 60 * np.sin((east - EAST) / 9 + phase) * np.cos((north - NORTH) / 7),
        110 + 50 * np.cos((east - EAST) / 11 + phase),
        100 + 40 * np.sin((north - NORTH) / 8 + phase),
    ])  # fmt: skip


def _fill(cache: Path, day: str) -> None:
    """Write the tiles over the site in TMS order of folders, as `mapproxy-seed` would leave them."""
    to_mercator = Transformer.from_crs("EPSG:32652", "EPSG:3857", always_xy=True)
    to_site = Transformer.from_crs("EPSG:3857", "EPSG:32652", always_xy=True)
    west, south, east, north = to_mercator.transform_bounds(*AREA.buffer(120).bounds)
    span = 2 * HALF / 2**ZOOM
    for x in range(math.floor((west + HALF) / span), math.floor((east + HALF) / span) + 1):
        for y in range(math.floor((HALF - north) / span), math.floor((HALF - south) / span) + 1):
            cols, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
            e, n = to_site.transform(-HALF + (x + cols / 256) * span, HALF - (y + rows / 256) * span)
            rgb = np.rint(ground(e, n, day)).astype("uint8").transpose(1, 2, 0)
            path = cache / str(ZOOM) / str(x) / f"{y}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rgb).save(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = server_program("mapproxy-util")
    folder = tmp_path_factory.mktemp("mapproxy")
    layers, caches = [], []
    for day in DAYS:
        _fill(folder / f"cache-{day}", day)
        layers.append(f"  - {{name: day_{day}, title: '{day}', sources: [cache_{day}]}}")
        caches.append(
            f"  cache_{day}: {{sources: [], grids: [webmercator], format: image/png, request_format: image/png, "
            f"cache: {{type: file, directory: {folder}/cache-{day}, directory_layout: tms}}}}"
        )
        _fill(folder / "cache-timed" / f"time-{day}", day)
    config = folder / "mapproxy.yaml"
    config.write_text(
        "services:\n  tms: {use_grid_names: true, origin: nw}\n"
        "  wmts: {restful: true, kvp: true, restful_template: "
        "'/{Layer}/{TileMatrixSet}/{Time}/{TileMatrix}/{TileCol}/{TileRow}.{Format}'}\n"
        "layers:\n" + "\n".join(layers) + "\n"
        "  - name: timed\n    title: timed\n    sources: [cache_timed]\n    dimensions:\n"
        f"      Time: {{values: [{', '.join(repr(day) for day in DAYS)}], default: '{DAYS[0]}'}}\n"
        "caches:\n" + "\n".join(caches) + "\n"
        "  cache_timed: {sources: [], grids: [webmercator], format: image/png, request_format: image/png, "
        f"cache: {{type: file, directory: {folder}/cache-timed, directory_layout: tms}}}}\n"
        "grids:\n  webmercator: {base: GLOBAL_WEBMERCATOR, num_levels: 19}\n"
        f"globals: {{cache: {{base_dir: {folder}/base}}}}\n"
    )
    port = free_port()
    command = [str(program), "serve-develop", "-b", f"127.0.0.1:{port}", str(config)]
    with running(command, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


def source(kind: str, url: str, **extra: object):
    config = {"gsd_m": 0.5, "allow_loopback": True, **extra}
    return open_tiles(SourceConfig(name="tiles", title="Tiles", kind=kind, url=url, **config), Path())


def scene_of(item: Item) -> Scene:
    return Scene(item.item_id, item.source, "tiles", "tiles", item.observed_at, 0.5, (item,), date_uncertain=True)


def assert_shows(chip: Chip, day: str) -> None:
    x, y = chip.grid.to_xy(*np.meshgrid(np.arange(chip.grid.width) + 0.5, np.arange(chip.grid.height) + 0.5))
    expected = ground(x, y, day)
    assert chip.valid.all()
    assert chip.grid == SITE.grid(0.5)
    error = chip.values.astype(float) - expected
    assert np.abs(error).max() < 3.0
    # A tenth of a pixel along the waves would show as 60 / 9 * 0.05 = 0.33 numbers.
    assert abs(error.mean()) < 0.1
    slope = np.gradient(expected[0], 0.5, axis=1)
    assert abs((error[0] * slope).sum() / (slope**2).sum()) < 0.05  # metres of shift to the east


@pytest.mark.parametrize("template", ["/tiles/1.0.0/day_{time}/webmercator/{z}/{x}/{y}.png",
                                      "/tiles/1.0.0/day_{time}/webmercator/{z}/{x}/{-y}.png?origin=sw"])  # fmt: skip
def test_xyz_and_tms_land_on_the_known_ground(server: str, template: str) -> None:
    reader = source("xyz", server + template, dates=[date.fromisoformat(day) for day in DAYS])
    items = reader.search(SITE, *EVER)
    assert [item.observed_at.date().isoformat() for item in items] == list(DAYS)
    assert all(item.date_uncertain for item in items)
    for item, day in zip(items, DAYS, strict=True):
        assert_shows(reader.read(SITE, scene_of(item)), day)
    assert len(reader.search(SITE, datetime(2023, 10, 1, tzinfo=UTC), EVER[1])) == 1


def test_wmts_takes_the_wanted_time(server: str) -> None:
    reader = source("wmts", f"{server}/wmts/1.0.0/WMTSCapabilities.xml", layer="timed")
    items = reader.search(SITE, *EVER)
    assert [item.observed_at.date().isoformat() for item in items] == list(DAYS)
    for item, day in zip(items, DAYS, strict=True):
        assert_shows(reader.read(SITE, scene_of(item)), day)


def test_wmts_names_the_layers_it_has(server: str) -> None:
    reader = source("wmts", f"{server}/wmts/1.0.0/WMTSCapabilities.xml", layer="timid")
    with pytest.raises(SourceError, match=r"no layer 'timid'.*timed"):
        reader.search(SITE, *EVER)


def test_a_page_instead_of_capabilities(server: str) -> None:
    with pytest.raises(SourceError, match=r"answers 404|is not XML"):
        source("wmts", f"{server}/nothing-here", layer="timed").search(SITE, *EVER)
