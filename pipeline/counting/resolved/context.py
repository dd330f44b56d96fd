"""The second look: each station against the empty track of the same look, and against what stands around it.

In one look all empty track is lit alike and lies on the same ballast. Once a first classifier has said where the
track is probably empty, the profile of that empty track is the measure for every station; a counter that asks "how
unlike this yard's empty track is it?" carries over to yards, suns and sensors that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from pipeline.counting.resolved.features import column_of, filled, running_mean, running_spread, shifted
from pipeline.counting.resolved.strips import STEP_M, LookTone, Tone

Array = NDArray[np.float32]
FIRST, LAST = column_of(-3.0), column_of(3.0) + 1
CORE = slice(column_of(-1.0) - FIRST, column_of(1.0) + 1 - FIRST)
EMPTY_BELOW = 0.35  # probability up to which a station serves as empty track
EMPTY_LEAST = 0.1  # share of the stations that serve at least: in a full yard the emptiest tenth
OWN_LEAST = 80  # stations from which a track has an empty profile of its own
Z_MAX = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Empty:
    """What empty track looks like in one look."""

    profile: Array  # (offsets from -3 to 3 m,), median brightness
    spread: Array  # its robust standard deviation there, after smoothing over 3 m
    red_blue: tuple[float, float]  # median and robust standard deviation in the middle
    green: tuple[float, float]
    roughness: float  # typical change along the track
    edges: float  # typical change across it


def _middle(values: Array) -> Array:
    out: Array = values[:, FIRST:LAST]
    return out


def _robust(values: Array, floor: float) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, floor
    middle = float(np.median(values))
    return middle, max(1.4826 * float(np.median(np.abs(values - middle))), floor)


def empty_track(tones: Sequence[Tone], common: LookTone, probability: Sequence[NDArray[np.float64]]) -> Empty:
    """Return the look's empty track, from the stations that the first classifier calls emptiest.

    Parameters
    ----------
    tones : sequence of Tone
    common : LookTone
    probability : sequence of arrays, (stations,)
        Of standing under a car, from the first classifier.
    """
    covered = [tone.strip.covered() for tone in tones]
    every = np.concatenate([p[seen] for p, seen in zip(probability, covered, strict=True)])
    limit = max(EMPTY_BELOW, float(np.quantile(every, EMPTY_LEAST)))
    chosen = [seen & (p <= limit) for p, seen in zip(probability, covered, strict=True)]
    grey = [filled(tone.grey, common.ends) for tone in tones]
    rows = np.concatenate([running_mean(_middle(g), 3.0)[keep] for g, keep in zip(grey, chosen, strict=True)])
    profile = np.median(rows, axis=0)
    spread = 1.4826 * np.median(np.abs(rows - profile), axis=0)
    rough = np.concatenate([_roughness(g)[keep] for g, keep in zip(grey, chosen, strict=True)])
    edges = np.concatenate([_edges(g)[keep].mean(axis=1) for g, keep in zip(grey, chosen, strict=True)])
    colours = []
    for name in ("red_blue", "green"):
        planes = [
            _middle(filled(getattr(tone, name), 0.0))[keep][:, CORE].mean(axis=1)
            for tone, keep in zip(tones, chosen, strict=True)
            if getattr(tone, name) is not None
        ]
        colours.append(_robust(np.concatenate(planes), 0.03) if planes else (0.0, 1.0))
    return Empty(
        profile.astype(np.float32),
        np.maximum(spread, 0.03).astype(np.float32),
        colours[0],
        colours[1],
        max(float(np.median(rough)), 0.01),
        max(float(np.median(edges)), 0.01),
    )


def _roughness(grey: Array) -> Array:
    core = _middle(grey)[:, CORE].mean(axis=1)
    return running_mean(np.abs(np.gradient(core)).astype(np.float32), 6.0)


def _edges(grey: Array) -> Array:
    """Return the mean change across the track at -2, -1.5, 1.5 and 2 m over 8 m of it, (n, 4)."""
    step = np.abs(running_mean(np.diff(grey, axis=1), 8.0))
    return np.stack([step[:, column_of(o)] for o in (-2.0, -1.5, 1.0, 1.5)], axis=1)


def _own(middle: Array, empty: Empty, keep: NDArray[np.bool_]) -> Array:
    """Return the track's own empty profile where enough of it is empty, else the look's."""
    if keep.sum() < OWN_LEAST:
        return empty.profile
    return np.median(middle[keep], axis=0).astype(np.float32)


def second_features(tone: Tone, common: LookTone, empty: Empty, first: NDArray[np.float64]) -> Array:
    """Return what the second look adds, (n, features), float32.

    Parameters
    ----------
    tone : Tone
    common : LookTone
    empty : Empty
    first : array, (n,)
        Log-odds of the first classifier.
    """
    grey = filled(tone.grey, common.ends)
    logit = np.clip(first, -8, 8).astype(np.float32)
    near, wide = running_mean(_middle(grey), 3.0), running_mean(_middle(grey), 8.0)
    probability = 1 / (1 + np.exp(-logit))
    own = _own(near, empty, tone.strip.covered() & (probability < EMPTY_BELOW))
    z = np.clip((near - empty.profile) / empty.spread, -Z_MAX, Z_MAX)
    z_wide = np.clip((wide - empty.profile) / empty.spread, -Z_MAX, Z_MAX)
    z_own = np.clip((wide - own) / empty.spread, -Z_MAX, Z_MAX)
    out: list[Array] = [z[:, k] for k in range(0, z.shape[1], 2)]
    out += [np.abs(values[:, CORE]).mean(axis=1) for values in (z, z_wide, z_own)]
    out += [values[:, CORE].mean(axis=1) for values in (z, z_wide, z_own)]
    out += [z_own[:, CORE.start - 3], z_own[:, CORE.stop + 2], np.abs(z_own).max(axis=1)]
    deviation = (wide - own)[:, CORE].mean(axis=1)
    out += [deviation, _roughness(grey) / np.float32(empty.roughness)]
    edges = _edges(grey) / np.float32(empty.edges)
    out += [edges[:, k] for k in range(4)]
    out += [np.minimum(edges[:, 0], edges[:, 3]), _colour(tone.red_blue, empty.red_blue, len(grey))]
    out.append(_colour(tone.green, empty.green, len(grey)))
    out += _around(logit)
    return np.stack(out, axis=1).astype(np.float32)


def _colour(plane: Array | None, reference: tuple[float, float], n: int) -> Array:
    if plane is None:
        return np.full(n, np.nan, np.float32)
    core = running_mean(_middle(filled(plane, reference[0]))[:, CORE].mean(axis=1), 4.0)
    return np.asarray(
        np.clip((core - np.float32(reference[0])) / np.float32(reference[1]), -Z_MAX, Z_MAX), np.float32
    )


def _around(logit: Array) -> list[Array]:
    out = [shifted(logit, int(d / STEP_M)) for d in (-24, -14, -8, -4, -2, 0, 2, 4, 8, 14, 24)]
    out += [running_mean(logit, metres) for metres in (7.0, 20.0, 70.0)]
    size = int(14 / STEP_M)
    return [*out, maximum_filter1d(logit, size, mode="nearest"), minimum_filter1d(logit, size, mode="nearest")]


def boundary_context(tone: Tone, common: LookTone, empty: Empty, first: NDArray[np.float64]) -> Array:
    """Return what the second look adds for a car's end, (n, features), float32."""
    grey = filled(tone.grey, common.ends)
    logit = np.clip(first, -8, 8).astype(np.float32)
    core = running_mean(_middle(grey)[:, CORE].mean(axis=1), 1.0)
    z = np.clip((core - empty.profile[CORE].mean()) / empty.spread[CORE].mean(), -Z_MAX, Z_MAX).astype(np.float32)
    out: list[Array] = [shifted(z, d) for d in (-8, -4, -2, 0, 2, 4, 8)]
    out += [shifted(logit, int(d / STEP_M)) for d in (-13, -8, -5, -3, -1.5, 0, 1.5, 3, 5, 8, 13)]
    ahead, behind = shifted(running_mean(logit, 4.0), 5), shifted(running_mean(logit, 4.0), -5)
    out += [np.minimum(ahead, behind), np.maximum(ahead, behind), np.abs(ahead - behind)]
    notch = core - (shifted(core, -5) + shifted(core, 5)) * np.float32(0.5)
    level = running_spread(core, 14.0) + np.float32(0.02)
    # The same notch one car away on either side: couplings recur.
    lags = [shifted(notch, sign * lag) / level for sign in (-1, 1) for lag in range(23, 31)]
    out += [np.min(lags[:8], axis=0), np.min(lags[8:], axis=0), np.max(lags[:8], axis=0), np.max(lags[8:], axis=0)]
    return np.stack(out, axis=1).astype(np.float32)
