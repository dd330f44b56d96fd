"""The GeoTIFF of a chip: the bands' digital numbers, then validity, then classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from pipeline.errors import ArchiveError
from pipeline.model import BoolArray, Chip


def tiff_bytes(chip: Chip) -> bytes:
    """Return a chip as a deflate GeoTIFF; equal chips give equal bytes.

    Bands follow `chip.bands`; then one of validity (1 usable, 0 not) and, where there are classes, one of those.
    """
    layers = [*chip.values, chip.valid.astype(chip.values.dtype)]
    if chip.classes is not None:
        layers.append(chip.classes.astype(chip.values.dtype))
    names = [*chip.bands, "valid", *(["classes"] if chip.classes is not None else [])]
    floating = np.issubdtype(chip.values.dtype, np.floating)
    with rasterio.Env(GDAL_NUM_THREADS="1"), MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=chip.grid.width,
            height=chip.grid.height,
            count=len(layers),
            dtype=chip.values.dtype,
            crs=chip.grid.crs,
            transform=Affine(*chip.grid.transform),
            compress="deflate",
            predictor=3 if floating else 2,
            tiled=True,
            blockxsize=256,
            blockysize=256,
            interleave="band",
            BIGTIFF="IF_SAFER",
        ) as target:
            target.write(np.stack(layers))
            for index, name in enumerate(names, start=1):
                target.set_band_description(index, name)
            for index, (scale, offset) in enumerate(zip(chip.scale, chip.offset, strict=True), start=1):
                target.update_tags(index, declared_scale=repr(scale), declared_offset=repr(offset))
        return bytes(memory.read())


def read_tiff(path: Path, data: bytes) -> tuple[NDArray[Any], BoolArray, NDArray[np.uint8] | None]:
    """Return values, validity and classes from the bytes of an archived GeoTIFF.

    Parameters
    ----------
    path : Path
        Named in errors.
    data : bytes

    Raises
    ------
    ArchiveError
        When the bytes are no chip.
    """
    try:
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile(data) as memory, memory.open(driver="GTiff") as source:
            layers = source.read()
            names = source.descriptions
    except RasterioError as error:
        raise ArchiveError(f"{path}: not a GeoTIFF of this archive; delete its .done file and run again.") from error
    if "valid" not in names:
        raise ArchiveError(f"{path}: holds no validity layer; it was not written by this archive.")
    at = names.index("valid")
    classes = layers[at + 1].astype(np.uint8) if len(layers) > at + 1 else None
    return layers[:at], layers[at] > 0, classes
