"""Source kind `folder`: georeferenced images that a user drops into a folder, read window by window."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from shapely.geometry import Polygon, box

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.chip_area import MAX_CHIP_BYTES, area_to_read, grid_over
from pipeline.imagery.folder_file import DRIVERS, open_image, reading
from pipeline.imagery.folder_header import Header, read_header, to_wgs84
from pipeline.imagery.folder_notes import Note, content_stamp, image_time, read_notes
from pipeline.model import Asset, Chip, Grid, Item, Scene, Site

LOG = logging.getLogger(__name__)

COLLECTION = "folder"
MAX_GSD_M = 100.0  # coarser pixels hold several yards


@dataclass(frozen=True)
class FolderSource:
    """Images in a folder; `search` lists them by date, `read` takes the site's window of one."""

    config: SourceConfig
    folder: Path

    def search(self, site: Site, since: datetime, until: datetime) -> tuple[Item, ...]:
        """List the images acquired in a window of time.

        Images of another place and broken ones are listed too, so that each ends as a row that says why it was
        not counted. An image without a date cannot be placed in the series: its item carries the `problem`.

        Parameters
        ----------
        site : Site
        since, until : datetime
            UTC, both inclusive.

        Returns
        -------
        tuple of Item
            In order of acquisition time, then of name.

        Raises
        ------
        SourceError
            When the folder does not exist or its `images.csv` cannot be used.
        """
        notes = self._notes()
        found: list[Item] = []
        for path in self._images():
            when = image_time(path, notes.get(self._name(path)), self.config.time_pattern, _longitude(site))
            if when is None:
                found.append(self._undatable(path, since))
            elif since <= when <= until:
                found.append(self._item(site, path, when, notes.get(self._name(path))))
        return tuple(sorted(found, key=lambda item: (item.observed_at, item.item_id)))

    def problems(self, site: Site) -> tuple[str, ...]:
        """Say in one sentence each which images of the folder cannot be used, sorted by name."""
        notes = self._notes()
        said: list[str] = []
        for path in self._images():
            note = notes.get(self._name(path))
            if image_time(path, note, self.config.time_pattern, _longitude(site)) is None:
                said.append(self._undated(path))
                continue
            try:
                with open_image(path) as image:
                    _plan(image, read_header(path, image, site, note), site)
            except ReadError as error:
                said.append(str(error))
        return tuple(said)

    def read(self, site: Site, scene: Scene) -> Chip:
        """Read the site's window of an image.

        An image in the site's projection keeps its own pixels; any other is brought onto the site's grid at the
        image's own sampling (cubic convolution). Only the blocks under the window are decoded.

        Parameters
        ----------
        site : Site
        scene : Scene
            Of one item of this source.

        Returns
        -------
        Chip
            Digital numbers as in the file; `valid` is False outside the image, on its nodata value, under a
            transparent alpha band and where a value is not finite.

        Raises
        ------
        ReadError
            When the image is gone, broken, without georeference, of another place, of unusable bands, a single
            pixel, constant, or without a valid pixel over the site.
        """
        item = scene.items[0]
        path = self._path_of(item)
        note = self._notes().get(self._name(path))
        with open_image(path) as image:
            header = read_header(path, image, site, note)
            grid, own = _plan(image, header, site)
            values, valid = _read_own(path, image, header, grid) if own else _read_warped(path, image, header, grid)
        _refuse_empty(path, values, valid)
        return Chip(site.name, scene, grid, header.bands, values, valid, None, header.scale, header.offset)

    def _item(self, site: Site, path: Path, when: datetime, note: Note | None) -> Item:
        name = self._name(path)
        assets: tuple[Asset, ...]
        crs, footprint = "", None
        try:
            with open_image(path) as image:
                header = read_header(path, image, site, note)
            assets = tuple(
                Asset(band, name, scale, offset, header.nodata, round(header.gsd_m, 4), index)
                for band, scale, offset, index in zip(
                    header.bands, header.scale, header.offset, header.indexes, strict=True
                )
            )
            crs, footprint = header.crs.to_string(), header.footprint
        except ReadError as error:  # listed all the same: the read will say why, and the row is `failed`
            LOG.info("%s", error)
            assets = (Asset("pan", name),)
        return Item(
            item_id=item_id(name),
            collection=COLLECTION,
            source=self.config.name,
            processing="",
            observed_at=when,
            assets=assets,
            crs=crs,
            footprint=footprint,
            updated=content_stamp(path),
            self_href=name,
            sensor="vhr",
            platform=note.publisher if note else "",
            gsd_m=assets[0].gsd_m,
        )

    def _undatable(self, path: Path, since: datetime) -> Item:
        """List an image that nothing dates: its problem is said each round, and it is never read."""
        name = self._name(path)
        return Item(
            item_id(name), COLLECTION, self.config.name, "", since, (), sensor="vhr", self_href=name,
            problem=self._undated(path), date_uncertain=True,
        )  # fmt: skip

    def _images(self) -> Iterator[Path]:
        """Yield the images below the folder in order of name; links that lead out of it are not followed."""
        root = self.folder.resolve()
        if not root.is_dir():
            raise SourceError(
                f"source {self.config.name}: there is no folder {self.folder}; make it or correct key 'path'."
            )
        try:
            paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in DRIVERS)
        except OSError as error:
            raise SourceError(
                f"source {self.config.name}: folder {self.folder} cannot be listed ({error.strerror})."
            ) from error
        for path in paths:
            inside = path.resolve().is_relative_to(root)
            if not inside:
                LOG.warning("source %s: %s links out of the folder and is left alone", self.config.name, path.name)
            elif path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path

    def _path_of(self, item: Item) -> Path:
        """Return the file of an item, found by listing: an item's text is never joined to a path."""
        for path in self._images():
            if item_id(self._name(path)) == item.item_id:
                return path
        raise ReadError(f"{item.item_id}: the image is no longer in folder {self.folder}; put it back.")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder.resolve()).as_posix()

    def _notes(self) -> dict[str, Note]:
        return read_notes(self.folder, self.config.name)

    def _undated(self, path: Path) -> str:
        return (
            f"{path.name}: no acquisition date; write it into images.csv (columns file,observed_at), the file name "
            "or the tag TIFFTAG_DATETIME."
        )


def open_folder(config: SourceConfig, base: Path) -> FolderSource:
    """Open a folder source.

    Parameters
    ----------
    config : SourceConfig
        Of kind `folder`; key `path` is the folder.
    base : Path
        Where a relative `path` starts.

    Raises
    ------
    SourceError
        When no path is configured.
    """
    if not config.path:
        raise SourceError(f"source {config.name}: key 'path' is empty; name the folder that holds the images.")
    return FolderSource(config, (base / Path(config.path).expanduser()))


def item_id(name: str) -> str:
    """Return the id of an image from its name within the folder: letters, digits, point, hyphen, underscore."""
    stem = str(Path(name).with_suffix("").as_posix())
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip(".") or "image"


def _longitude(site: Site) -> float:
    middle = site.area.centroid
    return to_wgs84(site.crs, middle.x, middle.y)[0]


def _plan(image: DatasetReader, header: Header, site: Site) -> tuple[Grid, bool]:
    """Choose the grid of the chip, and whether its pixels are the image's own."""
    area: Polygon = site.area
    path = header.path
    if header.gsd_m > MAX_GSD_M:
        raise ReadError(f"{path.name}: a pixel is {header.gsd_m:.0f} m wide, too coarse to see a train.")
    if not header.footprint_site.intersects(area):
        away = header.footprint_site.distance(area) / 1000.0
        raise ReadError(
            f"{path.name}: the image lies {away:.1f} km from the area of {site.name}; it is of another place or its "
            "projection is wrong."
        )
    per_pixel = len(header.bands) * np.dtype(image.dtypes[0]).itemsize
    area = area_to_read(site, header.gsd_m, per_pixel)
    window = box(*area.bounds).intersection(box(*header.footprint_site.bounds))
    if window.is_empty or not isinstance(window, Polygon):
        raise ReadError(f"{path.name}: no track of {site.name} lies inside the image.")
    own = header.own_pixels
    grid = _own_grid(image, site, window) if own else grid_over(site.crs, window, header.gsd_m)
    if grid.width * grid.height * per_pixel > 2 * MAX_CHIP_BYTES:
        raise ReadError(
            f"{path.name}: the window over {site.name} would hold {grid.width} x {grid.height} pixels, more than fit "
            "in memory; make the site's area smaller."
        )
    return grid, own


def _own_grid(image: DatasetReader, site: Site, area: Polygon) -> Grid:
    """Return the window of the image's own pixels that covers `area`, cut at the image's edge."""
    west, south, east, north = area.bounds
    a, _, c, _, e, f = tuple(image.transform)[:6]
    left, right = max(int(np.floor((west - c) / a)), 0), min(int(np.ceil((east - c) / a)), image.width)
    top, bottom = max(int(np.floor((north - f) / e)), 0), min(int(np.ceil((south - f) / e)), image.height)
    transform = (float(a), 0.0, float(c + left * a), 0.0, float(e), float(f + top * e))
    return Grid(site.crs, transform, max(right - left, 1), max(bottom - top, 1))


def _read_own(
    path: Path, image: DatasetReader, header: Header, grid: Grid
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    a, _, c, _, e, f = tuple(image.transform)[:6]
    window = Window(round((grid.transform[2] - c) / a), round((grid.transform[5] - f) / e), grid.width, grid.height)
    with reading(path):
        values = image.read(list(header.indexes), window=window)
        valid = np.ones(grid.shape, dtype=bool)
        for index in header.indexes:
            valid &= image.read_masks(index, window=window) > 0
    return values, valid & np.isfinite(values).all(axis=0)


def _read_warped(
    path: Path, image: DatasetReader, header: Header, grid: Grid
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    with (
        reading(path),
        WarpedVRT(
            image,
            src_crs=header.crs,
            crs=grid.crs,
            transform=Affine(*grid.transform),
            width=grid.width,
            height=grid.height,
            resampling=Resampling.cubic,
            add_alpha=not header.has_alpha and header.nodata is None,
            warp_mem_limit=64,
        ) as warped,
    ):
        values = warped.read(list(header.indexes))
        valid = np.ones(grid.shape, dtype=bool)
        for index in header.indexes:
            valid &= warped.read_masks(index) > 0
    return values, valid & np.isfinite(values).all(axis=0)


def _refuse_empty(path: Path, values: NDArray[np.generic], valid: NDArray[np.bool_]) -> None:
    if not valid.any():
        raise ReadError(f"{path.name}: the image holds no valid pixel over the site.")
    seen = values[:, valid]
    if all(band.min() == band.max() for band in seen):
        raise ReadError(f"{path.name}: the image is constant over the site; it shows nothing.")
