"""Radar amplitudes become backscatter: Sentinel-1 GRD by its calibration annotation.

sigma0 = DN² / A², A the annotation's `sigmaNought` at the pixel, interpolated linearly between its vectors (ESA,
Radiometric Calibration of S-1 Level-1 Products, ESA-EOPG-CSCOP-TN-0002, section 6.1). Thermal noise stays in: it is
the same on every pass of an orbit, and cars stand far above it. Without an annotation the squared amplitudes are
given, which serve a comparison with other passes of the orbit and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReadError
from pipeline.imagery.documents import LocalDocuments, RemoteDocuments
from pipeline.imagery.hosts import is_remote, shorten
from pipeline.imagery.remote import Web
from pipeline.imagery.xml import xml_root
from pipeline.model import Asset

MAX_VECTORS, MAX_PIXELS = 2000, 20_000  # a GRD of 25 s has about 30 vectors of 700 pixels
Convert = Callable[[NDArray[Any], int, int], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """The annotation's table."""

    lines: NDArray[np.float64]  # (vectors,), rows of the image, increasing
    pixels: tuple[NDArray[np.float64], ...]  # a vector each: columns, increasing
    values: tuple[NDArray[np.float64], ...]  # a vector each: sigmaNought there

    def over(self, top: int, left: int, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return A over a window of the image, (rows, columns)."""
        rows, cols = np.arange(top, top + shape[0]), np.arange(left, left + shape[1])
        last = max(len(self.lines) - 2, 0)
        first = np.clip(np.searchsorted(self.lines, rows, side="right") - 1, 0, last)
        needed = sorted({*first.tolist(), *np.minimum(first + 1, len(self.lines) - 1).tolist()})
        along = np.array([np.interp(cols, self.pixels[k], self.values[k]) for k in needed])
        place = np.interp(rows, self.lines[needed], np.arange(len(needed)))
        low = np.clip(np.floor(place).astype(int), 0, max(len(needed) - 2, 0))
        high = np.minimum(low + 1, len(needed) - 1)
        share = (place - low)[:, None]
        out: NDArray[np.float64] = along[low] * (1.0 - share) + along[high] * share
        return out


def power_of(asset: Asset, web: Web) -> Convert:
    """Return what turns an asset's amplitudes into powers.

    Parameters
    ----------
    asset : Asset
        With `calibration` set; "" gives squared amplitudes.
    web : Web
        Fetches the annotation.

    Raises
    ------
    HostileInputError
        When the annotation's address is not allowed.
    ReadError
        When the annotation cannot be read: numbers without it would stand beside calibrated ones.
    """
    if not asset.calibration:
        return lambda data, top, left: np.square(data, dtype=np.float32)
    href = asset.calibration
    documents = RemoteDocuments(web) if is_remote(href) else LocalDocuments(web.gate)
    address = href if is_remote(href) else str(web.gate.local_path(href, web.gate.root or Path()))
    table = read_calibration(documents.read(address), shorten(href))

    def calibrate(data: NDArray[Any], top: int, left: int) -> NDArray[np.float32]:
        ratio = data.astype(np.float64) / table.over(top, left, (data.shape[0], data.shape[1]))
        return np.square(ratio).astype(np.float32)

    return calibrate


def read_calibration(body: bytes, shown: str) -> Calibration:
    """Read a calibration annotation.

    Raises
    ------
    ReadError
        When it is no such document, carries a document type, or its table cannot be used.
    """
    vectors = xml_root(body, shown).findall("calibrationVectorList/calibrationVector")
    if not vectors or len(vectors) > MAX_VECTORS:
        raise ReadError(f"{shown} is not a calibration annotation of Sentinel-1.")
    lines, pixels, values = [], [], []
    for vector in vectors:
        line, along, sigma = (_numbers(vector, name) for name in ("line", "pixel", "sigmaNought"))
        if line.size != 1 or not 2 <= along.size == sigma.size <= MAX_PIXELS:
            raise ReadError(f"{shown}: a vector of its table is not whole.")
        if not ((sigma > 0).all() and np.isfinite(sigma).all() and (np.diff(along) > 0).all()):
            raise ReadError(f"{shown}: a vector of its table holds numbers that cannot be.")
        lines.append(float(line[0]))
        pixels.append(along)
        values.append(sigma)
    if not (np.diff(lines) > 0).all() or not np.isfinite(lines).all():
        raise ReadError(f"{shown}: the vectors of its table are not in order.")
    return Calibration(np.array(lines), tuple(pixels), tuple(values))


def _numbers(vector: ElementTree.Element, name: str) -> NDArray[np.float64]:
    try:
        return np.array([float(part) for part in (vector.findtext(name) or "").split()], dtype=np.float64)
    except ValueError:
        return np.empty(0)
