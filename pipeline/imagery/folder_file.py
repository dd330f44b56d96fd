"""Opens image files of a folder, with plain image drivers only and errors that name the image."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader

from pipeline.errors import ReadError
from pipeline.imagery.whole import TAIL, is_whole

# Named, so that a VRT or a service description with the suffix of an image is not followed to other files or hosts.
DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".jp2": "JP2OpenJPEG", ".j2k": "JP2OpenJPEG", ".png": "PNG"}
CACHE_BYTES = 64 * 2**20  # of decoded blocks; bounds the memory of a huge image


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the libraries' errors into one sentence that names the image."""
    try:
        with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
            yield
    except (
        NotGeoreferencedWarning,
        RasterioIOError,
        RasterioError,
        CRSError,
        OSError,
        ValueError,
        MemoryError,
    ) as error:
        reason = re.sub(r"\s+", " ", str(error.__cause__ or error).replace(str(path), path.name)).strip().rstrip(".")
        raise ReadError(f"{path.name}: the image cannot be read ({reason}); replace the file.") from error


@contextmanager
def open_image(path: Path) -> Iterator[DatasetReader]:
    """Open an image with the drivers of plain image files only.

    Raises
    ------
    ReadError
        When it is not a readable GeoTIFF, JPEG2000 or PNG, as its suffix promises.
    """
    with reading(path):
        driver = DRIVERS[path.suffix.lower()]
        with path.open("rb") as file:
            head = file.read(16)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            if not is_whole(driver, head, file.read(), size):
                raise ReadError(f"{path.name}: the image cannot be read (it is cut off); replace the file.")
        image = rasterio.open(path, driver=driver)
    with image:
        yield image
