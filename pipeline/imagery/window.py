"""The site's window of a scene, read from its items' assets onto the site's own grid."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from pipeline.config.schema import CollectionConfig, SourceConfig
from pipeline.errors import HostileInputError, ReadError
from pipeline.imagery.hosts import is_remote, shorten
from pipeline.imagery.radar_power import power_of
from pipeline.imagery.remote import RangeFile, Web
from pipeline.imagery.resample import Placed, check_shape, place
from pipeline.imagery.whole import ENDS, TAIL, is_whole
from pipeline.model import Asset, BoolArray, Chip, Grid, Item, Scene, Site

THREADS = 8  # assets of one scene read at once: waiting for the network, not computing
# The driver is chosen from a file's first bytes and named to GDAL, so that no other of its hundred drivers, some of
# which open further files that a document names (VRT), is ever tried.
MAGIC = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),
    (b"MM\x00+", "GTiff"),
    (b"\x00\x00\x00\x0cjP  ", "JP2OpenJPEG"),
    (b"\xffO\xffQ", "JP2OpenJPEG"),
    (b"\x89PNG\r\n", "PNG"),
)
# STACK.md, "Reading windows". rasterio's environment belongs to a thread, so it is entered in each.
ENV = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": 64 * 2**20,  # bytes: a bare number would be megabytes, or bytes, depending on its size
}


@dataclass(frozen=True)
class _Band:
    """One asset on the grid."""

    values: NDArray[Any]  # (rows, columns)
    valid: BoolArray  # (rows, columns), True = inside the file and not nodata


def read_scene(config: SourceConfig, web: Web, site: Site, scene: Scene) -> Chip:
    """Read a scene's window of digital numbers.

    Parameters
    ----------
    config : SourceConfig
    web : Web
        How files of this source are reached.
    site : Site
    scene : Scene
        Items of one collection of this source: the tiles of a pass.

    Returns
    -------
    Chip
        On the site's grid at the collection's sampling. Bands of another sampling or projection are brought
        onto it by a cubic spline, classes by the nearest pixel; each pixel's bands are all from one item.

    Raises
    ------
    ReadError
        When an asset cannot be read; names scene, item and asset.
    HostileInputError
        When an address is not allowed.
    """
    collection = _collection(config, scene)
    grid = site.grid(collection.gsd_m)
    mask = collection.mask.band if collection.mask is not None and collection.mask.kind != "none" else ""
    bands = _common_bands(scene, collection, mask)
    wanted = [(item, name) for item in scene.items for name in (*bands, *([mask] if mask else []))]
    with web.client() as client, ThreadPoolExecutor(THREADS, thread_name_prefix="read") as pool:
        futures = [pool.submit(_read_asset, web, client, scene, item, name, mask, grid) for item, name in wanted]
        try:
            read = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    layers = {(item.item_id, name): band for (item, name), band in zip(wanted, read, strict=True)}
    values, valid, classes = _mosaic(scene, bands, mask, grid, layers)
    assets = [scene.items[0].asset(name) for name in bands]
    return Chip(
        site.name,
        scene,
        grid,
        bands,
        values,
        valid,
        classes if mask else None,
        tuple(asset.scale if asset else 1.0 for asset in assets),
        tuple(asset.offset if asset else 0.0 for asset in assets),
    )


def _collection(config: SourceConfig, scene: Scene) -> CollectionConfig:
    for collection in config.collections:
        if scene.items and collection.id == scene.items[0].collection:
            return collection
    raise ReadError(f"{scene.scene_id}: its collection is not configured in source {config.name}.")


def _common_bands(scene: Scene, collection: CollectionConfig, mask: str) -> tuple[str, ...]:
    """Return the configured bands that every item has, in the order of the configuration.

    A radar pass may come in one polarisation. An optical item that lost a band is broken: its looks could not stand
    beside those that have it.
    """
    for item in scene.items:
        lost = [name for name in collection.bands if name != mask and item.asset(name) is None]
        if lost and len(lost) < len(collection.bands) - bool(mask) and scene.sensor in {"sentinel-2", "landsat"}:
            raise ReadError(
                f"{scene.scene_id}: item {item.item_id} has no asset for band {', '.join(lost)}; "
                "it is not read until its catalogue entry changes."
            )
        if mask and item.asset(mask) is None:
            raise ReadError(f"{scene.scene_id}: item {item.item_id} has no asset for its mask '{mask}'.")
    bands = tuple(name for name in collection.bands if name != mask and all(item.asset(name) for item in scene.items))
    if not bands:
        wanted = ", ".join(name for name in collection.bands if name != mask)
        raise ReadError(f"{scene.scene_id}: item {scene.items[0].item_id} has none of the bands {wanted}.")
    return bands


def _read_asset(web: Web, client: httpx.Client, scene: Scene, item: Item, name: str, mask: str, grid: Grid) -> _Band:
    asset = item.asset(name)
    if asset is None:
        raise ReadError(f"{scene.scene_id}: item {item.item_id} has no asset '{name}'.")
    where = f"{scene.scene_id}: item {item.item_id}, asset {name}"
    try:
        with rasterio.Env(**ENV), _opened(web, client, asset) as source:
            check_shape(source, asset)
            convert = None if asset.calibration is None else power_of(asset, web)
            placed = place(source, asset, grid, classes=name == mask, crs=item.crs, convert=convert)
    except HostileInputError as error:
        raise HostileInputError(f"{where}: {error}") from error
    except ReadError as error:
        raise ReadError(f"{where}: {error}", transient=error.transient) from error
    return _finish(placed, name == mask)


@contextmanager
def _opened(web: Web, client: httpx.Client, asset: Asset) -> Iterator[DatasetReader]:
    """Open an asset; whatever goes wrong with it, also later while it is read, leaves as a ReadError."""
    remote: RangeFile | None = None
    shown = shorten(asset.href)
    try:
        if is_remote(asset.href):
            remote = web.open(asset.href, client)
            driver = _driver(remote.head, shown)
            _check_whole(driver, remote, shown)
            with rasterio.open(remote, driver=driver) as source:
                yield source
        else:
            path = web.gate.local_path(asset.href, web.gate.root or Path())
            with path.open("rb") as handle:
                driver = _driver(handle.read(16), shown)
                _check_whole(driver, handle, shown)
            with rasterio.open(path, driver=driver, sharing=False) as source:
                yield source
    except (RasterioError, ValueError, OverflowError) as error:
        if remote is not None and remote.error is not None:
            raise remote.error from error
        raise ReadError(f"{shown} is not a readable image; it may be cut off or damaged.") from error
    except OSError as error:
        raise ReadError(f"{shown} cannot be read ({error.strerror or type(error).__name__}).") from error
    except MemoryError as error:
        raise ReadError(f"{shown} asks for more memory than there is.") from error
    finally:
        if remote is not None:
            remote.close()
    if remote is not None and remote.error is not None:
        raise remote.error


def _check_whole(driver: str, file: io.RawIOBase | io.BufferedReader, shown: str) -> None:
    """Refuse a picture that is cut off; the file is left at its start."""
    if driver in ENDS:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size - TAIL, 0))
        tail = file.read(TAIL) or b""
        file.seek(0)
        if not is_whole(driver, b"", tail, size):
            raise ReadError(f"{shown} is not a readable image; it is cut off.")


def _driver(head: bytes, shown: str) -> str:
    for magic, driver in MAGIC:
        if head.startswith(magic):
            return driver
    raise ReadError(f"{shown} is none of GeoTIFF, JPEG 2000 and PNG.")


def _finish(placed: Placed, classes: bool) -> _Band:
    values, valid = placed
    if classes and values.dtype != np.uint8:
        # Landsat's QA_PIXEL has 16 bits; fill, cloud, shadow, snow, clear and water are the lower eight.
        values = (values.astype(np.int64) & 0xFF).astype(np.uint8)
    return _Band(values, valid)


def _mosaic(
    scene: Scene, bands: Sequence[str], mask: str, grid: Grid, layers: dict[tuple[str, str], _Band]
) -> tuple[NDArray[Any], BoolArray, NDArray[np.uint8]]:
    """Lay the items over each other: the first item, by id, that has a pixel in all bands gives all its bands."""
    dtype = np.result_type(*(layers[item.item_id, name].values.dtype for item in scene.items for name in bands))
    values = np.zeros((len(bands), *grid.shape), dtype=dtype)
    valid = np.zeros(grid.shape, dtype=bool)
    classes = np.zeros(grid.shape, dtype=np.uint8)
    for item in scene.items:
        parts = [layers[item.item_id, name] for name in bands]
        fresh = np.logical_and.reduce([part.valid for part in parts]) & ~valid
        for index, part in enumerate(parts):
            values[index][fresh] = part.values[fresh]
        if mask:
            classes[fresh] = layers[item.item_id, mask].values[fresh]
        valid |= fresh
    return values, valid, classes
