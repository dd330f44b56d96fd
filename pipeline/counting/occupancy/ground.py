"""How bare ground of a yard varies in patches when it is wet, and how much of it a look shows beside its trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DRY, WET = 1.3, 2.0  # drift of the yard (robust sigmas) below and above which history looks tell dry and wet ground
PRIOR_LOOKS = 2  # wet looks' worth of belief in the spectrum below
# Share of the light that full wetting takes from bare ground, order of `kinds.BANDS`. Wet soils keep about half of
# their reflectance, less in the short-wave infrared where water absorbs (Lobell and Asner 2002,
# doi 10.2136/sssaj2002.7220).
WETTING = (0.40, 0.42, 0.44, 0.46, 0.55, 0.60)
STEPS = np.r_[0.0, np.geomspace(0.05, 800.0, 44)]  # amplitudes that are tried, in units of dry ground's variance
LOOSE = 2.5  # times the patches that the drift of a look lets expect, most
SPOTS = 3.0  # the strongest patches of a field count, not its mean square
DRY_LEAST = 5


@dataclass(frozen=True, eq=False)
class Wetting:
    """What the yard's own history says about wet ground; moments are those of relative changes of the ground."""

    direction: FloatArray  # (B,) relative change of each band, unit length
    gain: float  # variance along the direction for each unit of squared drift
    calm: FloatArray  # (B, B) moments of dry looks


def moments(change: FloatArray, seen: BoolArray) -> FloatArray:
    """Return the second moments (Q, B, B) of images (Q, B, N) over what is seen."""
    shown = np.where(seen[:, None], change, 0.0)
    return np.asarray(shown @ shown.transpose(0, 2, 1) / np.maximum(seen.sum(axis=1), 1)[:, None, None])


def learn_wetting(moment: FloatArray, drift: FloatArray, believed: FloatArray) -> Wetting:
    """Return how the ground changes when it is wet.

    Trains come and go whether it rains or not: what wet looks show more than dry ones is the ground.

    Parameters
    ----------
    moment : array of shape (Q, B, B)
        Of history looks without what is common to the yard.
    drift : array of shape (Q,)
        How far what is common to the yard lies from its past.
    believed : array of shape (B,)
        Relative change by which wetting is believed to darken.
    """
    dry, wet = drift < DRY, drift > WET
    calm = np.median(moment[dry] if dry.sum() >= DRY_LEAST else moment, axis=0)
    values, vectors = np.linalg.eigh(calm)
    calm = (vectors * np.maximum(values, 1e-3 * values[-1])) @ vectors.T
    root = np.linalg.cholesky(calm)
    inverse = np.linalg.inv(root)
    each = inverse @ (moment[wet] - calm) @ inverse.T / (drift[wet] ** 2 - 1.0)[:, None, None]
    unit = inverse @ believed
    unit /= np.linalg.norm(unit)
    size = float(np.median(np.linalg.eigvalsh(each)[:, -1])) if wet.any() else 1.0
    every = np.concatenate([np.broadcast_to(size * np.outer(unit, unit), (PRIOR_LOOKS, *calm.shape)), each])
    values, vectors = np.linalg.eigh(np.median(every, axis=0))
    direction = root @ vectors[:, -1]
    length = float(np.linalg.norm(direction))
    return Wetting(direction / length, max(float(values[-1]), 0.0) * length**2, calm)


def wetness_of(moment: FloatArray, drift: FloatArray, wetting: Wetting, cars: FloatArray) -> FloatArray:
    """Return the variance (Q,) of wet patches in looks: the likeliest mixture of dry ground, patches and cars.

    Parameters
    ----------
    moment : array of shape (Q, B, B)
    drift : array of shape (Q,)
    wetting : Wetting
    cars : array of shape (B, B)
        Second moment of what cars change.
    """
    precision = np.linalg.inv(wetting.calm)
    one = np.outer(wetting.direction, wetting.direction) / float(wetting.direction @ precision @ wetting.direction)
    car = cars / float(np.trace(precision @ cars))
    mixed = wetting.calm + STEPS[:, None, None, None] * one + STEPS[None, :, None, None] * car
    misfit = np.einsum("abij,qji->qab", np.linalg.inv(mixed), moment, optimize=True) + np.linalg.slogdet(mixed)[1]
    unit = 1.0 / float(wetting.direction @ precision @ wetting.direction)
    most = LOOSE * wetting.gain * np.maximum(drift**2 - DRY**2, 0.0)  # trains, too, make a dry yard drift a little
    misfit = np.where(STEPS[None, :, None] * unit <= most[:, None, None], misfit, np.inf)
    best = misfit.reshape(len(moment), -1).argmin(axis=1) // len(STEPS)
    return np.asarray(SPOTS * unit * STEPS[best])
