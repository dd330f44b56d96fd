"""The canvas that a fine scene is painted on: a finer grid than the image, with masks, textures and solids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy.ndimage import gaussian_filter
from shapely.affinity import translate
from shapely.geometry import MultiPoint, Polygon
from shapely.geometry.base import BaseGeometry

from pipeline.model import Grid
from pipeline.simulate.yard import box_polygon

CANVAS_BANDS = 4  # blue, green, red, nir: the first four of `kinds.BANDS`
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A box standing on the ground."""

    centre: tuple[float, float]  # of its footprint, metres
    heading_rad: float  # anticlockwise from east
    length_m: float
    width_m: float
    height_m: float  # of its upper side
    colour: NDArray[np.float64]  # (6,) reflectance of the upper side
    pattern: str = "plain"  # see `fine_roofs`
    loaded: bool = False
    snow: float = 0.0  # share of the upper side that is covered
    base_m: float = 0.0  # height of its lower side: containers on a flat car
    panel: tuple[float, float, float] | None = None  # share of length and width that lies inside, its brightness

    def footprint(self) -> Polygon:
        """Return the rectangle on the ground, metres."""
        return box_polygon(self.centre, self.heading_rad, self.length_m, self.width_m)


class Canvas:
    """Reflectance on a grid finer than the image, painted from the ground up.

    Parameters
    ----------
    grid : Grid
        Of the image that will be made.
    oversampling : int
        Canvas pixels along one image pixel.
    rng : numpy.random.Generator
        The source of textures.
    """

    def __init__(self, grid: Grid, oversampling: int, rng: np.random.Generator) -> None:
        a, b, c, d, e, f = grid.transform
        k = oversampling
        self.grid = Grid(grid.crs, (a / k, b / k, c, d / k, e / k, f), grid.width * k, grid.height * k)
        self.step_m = self.grid.gsd_m
        self.rng = rng
        self.values: Array = np.zeros((CANVAS_BANDS, *self.grid.shape), dtype=np.float32)
        self._affine = Affine(*self.grid.transform)

    def mask(self, shapes: Iterable[BaseGeometry]) -> NDArray[np.bool_]:
        """Return the pixels whose centre lies in any of the shapes, True inside, shape (rows, columns)."""
        wanted = [(shape, 1) for shape in shapes if not shape.is_empty]
        if not wanted:
            return np.zeros(self.grid.shape, dtype=bool)
        out: NDArray[np.bool_] = (
            rasterize(wanted, out_shape=self.grid.shape, transform=self._affine, fill=0, dtype="uint8") > 0
        )
        return out

    def texture(self, scales_m: Sequence[float], weights: Sequence[float]) -> Array:
        """Return a random field of unit variance per weight, smooth at each of the scales, (rows, columns)."""
        out = np.zeros(self.grid.shape, dtype=np.float32)
        for scale, weight in zip(scales_m, weights, strict=True):
            out += np.float32(weight) * self._smooth_noise(scale)
        return out

    def _smooth_noise(self, scale_m: float) -> NDArray[np.floating[Any]]:
        sigma = scale_m / self.step_m
        shrink = max(int(sigma / 2), 1)  # smooth fields are made coarse and enlarged
        rows, columns = (n // shrink + 4 for n in self.grid.shape)
        field: NDArray[np.floating[Any]] = self.rng.standard_normal((rows, columns)).astype(np.float32)
        if sigma > 0.3:
            field = gaussian_filter(field, sigma / shrink, truncate=3.0)
        field /= max(float(field.std()), 1e-6)
        if shrink > 1:
            field = _enlarged(field, shrink)
        cut: NDArray[np.floating[Any]] = field[: self.grid.height, : self.grid.width]
        return cut

    def fill(self, where: NDArray[np.bool_], colour: NDArray[np.float64], texture: Array | float = 1.0) -> None:
        """Set the reflectance of the masked pixels (True is painted) to `colour` times `texture`."""
        for band in range(CANVAS_BANDS):
            value = np.float32(colour[band]) * (texture[where] if isinstance(texture, np.ndarray) else texture)
            self.values[band][where] = value

    def blend(self, where: NDArray[np.bool_], colour: NDArray[np.float64], alpha: Array | float) -> None:
        """Mix `colour` into the masked pixels with weight `alpha`, 0..1."""
        a = alpha[where] if isinstance(alpha, np.ndarray) else np.float32(alpha)
        for band in range(CANVAS_BANDS):
            self.values[band][where] = (1 - a) * self.values[band][where] + a * np.float32(colour[band])

    def shade(self, where: NDArray[np.bool_], factors: NDArray[np.float64], soft_m: float = 0.0) -> None:
        """Darken the masked pixels by a factor for each band, shape (4,), with edges `soft_m` wide."""
        if soft_m > self.step_m:
            depth = gaussian_filter(where.astype(np.float32), soft_m / 2 / self.step_m)
            for band in range(CANVAS_BANDS):
                self.values[band] *= 1 - np.float32(1 - factors[band]) * depth
            return
        for band in range(CANVAS_BANDS):
            self.values[band][where] *= np.float32(factors[band])

    def local(self, solid: Solid, shift: tuple[float, float]) -> tuple[slice, slice, Array, Array]:
        """Return the window around a shifted solid and its pixels' coordinates there.

        Returns
        -------
        rows, columns : slice
        u, v : arrays, float32
            Along and across the solid, -1 to 1 between its edges.
        """
        shape = translate(solid.footprint(), *shift)
        xy = np.asarray(shape.exterior.coords)
        cols, rows = self.grid.to_pixel(xy[:, 0], xy[:, 1])
        c0, c1 = max(int(cols.min()) - 1, 0), min(int(cols.max()) + 2, self.grid.width)
        r0, r1 = max(int(rows.min()) - 1, 0), min(int(rows.max()) + 2, self.grid.height)
        if c1 <= c0 or r1 <= r0:
            empty = np.zeros((0, 0), dtype=np.float32)
            return slice(0, 0), slice(0, 0), empty, empty
        x, y = self.grid.to_xy(np.arange(c0, c1)[None, :] + 0.5, np.arange(r0, r1)[:, None] + 0.5)
        dx, dy = x - solid.centre[0] - shift[0], y - solid.centre[1] - shift[1]
        cos, sin = np.cos(solid.heading_rad), np.sin(solid.heading_rad)
        u = (dx * cos + dy * sin) / (solid.length_m / 2)
        v = (-dx * sin + dy * cos) / (solid.width_m / 2)
        return slice(r0, r1), slice(c0, c1), u.astype(np.float32), v.astype(np.float32)


def _enlarged(field: NDArray[np.floating[Any]], factor: int) -> NDArray[np.floating[Any]]:
    """Interpolate a field linearly to `factor` times its size less one cell."""
    at = np.arange((field.shape[0] - 1) * factor, dtype=np.float32) / np.float32(factor)
    across = np.arange((field.shape[1] - 1) * factor, dtype=np.float32) / np.float32(factor)
    column = across.astype(np.int64)
    part = across - column
    wide = field[:, column] * (1 - part) + field[:, column + 1] * part
    row = at.astype(np.int64)
    share = (at - row)[:, None]
    return np.asarray(wide[row] * (1 - share) + wide[row + 1] * share)


def swept(shape: Polygon, vector: tuple[float, float]) -> BaseGeometry:
    """Return what a convex shape covers while it moves along `vector`, metres: a shadow or a leaning wall."""
    moved = np.asarray(shape.exterior.coords) + np.asarray(vector)
    return MultiPoint(np.vstack([np.asarray(shape.exterior.coords), moved])).convex_hull
