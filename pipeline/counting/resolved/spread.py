"""How far a count may be off: what the look itself leaves in doubt, what no look knows, and the likelihood they give.

Doubts are measured in each look, so that a weak or strange picture widens its own interval: the variance over all
cuts, the cars' worth of track that the network cannot decide, and how far cars and metres disagree. Upwards there is
one more: where contrast is weak, cars are overlooked much more than invented, and then all cuts together expect more
cars than the likeliest one has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z90 = 1.6449  # standard normal quantile at 0.95: half of the 90 % interval in standard deviations
TERMS = ("own", "undecided", "apart", "share", "floor")  # of the interval, in the order of `design`
MISSED = "missed"  # the term upwards only, where cars are counted one by one


@dataclass(frozen=True, slots=True)
class Doubts:
    """What one look leaves in doubt, railcars."""

    variance: float = 0.0  # of the number of cars over all cuts
    undecided: float = 0.0  # cars that would fill the track that is neither clearly occupied nor clearly empty
    apart: float = 0.0  # between the count of cars and that from metres alone
    missed: float = 0.0  # that all cuts together expect beyond those of the likeliest


def design(doubts: Doubts, railcars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each of `TERMS` is multiplied with to make the variance of a count, (counts, terms)."""
    n = np.asarray(railcars, dtype=np.float64)
    one = np.ones_like(n)
    own = [doubts.variance * one, doubts.undecided**2 * one, doubts.apart**2 * one]
    return np.stack([*own, n**2, one], axis=-1)


def sides_of(
    spread: Mapping[str, Sequence[float]], gsd_m: float, doubts: Doubts, railcars: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the standard deviations of counts of a look downwards and upwards, (counts,) railcars each.

    Parameters
    ----------
    spread : mapping
        From calibration scenes: `gsd_m`, and at each of these samplings the factor of each of `TERMS` and `MISSED`.
    gsd_m : float
    doubts : Doubts
    railcars : array, (counts,)
    """
    terms = {
        name: float(np.interp(gsd_m, spread["gsd_m"], spread[name])) for name in (*TERMS, MISSED) if name in spread
    }
    missed = terms.pop(MISSED, 0.0)
    below = design(doubts, railcars) @ np.array(list(terms.values()))
    return np.sqrt(below), np.sqrt(below + missed * doubts.missed**2)


def likelihood(
    railcars: float, spreads: tuple[NDArray[np.float64], NDArray[np.float64]], unseen: float
) -> tuple[float, ...]:
    """Return P(look | n) for n = 0, 1, ..., scaled to a maximum of 1.

    Normal to either side with the spreads at each n (downwards, upwards), and flat over the cars that may stand where
    the look did not see; a floor of 1e-6 keeps a single odd look from ruling a number out for ever.
    """
    below, above = spreads
    n = np.arange(len(below), dtype=np.float64)
    off = railcars - n
    off = np.where(off < 0, np.minimum(off + unseen, 0.0), off)
    log = -0.5 * (off / np.where(off < 0, above, below)) ** 2
    out = np.maximum(np.exp(log - log.max()), 1e-6)
    return tuple(float(f"{value:.6g}") for value in out)
