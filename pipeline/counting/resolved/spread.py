"""How far a count may be off: what the look itself leaves in doubt, what no look knows, and the likelihood they give.

Three doubts are measured in each look, so that a weak or strange picture widens its own interval: the variance over
all cuts, the cars' worth of track that the network cannot decide, and how far cars and metres disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z90 = 1.6449  # standard normal quantile at 0.95: half of the 90 % interval in standard deviations
TERMS = ("own", "undecided", "apart", "share", "floor")  # of the interval, in the order of `design`


@dataclass(frozen=True, slots=True)
class Doubts:
    """What one look leaves in doubt, railcars."""

    variance: float = 0.0  # of the number of cars over all cuts
    undecided: float = 0.0  # cars that would fill the track that is neither clearly occupied nor clearly empty
    apart: float = 0.0  # between the count of cars and that from metres alone


def design(doubts: Doubts, railcars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each of `TERMS` is multiplied with to make the variance of a count, (counts, terms)."""
    n = np.asarray(railcars, dtype=np.float64)
    one = np.ones_like(n)
    own = [doubts.variance * one, doubts.undecided**2 * one, doubts.apart**2 * one]
    return np.stack([*own, n**2, one], axis=-1)


def spread_of(
    spread: Mapping[str, Sequence[float]], gsd_m: float, doubts: Doubts, railcars: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the standard deviation of counts of a look, (counts,) railcars.

    Parameters
    ----------
    spread : mapping
        From calibration scenes: `gsd_m`, and at each of these samplings the factor of each of `TERMS`.
    gsd_m : float
    doubts : Doubts
    railcars : array, (counts,)
    """
    terms = np.array([float(np.interp(gsd_m, spread["gsd_m"], spread[name])) for name in TERMS])
    return np.asarray(np.sqrt(design(doubts, railcars) @ terms))


def likelihood(railcars: float, spreads: NDArray[np.float64], unseen: float) -> tuple[float, ...]:
    """Return P(look | n) for n = 0..len(spreads)-1, scaled to a maximum of 1.

    Normal with the spread at each n, and flat over the cars that may stand where the look did not see; a floor of
    1e-6 keeps a single odd look from ruling a number out for ever.
    """
    n = np.arange(len(spreads), dtype=np.float64)
    off = railcars - n
    off = np.where(off < 0, np.minimum(off + unseen, 0.0), off)
    log = -0.5 * (off / spreads) ** 2
    out = np.maximum(np.exp(log - log.max()), 1e-6)
    return tuple(float(f"{value:.6g}") for value in out)
