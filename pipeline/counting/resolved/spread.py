"""How far a count may be off: a term of the look's own doubt, one of the condition, and the likelihood they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def spread_of(spread: Mapping[str, Sequence[float]], gsd_m: float, variance: float, railcars: float) -> float:
    """Return the standard deviation of a count, railcars.

    Parameters
    ----------
    spread : mapping
        From calibration scenes: `gsd_m`, and at each of these samplings `own` (factor on the variance over cuts),
        `share` (relative error that no look knows of itself) and `floor` (railcars).
    gsd_m : float
    variance : float
        Of the number of cars over all cuts.
    railcars : float
    """
    own, share, floor = (float(np.interp(gsd_m, spread["gsd_m"], spread[name])) for name in ("own", "share", "floor"))
    return float(np.sqrt(own * variance + (share * railcars) ** 2 + floor**2))


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
