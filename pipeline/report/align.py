"""How far two looks lie off each other, so that their difference shows trains and not edges."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shift_image

from pipeline.model import BoolArray, FloatArray

STEPS = 50  # of a pixel
MAX_SHIFT_PX = 3.0  # of the image that is measured on; a larger one is a mistake or another place
MIN_CLEAR = 0.15  # of both images, with neither of which less can be aligned
MAX_PIXELS = 200_000  # larger images are averaged down to measure the shift
MIN_SIDE = 16  # pixels
_FINE, _COARSE = 0.6, 2.5  # Gaussian widths of the band pass, pixels: wider structures say season, not shift


def offset(first: FloatArray, second: FloatArray, clear: BoolArray) -> tuple[float, float] | None:
    """Measure by how many pixels `second` lies off `first`.

    Phase correlation without normalisation of band-passed, limited images, refined by an upsampled discrete Fourier
    transform (Guizar-Sicairos et al. 2008, doi 10.1364/OL.33.000156).

    Parameters
    ----------
    first, second : ndarray
        (rows, columns) of one grid; NaN where unknown.
    clear : ndarray of bool
        True where both are usable.

    Returns
    -------
    tuple of float or None
        (columns, rows); None when too little is clear, or the images do not agree within `MAX_SHIFT_PX`.
    """
    from skimage.registration import phase_cross_correlation

    factor = int(np.ceil(np.sqrt(clear.size / MAX_PIXELS)))
    if factor > 1:
        first, second = _reduced(first, factor), _reduced(second, factor)
        clear = np.isfinite(first) & np.isfinite(second) & (_reduced(clear.astype(np.float64), factor) > 0.5)
    if min(clear.shape) < MIN_SIDE or float(clear.mean()) < MIN_CLEAR:
        return None
    weight = gaussian_filter(clear.astype(np.float64), 1.5)
    pair = [_band_passed(image, clear) * weight for image in (first, second)]
    if min(float(np.std(part)) for part in pair) < 1e-9:
        return None
    found, _, _ = phase_cross_correlation(*pair, upsample_factor=STEPS, normalization=None)
    rows, cols = (0.0 - float(v) for v in found)  # zero less zero has no sign
    return (cols * factor, rows * factor) if max(abs(rows), abs(cols)) <= MAX_SHIFT_PX else None


def moved(image: FloatArray, shift: tuple[float, float]) -> FloatArray:
    """Return an image moved back by (columns, rows), linear; NaN where the source is NaN or outside."""
    known = np.isfinite(image)
    level = float(np.median(image[known])) if known.any() else 0.0
    back = (-shift[1], -shift[0])
    values = shift_image(np.where(known, image, level), back, order=1, mode="nearest")
    share = shift_image(known.astype(np.float64), back, order=1, mode="constant", cval=0.0)
    out: FloatArray = np.where(share > 0.99, values, np.nan)
    return out


def _reduced(image: FloatArray, factor: int) -> FloatArray:
    """Average an image over blocks of `factor` pixels a side; a block with a NaN is NaN."""
    rows, cols = image.shape[0] // factor, image.shape[1] // factor
    cut = image[: rows * factor, : cols * factor]
    out: FloatArray = cut.reshape(rows, factor, cols, factor).mean(axis=(1, 3))
    return out


def _band_passed(image: FloatArray, clear: BoolArray) -> FloatArray:
    usable = clear & np.isfinite(image)
    level = float(np.median(image[usable])) if usable.any() else 0.0
    filled = np.where(usable, image, level)
    fine = gaussian_filter(filled, _FINE) - gaussian_filter(filled, _COARSE)
    limit = 4.0 * float(np.median(np.abs(fine[usable]))) + 1e-12 if usable.any() else 1.0
    out: FloatArray = limit * np.tanh(fine / limit)  # single bright roofs do not decide
    return out
