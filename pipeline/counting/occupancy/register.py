"""Brings looks onto one reference: sub-pixel shift by phase correlation of high-passed bands, then resampling."""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shift_image
from skimage.registration import phase_cross_correlation

from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.light import soft_edges
from pipeline.model import Look

HIGH_PASS_PX = 2.5  # structures wider than this say little about a shift and much about the season
SUBPIXEL = 50  # steps of a pixel
AGREE_PX = 0.6  # bands that lie farther than this from their median are not heeded
SPREAD_PX = 0.8  # bands that scatter more than this, median deviation: the shift is unknown
REFERENCE_LOOKS = 11
BLOCK_LOOKS = 5  # a half-year with fewer looks makes no reference while there is a better one
LOST_PX = 15.0  # a shift beyond is a failed match (snow, haze), not a shift
ODD_PX = 3.0  # looks farther from the anchor are no part of the reference
BLOCK = timedelta(days=180)  # the reference changes only when a half-year is complete
EPOCH = datetime(2013, 1, 1, tzinfo=UTC)
PREPARED_MAX = 700
BANDS_HEEDED = ("red", "green", "nir", "nir08", "blue", "swir16")

FloatStack = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Registered:
    """A look's pixels on the reference, only where they are needed."""

    yard: FloatStack  # (bands, N), NaN where not clear
    off: FloatStack  # (bands, M), NaN where not clear
    apron: FloatStack  # (bands, A)
    flank: FloatStack  # (bands, F)
    shift_px: tuple[float, float] | None  # (columns, rows) by which the image lay off; None: not measurable


@dataclass(frozen=True, eq=False)
class Reference:
    """What looks are registered to."""

    image: FloatStack  # (bands, rows, columns), NaN where never clear
    gradient: NDArray[np.float32]  # (2, bands, rows, columns) change per pixel along columns and rows
    key: str


_digests: weakref.WeakKeyDictionary[Look, str] = weakref.WeakKeyDictionary()
_registered: OrderedDict[tuple[str, str, str], Registered] = OrderedDict()
_references: OrderedDict[str, Reference] = OrderedDict()


def digest_of(look: Look) -> str:
    """Return a digest of a look's pixels and mask; caches are keyed by content, never by name."""
    known = _digests.get(look)
    if known is None:
        content = hashlib.blake2b(np.ascontiguousarray(look.values).tobytes(), digest_size=16)
        content.update(np.packbits(look.clear).tobytes() + repr((look.bands, look.grid)).encode())
        known = content.hexdigest()
        _digests[look] = known
    return known


def reference_for(history: Sequence[Look], yard: Yard, bands: tuple[str, ...]) -> Reference:
    """Return the reference of a history: the median of the clearest looks of its newest complete half-year.

    Parameters
    ----------
    history : sequence of Look
        Oldest first, all on one grid.
    yard : Yard
    bands : tuple of str
        Bands that every look has.
    """
    blocks: dict[int, list[Look]] = {}
    for look in history:
        blocks.setdefault((look.scene.observed_at - EPOCH) // BLOCK, []).append(look)
    newest = (history[-1].scene.observed_at - EPOCH) // BLOCK
    # The newest block is still growing and would change with every look.
    order = sorted(blocks, key=lambda number: (len(blocks[number]) < BLOCK_LOOKS, number == newest, -number))
    looks = sorted(blocks[order[0]], key=lambda look: (-look.clear_fraction, look.scene.observed_at))
    looks = looks[:REFERENCE_LOOKS]
    key = hashlib.sha256("".join([*(digest_of(look) for look in looks), yard.key, *bands]).encode()).hexdigest()[:24]
    if key not in _references:
        anchor = _filled(looks[0], bands)
        images, shifts = [anchor], [(0.0, 0.0)]
        for look in looks[1:]:
            image = _filled(look, bands)
            shift = _measure(anchor, image, looks[0].clear & look.clear, yard, bands)
            if shift is not None and float(np.hypot(*shift)) < ODD_PX:
                images.append(image)
                shifts.append(shift)
        # Single looks lie off by a few metres either way; their middle is where the map is.
        middle = np.median(np.array(shifts), axis=0)
        stack = [
            _move(image, (shift[0] - middle[0], shift[1] - middle[1]))
            for image, shift in zip(images, shifts, strict=True)
        ]
        image = np.median(np.stack(stack), axis=0).astype(np.float32)
        gradient = np.stack([np.gradient(image, axis=2), np.gradient(image, axis=1)]).astype(np.float32)
        _references[key] = Reference(image, gradient, key)
        while len(_references) > 8:
            _references.popitem(last=False)
    return _references[key]


def register(look: Look, reference: Reference, yard: Yard, bands: tuple[str, ...]) -> Registered:
    """Return a look's yard, control and apron pixels on the reference.

    Parameters
    ----------
    look : Look
    reference : Reference
        On the same grid.
    yard : Yard
    bands : tuple of str
        Order of the result's bands.
    """
    key = (digest_of(look), reference.key, yard.key)
    found = _registered.get(key)
    if found is None:
        image = _filled(look, bands)
        shift = _measure(reference.image, image, look.clear, yard, bands)
        clear = look.clear.astype(np.float32)
        sharp = (~soft_edges(look.clear, look.grid.gsd_m)).astype(np.float32)
        if shift is not None and max(abs(shift[0]), abs(shift[1])) > 0.01:
            image = _move(image, shift)
            clear = shift_image(clear, (-shift[1], -shift[0]), order=1, mode="constant", cval=0.0)
            sharp = shift_image(sharp, (-shift[1], -shift[0]), order=1, mode="nearest")
        image = np.where(clear[None] > 0.75, image, np.nan).astype(np.float32).reshape(len(bands), -1)
        # Off the yard the edges stay: they tell the gates what lies over it.
        inside = np.where(sharp.reshape(-1) > 0.75, image, np.float32(np.nan))
        found = Registered(
            inside[:, yard.index], image[:, yard.off], inside[:, yard.apron], inside[:, yard.flank], shift
        )  # fmt: skip
        _registered[key] = found
        while len(_registered) > PREPARED_MAX:
            _registered.popitem(last=False)
    else:
        _registered.move_to_end(key)
    return found


def _filled(look: Look, bands: tuple[str, ...]) -> FloatStack:
    """Return the bands with hidden pixels filled smoothly, so that filters do not ring at their edges."""
    image = np.stack([look.band(name) for name in bands]).astype(np.float32)
    good = look.clear & np.isfinite(image).all(axis=0)
    if good.all():
        return image
    weight = good.astype(np.float32)
    share = gaussian_filter(weight, 4.0) + 1e-6
    for number, band in enumerate(image):
        level = np.float32(np.median(band[good])) if good.any() else np.float32(0)
        smooth = gaussian_filter(np.where(good, band - level, 0).astype(np.float32), 4.0) / share + level
        image[number] = np.where(good, band, smooth)
    return image


def _measure(
    reference: FloatStack, image: FloatStack, clear: NDArray[np.bool_], yard: Yard, bands: tuple[str, ...]
) -> tuple[float, float] | None:
    """Return (columns, rows) by which `image` lies off `reference`, None when its bands do not agree.

    The yard itself is left out: trains come and go, and would pull the measure along.
    """
    mask = clear.copy().reshape(-1)
    mask[yard.index] = False
    weight = gaussian_filter(mask.reshape(clear.shape).astype(np.float32), 1.5)
    if float(weight.mean()) < 0.15 or min(clear.shape) < 12:
        return None
    shifts = []
    for name in BANDS_HEEDED:
        if name not in bands:
            continue
        number = bands.index(name)
        pair = [_high_pass(stack[number], weight) for stack in (reference, image)]
        if min(float(np.std(part)) for part in pair) < 1e-6:
            continue
        found, _, _ = phase_cross_correlation(pair[0], pair[1], upsample_factor=SUBPIXEL, normalization=None)
        shifts.append(-np.asarray(found))
    if not shifts:
        return None
    middle = np.median(shifts, axis=0)
    off = np.abs(np.array(shifts) - middle).max(axis=1)
    if float(np.median(off)) > SPREAD_PX:
        return None
    best = np.mean([s for s, d in zip(shifts, off, strict=True) if d <= AGREE_PX] or [middle], axis=0)
    if float(np.hypot(*best)) > LOST_PX:
        return None
    return float(best[1]), float(best[0])


def _high_pass(band: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return structures narrower than `HIGH_PASS_PX`, limited so that single bright roofs do not decide."""
    fine = (gaussian_filter(band, 0.6) - gaussian_filter(band, HIGH_PASS_PX)) * weight
    limit = 4 * float(np.median(np.abs(fine[weight > 0.5]))) + 1e-9
    return np.asarray(limit * np.tanh(fine / limit), dtype=np.float32)


def _move(image: FloatStack, shift: tuple[float, float]) -> FloatStack:
    """Return the image moved back by (columns, rows), cubic splines (order 3)."""
    return np.stack([shift_image(band, (-shift[1], -shift[0]), order=3, mode="nearest") for band in image])
