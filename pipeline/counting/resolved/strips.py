"""Tracks unrolled: the image along each track as a straight strip, sampled alike whatever the pixel grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from pipeline.model import Grid, Look, Track

STEP_M = 0.5  # between samples along and across a track
HALF_WIDTH_M = 8.0  # of a strip
POOL_M = 7.0  # to either side of a track that the look's scale is taken from
OFFSETS_M: NDArray[np.float64] = np.arange(-HALF_WIDTH_M, HALF_WIDTH_M + 1e-9, STEP_M)  # across, left is positive
CENTRE = len(OFFSETS_M) // 2
LEAST_COLOUR = 0.01  # difference of two bands, over half the look's own spread, below which they are one
VISIBLE = ("blue", "green", "red", "pan", "rgb", "nir")  # bands that make up brightness, when present
COLOURS = ("red", "green", "blue")

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One track as the image shows it."""

    track: Track
    stations: NDArray[np.float64]  # (n,) metres from the line's first point
    values: Array  # (bands, n, offsets), the look's own values; NaN where the image has none
    offsets: NDArray[np.float64]  # (n,) lateral correction that was applied, metres to the left of the line

    def covered(self) -> NDArray[np.bool_]:
        """Return True for each station whose middle 4 m are seen."""
        centre = self.values.shape[2] // 2
        middle = self.values[0, :, centre - 4 : centre + 5]
        return np.asarray(np.isfinite(middle).all(axis=1))


def frame(track: Track, stations: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points on a track and unit vectors to its left there, both (n, 2), metres.

    Headings are taken over 6 m, so that the corners of a roughly drawn line do not tear the strip.
    """
    xy = np.asarray(track.line.coords)[:, :2]
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    keep = np.concatenate([[True], np.diff(s) > 0])
    xy, s = xy[keep], s[keep]

    def at(where: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(where, s, xy[:, 0]), np.interp(where, s, xy[:, 1])], axis=1)

    ahead = at(np.minimum(stations + 3.0, s[-1])) - at(np.maximum(stations - 3.0, 0.0))
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    return at(stations), np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)


def unroll(
    look: Look,
    tracks: Sequence[Track],
    offsets: dict[str, NDArray[np.float64]] | None = None,
    across_m: NDArray[np.float64] = OFFSETS_M,
) -> tuple[Strip, ...]:
    """Sample a look along its tracks.

    Parameters
    ----------
    look : Look
        Only the window around each track is touched, so that a large image costs no memory of its own.
    tracks : sequence of Track
        In the look's CRS.
    offsets : dict, optional
        Track id to (n,) lateral corrections in metres, as found by `find_rails`; none means the lines as drawn.
    across_m : array, (columns,)
        Lateral places of a strip's columns, `STEP_M` apart around 0, metres to the left.

    Returns
    -------
    tuple of Strip
        Tracks without a single covered station are left out.
    """
    out = []
    for track in tracks:
        stations = np.arange(STEP_M / 2, track.line.length, STEP_M)
        if len(stations) < 4:
            continue
        shift = (offsets or {}).get(track.track_id, np.zeros(len(stations)))
        points, left = frame(track, stations)
        across = across_m[None, :] + shift[:, None]
        x = points[:, :1] + left[:, :1] * across
        y = points[:, 1:] + left[:, 1:] * across
        strip = Strip(track, stations, _sample(look, look.grid, x, y), shift)
        if strip.covered().any():
            out.append(strip)
    return tuple(out)


def _sample(look: Look, grid: Grid, x: NDArray[np.float64], y: NDArray[np.float64]) -> Array:
    """Interpolate every band at points; NaN outside the image or where a pixel is not clear."""
    columns, rows = grid.to_pixel(x, y)
    c0, c1 = max(int(columns.min()) - 3, 0), min(int(columns.max()) + 4, grid.width)
    r0, r1 = max(int(rows.min()) - 3, 0), min(int(rows.max()) + 4, grid.height)
    out = np.full((len(look.bands), *x.shape), np.nan, dtype=np.float32)
    if c1 - c0 < 2 or r1 - r0 < 2:
        return out
    window = look.values[:, r0:r1, c0:c1]
    clear = look.clear[r0:r1, c0:c1] & np.isfinite(window).all(axis=0)
    at = np.stack([rows - r0 - 0.5, columns - c0 - 0.5])
    usable = map_coordinates(clear.astype(np.float32), at, order=1, mode="constant", cval=0.0) > 0.999
    # Finer pixels than the strip's are averaged first, so that nothing aliases.
    sigma = 0.45 * np.sqrt(max(STEP_M**2 - grid.gsd_m**2, 0.0)) / grid.gsd_m
    for band, pixels in enumerate(window):
        filled = np.where(clear, pixels, np.float32(np.median(pixels[clear])) if clear.any() else 0.0)
        if sigma > 0.2:
            filled = gaussian_filter(filled.astype(np.float32), sigma)
        sampled = map_coordinates(filled, at, order=1, mode="nearest")
        out[band] = np.where(usable, sampled, np.nan)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """Strips made comparable between images: brightness and two colours, scaled by the look's own spread."""

    strip: Strip
    grey: Array  # (n, offsets), 0 at the look's median, about -1 to 1 between its 5 and 95 % points
    red_blue: Array | None  # (n, offsets), None without colour bands
    green: Array | None


@dataclass(frozen=True, slots=True)
class LookTone:
    """What the strips of a look have in common."""

    ends: float  # median brightness where tracks begin and end: mostly empty rails
    ends_red_blue: float
    ends_green: float
    noise: float  # fine-grained noise over the look's spread
    gsd_m: float


def normalise(strips: Sequence[Strip], bands: Sequence[str], gsd_m: float) -> tuple[tuple[Tone, ...], LookTone]:
    """Scale strips by the robust spread of the look over all its tracks.

    Raises
    ------
    ValueError
        When there is no finite value or the look is constant over the tracks.
    """
    used = [i for i, band in enumerate(bands) if band in VISIBLE] or list(range(len(bands)))
    centre, reach = strips[0].values.shape[2] // 2, round(POOL_M / STEP_M)
    pooled = slice(centre - reach, centre + reach + 1)
    scaled: list[list[Array]] = []
    flat: list[int] = []
    for index in range(len(bands)):
        pool = np.concatenate([strip.values[index, ::2, pooled].ravel() for strip in strips])
        middle, width = _scale(pool[np.isfinite(pool)])
        if width <= 0:
            flat.append(index)
        scaled.append([((s.values[index] - middle) * (2 / (width or 1.0))).astype(np.float32) for s in strips])
    used = [index for index in used if index not in flat]
    if not used:
        raise ValueError("constant over the tracks")
    tones = []
    names = list(bands)
    coloured = all(name in names for name in COLOURS) and _differ(*(scaled[names.index(name)] for name in COLOURS))
    for k, strip in enumerate(strips):
        grey: Array = np.stack([scaled[i][k] for i in used]).mean(axis=0, dtype=np.float32)
        red_blue: Array | None = None
        green: Array | None = None
        if coloured:
            red, mid, blue = (scaled[names.index(name)][k] for name in COLOURS)
            red_blue, green = red - blue, mid - (red + blue) * np.float32(0.5)
        tones.append(Tone(strip, grey, red_blue, green))
    return tuple(tones), _common(tones, gsd_m)


def _differ(red: Sequence[Array], green: Sequence[Array], blue: Sequence[Array]) -> bool:
    """Tell whether three bands hold colour: a grey picture saved in three equal bands is read as panchromatic."""
    for one, other in ((red, blue), (red, green)):
        apart = np.concatenate([(a - b)[::2].ravel() for a, b in zip(one, other, strict=True)])
        apart = apart[np.isfinite(apart)]
        if apart.size and float(np.ptp(np.quantile(apart, [0.05, 0.95]))) > LEAST_COLOUR:
            return True
    return False


def _scale(pool: Array) -> tuple[float, float]:
    """Return the median and the 5 to 95 % range of a band, a wider one where snow saturates; 0: constant."""
    if not pool.size:
        return 0.0, 0.0
    middle = float(np.median(pool))
    for tail in (0.05, 0.01, 0.0):
        low, high = (float(q) for q in np.quantile(pool, [tail, 1 - tail]))
        if high - low > 1e-5 * max(abs(middle), abs(high), 1e-9):
            return middle, high - low
    return middle, 0.0


def _common(tones: Sequence[Tone], gsd_m: float) -> LookTone:
    ends, ends_rb, ends_g, rough = [], [], [], []
    centre = tones[0].grey.shape[1] // 2
    middle = slice(centre - 2, centre + 3)
    for tone in tones:
        seen = np.flatnonzero(tone.strip.covered())
        if not len(seen):
            continue
        pick = np.concatenate([seen[:40], seen[-40:]])
        ends.append(tone.grey[pick, middle].ravel())
        if tone.red_blue is not None and tone.green is not None:
            ends_rb.append(tone.red_blue[pick, middle].ravel())
            ends_g.append(tone.green[pick, middle].ravel())
        fine = tone.grey[2:] - 2 * tone.grey[1:-1] + tone.grey[:-2]
        rough.append(np.abs(fine[np.isfinite(fine)]))
    return LookTone(
        ends=float(np.median(np.concatenate(ends))),
        ends_red_blue=float(np.median(np.concatenate(ends_rb))) if ends_rb else 0.0,
        ends_green=float(np.median(np.concatenate(ends_g))) if ends_g else 0.0,
        noise=float(np.median(np.concatenate(rough))),
        gsd_m=gsd_m,
    )
