"""Looks as small pictures: the same stretch for all looks of an episode, and what changed between two of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from shapely.ops import unary_union

from pipeline.model import BoolArray, FloatArray, Grid, Look, Site
from pipeline.report.align import moved, offset

MARGIN_M = 90.0  # around the tracks, metres
FINE_M = 5.0  # below this sampling a picture is photographic and kept as JPEG, above it every pixel counts: PNG
SAMPLE = 100_000  # values that a percentile is taken of
_TRIPLES = (("red", "green", "blue"), ("rgb",), ("pan",), ("nir",), ("vv",), ("vh",))
_RADAR = ("vv", "vh")
_VEIL = np.array([0.62, 0.52, 0.70])  # of pixels masked as cloud, shadow or saturated


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a grid in whole pixels: half-open ranges of rows and columns."""

    row0: int
    row1: int
    col0: int
    col1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return the index of the window in a (rows, columns) array."""
        return slice(self.row0, self.row1), slice(self.col0, self.col1)

    @property
    def width(self) -> int:
        """Columns."""
        return self.col1 - self.col0

    @property
    def height(self) -> int:
        """Rows."""
        return self.row1 - self.row0


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture of a window."""

    content: bytes
    mime: Literal["image/png", "image/jpeg"]
    width: int  # columns of the picture; fewer than the window's when it was reduced
    height: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The values shown as black and white, a pair for each layer."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    layers: tuple[str, ...]


def window_around_tracks(site: Site, grid: Grid, margin_m: float = MARGIN_M) -> Window:
    """Return the window of `grid` around the site's tracks, the whole grid when none lies inside."""
    lines = [track.line for track in site.tracks]
    west, south, east, north = unary_union(lines).bounds if lines else site.area.bounds
    corners = [
        grid.to_pixel(x, y) for x in (west - margin_m, east + margin_m) for y in (south - margin_m, north + margin_m)
    ]
    cols, rows = [c[0] for c in corners], [c[1] for c in corners]
    col0, col1 = max(0, int(np.floor(min(cols)))), min(grid.width, int(np.ceil(max(cols))))
    row0, row1 = max(0, int(np.floor(min(rows)))), min(grid.height, int(np.ceil(max(rows))))
    if col1 - col0 < 2 or row1 - row0 < 2:
        return Window(0, grid.height, 0, grid.width)
    return Window(row0, row1, col0, col1)


def layers_of(look: Look, window: Window) -> tuple[tuple[str, ...], FloatArray]:
    """Return the names and the values (layers, rows, columns) of what is shown of a look; radar in decibel."""
    names = next((t for t in _TRIPLES if all(band in look.bands for band in t)), look.bands[:1])
    stack = np.stack([look.band(name)[window.slices] for name in names]).astype(np.float64)
    if names[0] in _RADAR:
        with np.errstate(divide="ignore", invalid="ignore"):
            stack = np.where(stack > 0, 10.0 * np.log10(stack), np.nan)
    return names, stack


def stretch_of(look: Look, window: Window) -> Stretch:
    """Return the 1 and 99 percent points of each layer over the window's usable pixels.

    One look of an episode, the last quiet one, sets the stretch for all: otherwise a brighter day looks like a
    different yard.
    """
    names, stack = layers_of(look, window)
    usable = look.clear[window.slices]
    pairs = []
    for layer in stack:
        values = layer[usable & np.isfinite(layer)]
        if values.size < 16:
            values = layer[np.isfinite(layer)]
        low, high = (float(v) for v in np.percentile(_some(values), (1.0, 99.0))) if values.size else (0.0, 1.0)
        margin = 0.15 * (high - low)  # room for what the quiet look does not have
        pairs.append((low - margin, high + margin) if high > low else (low, low + 1.0))
    return Stretch(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), names)


def render(look: Look, window: Window, stretch: Stretch | None = None, *, max_pixels: int = 120_000) -> Picture:
    """Render a window of a look.

    Parameters
    ----------
    look : Look
    window : Window
    stretch : Stretch, optional
        Of another look; used when it has the same layers. None: the look's own.
    max_pixels : int
        A larger window is averaged down by a whole factor.

    Returns
    -------
    Picture
        Pixels without data are grey, masked pixels carry a violet veil.
    """
    names, stack = layers_of(look, window)
    if stretch is None or stretch.layers != names:
        stretch = stretch_of(look, window)
    low, high = np.array(stretch.low)[:, None, None], np.array(stretch.high)[:, None, None]
    scaled = np.clip((stack - low) / (high - low), 0.0, 1.0)
    known: BoolArray = np.isfinite(stack.min(axis=0))  # a NaN in any layer makes the minimum NaN
    rgb = np.moveaxis(scaled if scaled.shape[0] == 3 else np.repeat(scaled[:1], 3, axis=0), 0, -1)
    rgb = np.where(known[..., None], np.nan_to_num(rgb), 0.5)
    masked = known & ~look.clear[window.slices]
    rgb = np.where(masked[..., None], 0.55 * rgb + 0.45 * _VEIL, rgb)
    return _encode(_reduced(rgb, max_pixels), look.grid.gsd_m)


def comparable(before: Look, after: Look) -> bool:
    """Tell whether two looks share grid and sensor, so that their difference means something."""
    return before.grid == after.grid and before.scene.sensor == after.scene.sensor


def difference(before: Look, after: Look, window: Window) -> tuple[FloatArray, tuple[float, float] | None]:
    """Return what changed in brightness between two looks of one grid.

    Parameters
    ----------
    before, after : Look
        See `comparable`.
    window : Window

    Returns
    -------
    change : ndarray
        (rows, columns) of the window, `after` minus `before` in the unit of the values, NaN where either is masked.
        The mean of the visible layers; `after` is first aligned, then brought to the median and the interquartile
        range of `before` over the window's pixels that both have clear, which takes out haze and sun but not
        railcars, a small part of the window.
    shift : tuple of float or None
        (columns, rows) by which `after` lay off, removed; None when it could not be measured.
    """
    whole = Window(0, before.grid.height, 0, before.grid.width)
    a, b = (np.where(look.clear, layers_of(look, whole)[1].mean(axis=0), np.nan) for look in (before, after))
    shift = offset(a, b, before.clear & after.clear & np.isfinite(a) & np.isfinite(b))
    a, b = a[window.slices], b[window.slices] if shift is None else _moved_window(b, shift, window)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 16:
        return np.full(a.shape, np.nan), shift
    (a25, a50, a75), (b25, b50, b75) = (np.percentile(_some(v[both]), (25.0, 50.0, 75.0)) for v in (a, b))
    gain = np.clip((a75 - a25) / (b75 - b25), 0.5, 2.0) if b75 > b25 else 1.0
    out: FloatArray = np.where(both, (b - b50) * gain + a50 - a, np.nan)
    return out, shift


def _moved_window(image: FloatArray, shift: tuple[float, float], window: Window) -> FloatArray:
    """Return the window of an image moved back; only the window and what moves into it is resampled."""
    room = int(np.ceil(max(abs(shift[0]), abs(shift[1])))) + 2
    row0, col0 = max(0, window.row0 - room), max(0, window.col0 - room)
    part = moved(image[row0 : window.row1 + room, col0 : window.col1 + room], shift)
    out: FloatArray = part[window.row0 - row0 : window.row1 - row0, window.col0 - col0 : window.col1 - col0]
    return out


def render_difference(change: FloatArray, gsd_m: float, *, max_pixels: int = 120_000) -> tuple[Picture, float]:
    """Render a difference in red (darker) over white to blue (brighter); NaN is grey.

    Returns
    -------
    tuple
        The picture, and the change at the ends of the scale: the 99.5 percent point of its size.
    """
    from matplotlib import colormaps

    known = np.isfinite(change)
    span = float(np.percentile(np.abs(_some(change[known])), 99.5)) if known.any() else 1.0
    span = span if span > 0 else 1.0
    rgb = colormaps["RdBu"](np.clip(np.nan_to_num(change) / (2 * span) + 0.5, 0.0, 1.0))[..., :3]
    rgb = np.where(known[..., None], rgb, 0.5)
    return _encode(_reduced(rgb, max_pixels), gsd_m), span


def nice_length_m(extent_m: float) -> float:
    """Return a round length of at most a quarter of an extent, for a scale bar, metres."""
    wanted = max(extent_m / 4.0, 1e-3)
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= wanted * (1 + 1e-9)))


def north_deg(grid: Grid) -> float:
    """Return the direction of grid north in a picture, degrees clockwise from upwards."""
    (c0, r0), (c1, r1) = grid.to_pixel(0.0, 0.0), grid.to_pixel(0.0, 1.0)
    return float(np.degrees(np.arctan2(c1 - c0, -(r1 - r0))))


def line_points(coords: Sequence[tuple[float, ...]], grid: Grid, window: Window, decimals: int = 2) -> str:
    """Return vertices in the site's CRS as SVG points in pixels of a window."""
    xy = np.asarray([c[:2] for c in coords], dtype=float)
    cols, rows = grid.to_pixel(xy[:, 0], xy[:, 1])
    return " ".join(
        f"{c - window.col0:.{decimals}f},{r - window.row0:.{decimals}f}" for c, r in zip(cols, rows, strict=True)
    )


def _some(values: FloatArray) -> FloatArray:
    """Return evenly spaced values, at most twice `SAMPLE`: percentiles of a large picture need no more."""
    return values[:: max(1, values.size // SAMPLE)]


def _reduced(rgb: FloatArray, max_pixels: int) -> FloatArray:
    """Average (rows, columns, 3) down by the smallest whole factor that leaves at most `max_pixels`."""
    factor = max(1, int(np.ceil(np.sqrt(rgb.shape[0] * rgb.shape[1] / max_pixels))))
    if factor == 1:
        return rgb
    rows, cols = max(1, rgb.shape[0] // factor), max(1, rgb.shape[1] // factor)
    cut = rgb[: rows * factor, : cols * factor]
    out: FloatArray = cut.reshape(rows, cut.shape[0] // rows, cols, cut.shape[1] // cols, 3).mean(axis=(1, 3))
    return out


def _encode(rgb: FloatArray, gsd_m: float) -> Picture:
    from matplotlib.image import imsave

    out = io.BytesIO()
    pixels: NDArray[np.uint8] = np.ascontiguousarray((np.clip(rgb, 0.0, 1.0) * 255).round().astype(np.uint8))
    if gsd_m < FINE_M:
        imsave(out, pixels, format="jpg", pil_kwargs={"quality": 82, "optimize": True})
        return Picture(out.getvalue(), "image/jpeg", pixels.shape[1], pixels.shape[0])
    imsave(out, pixels, format="png", pil_kwargs={"optimize": True})
    return Picture(out.getvalue(), "image/png", pixels.shape[1], pixels.shape[0])
