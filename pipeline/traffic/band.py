"""The baseline as an analyst reads it: what a look of this quality should state on a quiet day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.model import COUNT_MAX
from pipeline.traffic.engine import BAND_TAIL
from pipeline.traffic.family import family
from pipeline.traffic.likelihood import N
from pipeline.traffic.quiet import ErrorClass

FloatArray = NDArray[np.float64]

ONE_SIDED = 0.05  # an empty yard more probable than this: no number is too small, the band is 0 to the 90 % point
PIT_BINS = 10


@dataclass(frozen=True, eq=False)
class Prediction:
    """Distribution of the number that a look would state."""

    cdf: FloatArray  # (COUNT_MAX + 1,)
    low: float  # central 90 %, railcars
    high: float


def quiet_pmf(weights: NDArray[np.float32]) -> FloatArray:
    """Return P(n railcars), (COUNT_MAX + 1,), for node probabilities on the lattice, (NODES,)."""
    return np.asarray(weights.astype(np.float64) @ family().pmf)


def predict(pmf: FloatArray, kind: ErrorClass) -> Prediction:
    """Return the distribution of what a look of an error class would state, with its 90 % band."""
    cdf = np.minimum(np.cumsum(pmf @ _kernel(kind.sd) if kind.sd > 0 else pmf), 1.0)
    one_sided = cdf[0] > ONE_SIDED
    low = 0.0 if one_sided else _quantile(cdf, BAND_TAIL / 2.0)
    return Prediction(cdf, low, _quantile(cdf, 1.0 - (BAND_TAIL if one_sided else BAND_TAIL / 2.0)))


def pit_share(cdf: FloatArray, first: int, last: int) -> FloatArray:
    """Return how a look that states `first` to `last` railcars shares itself among the bins of a PIT histogram.

    The non-randomised histogram of Czado, Gneiting and Held (Biometrics 65, 2009) for discrete predictions.
    """
    below = float(cdf[first - 1]) if first > 0 else 0.0
    above = max(float(cdf[last]), below + 1e-9)
    edges = np.clip((np.linspace(0.0, 1.0, PIT_BINS + 1) - below) / (above - below), 0.0, 1.0)
    return np.diff(edges)


def _quantile(cdf: FloatArray, share: float) -> float:
    """Return a quantile of whole numbers, linear between them so that a band does not jump by whole cars."""
    at = int(np.searchsorted(cdf, share))
    if at == 0:
        return 0.0
    before = float(cdf[at - 1])
    step = float(cdf[min(at, COUNT_MAX)]) - before
    return float(min(at - 0.5 + (share - before) / max(step, 1e-12), COUNT_MAX))


@lru_cache(maxsize=32)
def _kernel(sd: float) -> FloatArray:
    """Return P(stated m | n), (COUNT_MAX + 1, COUNT_MAX + 1): normal, whole numbers, nothing below zero."""
    spread = np.maximum(ErrorClass(sd, 0).sd_at(N), 0.05)[:, None]
    out = np.exp(-0.5 * ((N[None, :] - N[:, None]) / spread) ** 2) + 0.0
    # What falls below zero is stated as zero.
    under = np.exp(-0.5 * ((-np.arange(1.0, 61.0)[None, :] - N[:, None]) / spread) ** 2).sum(axis=1)
    out[:, 0] += under
    return np.asarray(out / out.sum(axis=1, keepdims=True))
