"""From the painted canvas to digital numbers: point spread, sampling, haze, noise, stretch, compression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from pipeline.simulate.fine_canvas import Array
from pipeline.simulate.fine_conditions import BAND_NAMES, Conditions

# Weights of blue, green, red and near infrared in a panchromatic band (450 to 800 nm).
PAN_WEIGHTS = np.array([0.15, 0.3, 0.3, 0.25], dtype=np.float32)
SKY = np.array([0.22, 0.19, 0.16, 0.12], dtype=np.float32)  # path radiance of haze, as reflectance


def expose(values: Array, oversampling: int, conditions: Conditions, rng: np.random.Generator) -> NDArray[Any]:
    """Turn canvas reflectance into an image's digital numbers.

    Parameters
    ----------
    values : array of shape (4, rows, columns), float32
        Blue, green, red, near infrared on the canvas.
    oversampling : int
        Canvas pixels along one image pixel.
    conditions : Conditions
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (bands, rows / oversampling, columns / oversampling), uint8 or uint16
        In the order of `fine_conditions.BAND_NAMES`.
    """
    k = oversampling
    bands = _bands(values, conditions.bands)
    out = []
    for band, sky in zip(bands, _bands(SKY[:, None, None], conditions.bands), strict=True):
        blurred = gaussian_filter(band, conditions.psf_px * k, truncate=3.0)
        rows, columns = (n // k for n in blurred.shape)
        sampled = blurred[: rows * k, : columns * k].reshape(rows, k, columns, k).mean(axis=(1, 3))
        if conditions.sharpen > 0:
            sampled = sampled + conditions.sharpen * (sampled - gaussian_filter(sampled, 0.8))
        hazy = (1 - conditions.haze) * sampled + conditions.haze * np.float32(sky.mean())
        grain = rng.standard_normal(hazy.shape).astype(np.float32) * np.sqrt(0.5 + hazy.clip(0) / 0.3)
        noisy = hazy + conditions.noise * grain
        out.append(_quantise(_enlarge(noisy, conditions.enlarged), conditions, rng))
    return np.stack(out)


def _enlarge(values: Array, factor: float) -> Array:
    """Return a band as it comes from fewer pixels, enlarged to the same size."""
    if factor <= 1.0:
        return values
    rows, columns = values.shape
    few = zoom(values, 1 / factor, order=1, grid_mode=True, mode="nearest")
    at = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((rows, few.shape[0]), (columns, few.shape[1]))]
    grid = np.meshgrid(*at, indexing="ij")
    return np.asarray(map_coordinates(few, grid, order=1, mode="nearest"), dtype=np.float32)


def _bands(values: Array, band_set: str) -> list[Array]:
    if band_set == "pan":
        return [np.tensordot(PAN_WEIGHTS, values, axes=1).astype(np.float32)]
    index = {"blue": 0, "green": 1, "red": 2, "nir": 3}
    return [values[index[name]] for name in BAND_NAMES[band_set]]


def _quantise(values: Array, conditions: Conditions, rng: np.random.Generator) -> NDArray[Any]:
    if conditions.bits == 16:
        return np.asarray(np.clip(np.round(values * 10000.0), 1, 65535).astype(np.uint16))
    tails = [rng.uniform(0, conditions.clipped), rng.uniform(1 - conditions.clipped, 1.0)]
    low, high = np.quantile(values[::3, ::3], tails)
    scaled = np.clip((values - low) / max(float(high - low), 1e-4), 0, 1) ** conditions.gamma
    if conditions.curve:
        scaled += conditions.curve * (scaled * scaled * (3 - 2 * scaled) - scaled)
    if conditions.speckle:
        scaled += conditions.speckle * rng.standard_normal(scaled.shape)
    digital = 1.0 + 254.0 * scaled
    if conditions.jpeg > 0:
        digital = _compress(digital.astype(np.float32), conditions.jpeg)
    return np.asarray(np.clip(np.round(digital), 1, 255).astype(np.uint8))


def _compress(values: Array, step: float) -> Array:
    """Quantise 8x8 cosine blocks, coarser for finer detail, as JPEG does."""
    rows, columns = values.shape
    padded = np.pad(values, ((0, -rows % 8), (0, -columns % 8)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8).transpose(0, 2, 1, 3)
    frequency = np.add.outer(np.arange(8), np.arange(8))
    steps = (step * (1 + 0.5 * frequency)).astype(np.float32)
    spectrum = np.round(dctn(blocks, axes=(2, 3), norm="ortho") / steps) * steps
    restored = idctn(spectrum, axes=(2, 3), norm="ortho").transpose(0, 2, 1, 3).reshape(padded.shape)
    return np.asarray(restored[:rows, :columns], dtype=np.float32)
