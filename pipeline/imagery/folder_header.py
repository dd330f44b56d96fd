"""What an image file says of itself before its pixels are read: place, sampling, bands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Interleaving
from rasterio.errors import CRSError
from rasterio.io import DatasetReader
from shapely.errors import GEOSException
from shapely.geometry import Polygon

from pipeline.errors import ReadError
from pipeline.imagery.folder_notes import Note
from pipeline.model import Grid, Site

MAX_BLOCK_BYTES = 128 * 2**20  # GDAL decodes whole blocks: a file of one strip would be read as a whole
DTYPES = ("uint8", "uint16", "int16", "float32")
_COLOURS = {ColorInterp.red: "red", ColorInterp.green: "green", ColorInterp.blue: "blue"}


@dataclass(frozen=True)
class Header:
    """An image's description, checked."""

    path: Path
    crs: CRS
    gsd_m: float  # mean side of a pixel at the site, metres of the site's CRS
    bands: tuple[str, ...]  # pan, or red, green, blue and nir
    indexes: tuple[int, ...]  # 1-based band within the file, order of `bands`
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    nodata: float | None
    has_alpha: bool
    own_pixels: bool  # north-up in the site's projection: no resampling is needed
    footprint: Polygon  # WGS 84
    footprint_site: Polygon  # metres of the site's CRS


def read_header(path: Path, image: DatasetReader, site: Site, note: Note | None) -> Header:
    """Check an open image and say where it lies and what its bands are.

    Parameters
    ----------
    path : Path
    image : DatasetReader
    site : Site
        The sampling is measured in its projection.
    note : Note or None
        The image's row of `images.csv`; its projection is used when the file has none.

    Raises
    ------
    ReadError
        When size, data type, bands, transform or projection are unusable.
    """
    if image.width < 2 or image.height < 2:
        raise ReadError(f"{path.name}: the image is {image.width} x {image.height} pixels; it shows nothing.")
    if image.transform.is_identity or image.transform.determinant == 0:
        raise ReadError(f"{path.name}: the image has no georeference; give it a GeoTIFF transform or a world file.")
    _check_blocks(path, image)
    bands, indexes, has_alpha = _bands(path, image)
    crs = _crs(path, image, note)
    own_grid = _grid(image)
    corners = [own_grid.to_xy(col, row) for col, row in _edge(image.width, image.height)]
    footprint_site = _polygon(path, crs.to_wkt(), site.crs, corners)
    footprint = _polygon(path, crs.to_wkt(), "EPSG:4326", corners)
    same = crs == CRS.from_user_input(site.crs)
    t = image.transform
    own = bool(same and t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0 and abs(t.a + t.e) < 1e-6 * t.a)
    return Header(
        path, crs, _sampling(path, image, crs, site), bands, indexes,
        tuple(float(image.scales[i - 1]) for i in indexes), tuple(float(image.offsets[i - 1]) for i in indexes),
        image.nodata, has_alpha, own, footprint, footprint_site,
    )  # fmt: skip


def to_wgs84(crs: str, x: float, y: float) -> tuple[float, float]:
    """Return longitude and latitude in degrees of a point in `crs`."""
    lon, lat = _transformer(crs, "EPSG:4326").transform(x, y)
    return float(lon), float(lat)


def _check_blocks(path: Path, image: DatasetReader) -> None:
    kinds = set(image.dtypes)
    if len(kinds) != 1 or image.dtypes[0] not in DTYPES:
        raise ReadError(
            f"{path.name}: values of type {', '.join(sorted(kinds))} are not read; convert to 8 or 16 bits."
        )
    rows, cols = image.block_shapes[0]
    pixel = np.dtype(image.dtypes[0]).itemsize * (image.count if image.interleaving is Interleaving.pixel else 1)
    if rows * cols * pixel > MAX_BLOCK_BYTES and image.driver != "PNG":
        raise ReadError(
            f"{path.name}: one block of the file holds {rows} x {cols} pixels, too many to read a window alone; "
            "rewrite it with `rio convert --co TILED=YES`."
        )


def _bands(path: Path, image: DatasetReader) -> tuple[tuple[str, ...], tuple[int, ...], bool]:
    """Name the bands by their colour interpretation; alpha is a mask, not a band."""
    colours = list(image.colorinterp)
    alpha = ColorInterp.alpha in colours
    data = [i + 1 for i, colour in enumerate(colours) if colour is not ColorInterp.alpha]
    if colours[0] is ColorInterp.palette:
        raise ReadError(
            f"{path.name}: the image is painted with a palette; convert it to grey or to red, green, blue."
        )
    if len(data) == 1:
        return ("pan",), (data[0],), alpha
    if len(data) not in (3, 4):
        raise ReadError(f"{path.name}: {len(data)} bands; give one, three (red, green, blue) or four (and infrared).")
    named = {_COLOURS[colours[i - 1]]: i for i in data if colours[i - 1] in _COLOURS}
    if len(named) == 3:
        rest = [i for i in data if i not in named.values()]
        names = ("red", "green", "blue", "nir")[: len(data)]
        return names, (named["red"], named["green"], named["blue"], *rest), alpha
    if named:
        missing = ", ".join(sorted({"red", "green", "blue"} - named.keys()))
        raise ReadError(f"{path.name}: band {missing} is missing; the file marks only {', '.join(sorted(named))}.")
    return ("red", "green", "blue", "nir")[: len(data)], tuple(data), alpha


def _crs(path: Path, image: DatasetReader, note: Note | None) -> CRS:
    """Return the projection from the file, its .aux.xml (read by GDAL), a .prj beside it, or images.csv."""
    if image.crs:
        return image.crs
    try:
        prj = path.with_suffix(".prj")
        if prj.is_file() and prj.stat().st_size < 65536:
            return CRS.from_wkt(prj.read_text(encoding="utf-8", errors="replace"), morph_from_esri_dialect=True)
        if note is not None and note.crs:
            return CRS.from_user_input(note.crs)
    except CRSError as error:
        raise ReadError(
            f"{path.name}: the projection beside the image is not understood; use an EPSG code."
        ) from error
    raise ReadError(
        f"{path.name}: the image has no projection; put a .prj beside it or name it in images.csv, column crs."
    )


def _edge(width: int, height: int) -> list[tuple[float, float]]:
    """Return pixel corners along the image's edge, so that a curved footprint is followed."""
    steps = np.linspace(0, 1, 9)[:-1]
    ring = [(s * width, 0.0) for s in steps] + [(float(width), s * height) for s in steps]
    ring += [((1 - s) * width, float(height)) for s in steps] + [(0.0, (1 - s) * height) for s in steps]
    return [(float(x), float(y)) for x, y in ring]


def _polygon(path: Path, source: str, target: str, corners: list[tuple[float, float]]) -> Polygon:
    xs, ys = zip(*corners, strict=True)
    x, y = _transformer(source, target).transform(xs, ys)
    points = np.column_stack([x, y])
    where = f"{path.name}: the image's place is outside its projection; the projection or the transform is wrong."
    if not np.isfinite(points).all():
        raise ReadError(where)
    try:
        polygon = Polygon(points)
        valid = polygon.is_valid and polygon.area > 0
    except (GEOSException, ValueError) as error:
        raise ReadError(where) from error
    if not valid:
        raise ReadError(where)
    return polygon


def _sampling(path: Path, image: DatasetReader, crs: CRS, site: Site) -> float:
    """Measure a pixel's side in metres of the site's CRS, at the image's point nearest to the site's middle."""
    back = _transformer(site.crs, crs.to_wkt())
    x, y = back.transform(site.area.centroid.x, site.area.centroid.y)
    own = _grid(image)
    col, row = own.to_pixel(x, y) if np.isfinite([x, y]).all() else (image.width / 2, image.height / 2)
    col, row = float(np.clip(col, 0, image.width - 1)), float(np.clip(row, 0, image.height - 1))
    points = np.array([own.to_xy(*p) for p in ((col, row), (col + 1, row), (col, row + 1))])
    sx, sy = _transformer(crs.to_wkt(), site.crs).transform(points[:, 0], points[:, 1])
    across = np.hypot(sx[1] - sx[0], sy[1] - sy[0])
    down = np.hypot(sx[2] - sx[0], sy[2] - sy[0])
    if not (np.isfinite([across, down]).all() and across > 0 and down > 0):
        raise ReadError(f"{path.name}: the size of a pixel cannot be measured; the projection is wrong.")
    if max(across, down) > 2 * min(across, down):
        raise ReadError(f"{path.name}: pixels of {across:.2f} x {down:.2f} m are too far from square.")
    return float(round(np.sqrt(across * down), 4))


def _grid(image: DatasetReader) -> Grid:
    """Return the image's own pixels as a Grid; its projection is checked elsewhere."""
    a, b, c, d, e, f = tuple(image.transform)[:6]
    return Grid("", (a, b, c, d, e, f), image.width, image.height)


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)
