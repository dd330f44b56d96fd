"""Brings the looks of a series to one radiometry, by ground off the yard, and says how unlike itself it looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.light import patchiness

FloatArray = NDArray[np.float64]
Single = NDArray[np.float32]

STABLE_SHARE = 0.5  # of the controls: those that change least carry the normalisation
FACTORS = 3  # temporal patterns of the controls (moisture, leaf, sun) that may explain the yard
ROUNDS = 3
LINE_CONTROLS = 500  # stable controls that are enough for a straight line
MIN_CONTROLS = 30  # fewer clear stable controls: the look keeps its own radiometry
MAD_SIGMA = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


@dataclass(frozen=True, eq=False)
class Normalised:
    """L looks, the last being the one to be counted."""

    gain: FloatArray  # (L, B) value on the common radiometry = gain × value + offset
    offset: FloatArray  # (L, B)
    season: FloatArray  # (L, S) regressors: 1, cos, sin of the year and of the half-year
    factors: FloatArray  # (L, K) temporal patterns seen off the yard, unit variance over the history
    unlike: FloatArray  # (L, G) logarithms of residual figures off the yard; larger is less like the past
    used: FloatArray  # (L,) share of controls that were clear


def season_terms(days: FloatArray) -> FloatArray:
    """Return (L, 5) regressors of the season for days of the year."""
    angle = 2 * np.pi * np.asarray(days) / 365.25
    return np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)


def normalise(
    off: Single, ring: NDArray[np.bool_], tile: NDArray[np.intp], days: FloatArray, weights: FloatArray
) -> Normalised:
    """Estimate each look's gain and offset and the ground's common patterns from controls.

    Parameters
    ----------
    off : array of shape (L, B, M)
        Reflectance of controls, NaN where hidden.
    ring : array of shape (M,)
        True: control near the yard.
    tile : array of shape (M,)
        Tile of each control near the yard, -1 for the others.
    days : array of shape (L,)
        Day of the year.
    weights : array of shape (L,)
        How much each look may shape the model; the last, the look itself, is given none by the caller.
    """
    looks, bands, _ = off.shape
    seen = np.isfinite(off)
    values = np.where(seen, off, 0.0).astype(np.float32)  # single precision halves the time and is far below noise
    terms = season_terms(days)
    terms[:, 3:] *= 0.7  # the half-year's terms are held back by the common ridge
    gain, offset = np.ones((looks, bands)), np.zeros((looks, bands))
    weight = (seen * weights[:, None, None]).astype(np.float32)
    for _ in range(ROUNDS):
        flat = _level(values, gain, offset)
        model = _season_model(flat, weight, terms)
        residual = np.where(seen, flat - model, 0.0)
        spread = np.sqrt((weight * residual**2).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)) + np.float32(2e-3)
        relative = (spread / (np.abs(model[:-1]).mean(axis=0) + 0.02)).mean(axis=0)
        stable = relative <= np.quantile(relative, STABLE_SHARE)
        limit = np.maximum(2.0 * spread, np.float32(4e-3))
        # The model is the less noisy of the two: fitted the other way, noise would flatten the slope.
        used = np.flatnonzero(stable)
        used = used[:: max(used.size // LINE_CONTROLS, 1)]
        a, b = _lines(model[..., used], values[..., used], limit[:, used], seen[..., used])
        gain, offset = 1.0 / a, -b / a
        # The series keeps its own scale: typical gains stay 1, typical offsets 0.
        past = weights > 0
        middle = np.median(gain[past], axis=0)
        gain, offset = gain / middle, offset / middle
        offset = offset - np.median(offset[past], axis=0)
    flat = _level(values, gain, offset)
    model = _season_model(flat, weight, terms)
    residual = np.where(seen, flat - model, 0.0)
    scale = np.sqrt((weight * residual**2).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)) + np.float32(1.5e-3)
    scaled = np.clip(residual / scale, -4, 4)
    # History looks shaped the model; leaving each out makes its residual comparable with the judged look's.
    inverse = np.linalg.inv((terms * weights[:, None]).T @ terms + np.diag([1e-3, 1.0, 1.0, 3.0, 3.0]))
    leverage = weights * np.einsum("lp,pq,lq->l", terms, inverse, terms)
    left_out = np.maximum(1.0 - leverage, 0.2).astype(np.float32)
    fair = residual / scale / left_out[:, None, None]
    unlike = np.hstack([_unlike(fair, seen, ring, gain, offset), patchiness(flat, model, seen, tile)])
    factors = _factors(scaled[:, :, stable].astype(np.float64), weights)
    return Normalised(gain, offset, terms, factors, unlike, seen[:, 0].mean(axis=1))


def _level(values: Single, gain: FloatArray, offset: FloatArray) -> Single:
    return values * gain[..., None].astype(np.float32) + offset[..., None].astype(np.float32)


def _season_model(flat: Single, weight: Single, terms: FloatArray) -> Single:
    """Fit every control's season by weighted ridge regression and return it for every look, (L, B, M)."""
    looks, _, controls = flat.shape
    size = terms.shape[1]
    outer = (terms[:, :, None] * terms[:, None, :]).reshape(looks, -1)
    first = weight[:, 0]  # a pixel is clear in all bands or in none
    matrix = (first.T @ outer).reshape(controls, size, size) + np.diag([1e-3, 1.0, 1.0, 3.0, 3.0])
    single = terms.astype(np.float32)
    right = (single.T @ (flat * weight).reshape(looks, -1)).reshape(size, -1, controls).transpose(2, 0, 1)
    coefficients = np.linalg.solve(matrix, right.astype(np.float64)).transpose(1, 2, 0).astype(np.float32)
    return np.asarray((single @ coefficients.reshape(size, -1)).reshape(flat.shape), dtype=np.float32)


def _lines(x: Single, y: Single, limit: Single, seen: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return slopes and intercepts (L, B) of y over x (L, B, S), biweight residuals, slopes drawn towards 1."""
    enough = seen.sum(axis=2) >= MIN_CONTROLS
    least = (seen / limit**2).astype(np.float32)
    slope = np.ones(x.shape[:2], dtype=np.float32)
    cut = masked_median(y - x, seen)
    for _ in range(4):
        r = (y - slope[..., None] * x - cut[..., None]) / (np.float32(2.5) * limit)
        weight = np.square(np.maximum(np.float32(1.0) - r * r, np.float32(0.0))) * least
        total = np.maximum(weight.sum(axis=2), 1e-12)
        mx, my = (weight * x).sum(axis=2) / total, (weight * y).sum(axis=2) / total
        var = (weight * x * x).sum(axis=2) - total * mx**2
        prior = 0.05 * total * 0.05**2  # as if the scene held a little contrast of 0.05 with slope 1
        slope = ((weight * x * y).sum(axis=2) - total * mx * my + prior) / (var + prior)
        slope = np.clip(slope, 0.5, 2.0)
        cut = my - slope * mx
    return np.where(enough, slope, 1.0), np.where(enough, cut, 0.0)


def masked_median(values: Single, seen: NDArray[np.bool_]) -> Single:
    """Return the lower median over the last axis of what is seen, 0 where nothing is."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=-1)
    place = np.maximum(seen.sum(axis=-1) - 1, 0) // 2
    out = np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(np.isfinite(out), out, 0.0))


def _factors(scaled: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the leading temporal patterns of controls, (L, K), from the looks that shape the model."""
    looks = len(weights)
    flat = scaled.reshape(looks, -1)
    gram = flat @ flat.T / flat.shape[1]
    inside = np.flatnonzero(weights > 0)
    root = np.sqrt(weights[inside])
    values, vectors = np.linalg.eigh(root[:, None] * gram[np.ix_(inside, inside)] * root[None, :])
    order = np.argsort(values)[::-1][:FACTORS]
    count = min(FACTORS, max(len(inside) // 8, 0))
    out = np.zeros((looks, FACTORS))
    for place, column in enumerate(order[:count]):
        pattern = root * vectors[:, column]
        score = gram[:, inside] @ pattern
        spread = np.sqrt(np.average(score[inside] ** 2, weights=weights[inside])) + 1e-12
        sign = 1.0 if score[inside][np.argmax(np.abs(score[inside]))] > 0 else -1.0
        out[:, place] = np.clip(sign * score / spread, -4, 4)
    return out


def _unlike(
    scaled: FloatArray, seen: NDArray[np.bool_], ring: NDArray[np.bool_], gain: FloatArray, offset: FloatArray
) -> FloatArray:
    """Return (L, 4) logarithms: typical residual, its tail, drift of the ground near the yard, its patchiness."""
    looks = len(scaled)
    out = np.zeros((looks, 4))
    near = ring if ring.any() else np.ones_like(ring)
    for number in range(looks):
        ok = seen[number, 0]
        if ok.sum() < 20:
            continue
        size = np.abs(scaled[number][:, ok])
        close = scaled[number][:, near & ok]
        drift = np.abs(np.median(close, axis=1)).max() if close.shape[1] >= 10 else 0.0
        light = np.abs(np.log(np.maximum(gain[number], 1e-3))).max() + 8 * np.abs(offset[number]).max()
        out[number] = np.log([
            np.median(size) + 0.2, np.quantile(size, 0.92) + 0.5, drift + 0.4, light + 0.15,
        ])  # fmt: skip
    return out
