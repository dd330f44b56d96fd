"""How much of what a coarse pixel sees is the bed of a track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from shapely.geometry.base import BaseGeometry

from pipeline.model import Grid
from pipeline.simulate.coarse_cars import SWIR_FROM, psf_in_cells

# Half the width of a track's bed, metres: 3 to 4.5 m in the standard sections of most railways, more in old yards.
# Which of these it is, the pixels tell.
BEDS_M = (3.0, 4.0, 5.0, 6.5)
CELLS = 8  # across a pixel, in which beds are drawn
PAD = 6  # pixels about the yard that are drawn: what lies further off gives no light to it


def bed_shares(lines: BaseGeometry, grid: Grid, index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the share of the light of pixels that comes from track beds.

    Parameters
    ----------
    lines : geometry
        Centre lines of the tracks, in the grid's CRS, metres.
    grid : Grid
    index : ndarray
        (N,), flat indices of the pixels, at least one.

    Returns
    -------
    ndarray
        (widths of `BEDS_M`, 2, N), 0 to 1, float64: for the point spread of bands of the grid's own pixels, and for
        that of the short-wave infrared bands, whose pixels are of 20 m on a finer grid.
    """
    rows, cols = np.unravel_index(index, grid.shape)
    top, left = max(int(rows.min()) - PAD, 0), max(int(cols.min()) - PAD, 0)
    bottom, right = min(int(rows.max()) + PAD + 1, grid.height), min(int(cols.max()) + PAD + 1, grid.width)
    height, width = bottom - top, right - left
    fine = Affine(*grid.transform) @ Affine.translation(left, top) @ Affine.scale(1 / CELLS)
    out = np.empty((len(BEDS_M), 2, index.size))
    for number, bed in enumerate(BEDS_M):
        beds = rasterize(
            [(lines.buffer(bed), 1)], out_shape=(height * CELLS, width * CELLS), transform=fine, fill=0,
            dtype="float32",
        )  # fmt: skip
        for place, band in enumerate((0, SWIR_FROM)):
            seen = (
                gaussian_filter(beds, psf_in_cells(band, grid.gsd_m, CELLS))
                .reshape(height, CELLS, width, CELLS)
                .mean(axis=(1, 3))
            )
            out[number, place] = seen[rows - top, cols - left]
    return out
