"""Patches of light and dark on the ground beside the yard: shadows of clouds, haze, thin cloud."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

FloatArray = NDArray[np.float64]
Single = NDArray[np.float32]

TILE_MIN = 6  # visible controls from which a tile has a say
DARK = 0.02  # reflectance added to both sides of a ratio, so that water does not decide
SPREAD_FLOOR = 0.05  # of the logarithm of a tile's light over the years
WORST_SHARE = 0.12  # of the tiles: a shadow that touches so much of the surroundings may touch the yard
Z_MAX = 30.0
# A mask of clouds and shadows ends where they are dense; their edges fade out over some hundred metres beyond.
EDGE_M = 100.0
CLOUD_M2 = 30_000.0  # hidden ground in one piece from which it is a cloud or a shadow, not a bright roof


def patchiness(flat: Single, model: Single, seen: NDArray[np.bool_], tile: NDArray[np.intp]) -> FloatArray:
    """Return how far the worst tiles of each look lie from their own past, (L, 2): in all bands, and in the blue.

    A shadow darkens every band and a cloud brightens every band, which neither growth nor harvest nor rain does by
    much; haze shows in the blue.

    Parameters
    ----------
    flat, model : arrays of shape (L, B, M)
        Normalised reflectance of controls, and what their season promises.
    seen : array of shape (L, B, M)
    tile : array of shape (M,)
        Tile of each control, -1 for none.
    """
    looks = flat.shape[0]
    near = tile >= 0
    flat, model, seen, tile = flat[..., near], model[..., near], seen[..., near], tile[near]
    names = np.unique(tile)
    if names.size == 0:
        return np.zeros((looks, 2))
    ratio = np.log(np.maximum(flat + DARK, 0.2 * DARK) / np.maximum(model + DARK, 0.2 * DARK))
    common = np.minimum(ratio.max(axis=1), 0.0) + np.maximum(ratio.min(axis=1), 0.0)
    blue = ratio[:, 0] - np.median(ratio[:, 0], axis=1, keepdims=True)
    shown = seen[:, 0]
    both = np.full((2, looks, names.size), np.nan)
    for place, name in enumerate(names):
        mine = tile == name
        enough = shown[:, mine].sum(axis=1) >= TILE_MIN
        for figure, values in enumerate((common, blue)):
            middle = _median(np.where(shown[:, mine], values[:, mine], np.nan), axis=1)
            both[figure, :, place] = np.where(enough, middle, np.nan)
    out = np.zeros((looks, 2))
    for figure in range(2):
        tiles = both[figure]
        centre = _median(tiles, axis=0)
        spread = np.maximum(1.4826 * _median(np.abs(tiles - centre), axis=0), SPREAD_FLOOR)
        z = np.minimum(np.abs(tiles - centre) / spread, Z_MAX)
        ordered = np.sort(np.where(np.isfinite(z), z, np.inf), axis=1)
        number = np.isfinite(z).sum(axis=1)
        place_ = np.clip(np.ceil((1 - WORST_SHARE) * number).astype(np.intp) - 1, 0, None)
        worst = np.take_along_axis(ordered, place_[:, None], axis=1)[:, 0]
        out[:, figure] = np.where(number > 2, worst, 0.0)
    return np.asarray(np.log(out + 0.8))


def soft_edges(clear: NDArray[np.bool_], gsd_m: float) -> NDArray[np.bool_]:
    """Return True (rows, columns) beside what a mask of clouds hides, where the edge of a cloud or shadow may lie.

    Parameters
    ----------
    clear : array of shape (rows, columns)
        True = visible.
    gsd_m : float
    """
    pieces, number = label(~clear)
    if number == 0:
        return np.zeros_like(clear)
    size = np.bincount(pieces.ravel())
    size[0] = 0
    large = (size * gsd_m**2 >= CLOUD_M2)[pieces]
    if not large.any():
        return np.zeros_like(clear)
    return np.asarray(distance_transform_edt(~large) * gsd_m <= EDGE_M) & clear


def _median(values: FloatArray | Single, axis: int) -> FloatArray:
    """Return the lower median of what is finite, NaN where nothing is."""
    ordered = np.sort(values, axis=axis)
    number = np.isfinite(values).sum(axis=axis)
    place = np.expand_dims(np.maximum(number - 1, 0) // 2, axis)
    return np.asarray(np.take_along_axis(ordered, place, axis=axis).squeeze(axis))
