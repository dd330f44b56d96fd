"""The archived chip as a PNG, with nothing drawn on it: tracks and railcars are laid over it in the page."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Look

_TRIPLES = (("red", "green", "blue"), ("rgb",), ("pan",), ("nir",), ("vv",))


def stretch_of(look: Look) -> tuple[float, float]:
    """Return the 2 and 98 percent points of a look's visible bands over its usable pixels."""
    stack = _stack(look)
    values = stack[:, look.clear]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (2.0, 98.0)))
    return (low, high) if high > low else (low, low + 1.0)


def png(look: Look, stretch: tuple[float, float]) -> bytes:
    """Return the look as PNG bytes, rows and columns as in its grid; pixels without data are transparent."""
    from matplotlib.image import imsave

    low, high = stretch
    stack = _stack(look)
    scaled = np.clip((stack - low) / (high - low), 0.0, 1.0)
    finite = np.isfinite(stack).all(axis=0, keepdims=True)
    layers = scaled if scaled.shape[0] == 3 else np.repeat(scaled[:1], 3, axis=0)
    rgba: NDArray[np.float64] = np.concatenate([np.nan_to_num(layers), np.asarray(finite, dtype=float)])
    out = io.BytesIO()
    imsave(out, np.moveaxis((rgba * 255).round().astype(np.uint8), 0, -1), format="png")
    return out.getvalue()


def _stack(look: Look) -> NDArray[np.float32]:
    for wanted in _TRIPLES:
        if all(band in look.bands for band in wanted):
            return np.stack([look.band(band) for band in wanted])
    return look.values[:1]
