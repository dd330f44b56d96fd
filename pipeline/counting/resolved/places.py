"""Where across a strip the rails lie, from half a metre to the right to the left: a small network on local profiles.

What tells is the mean profile of brightness across the track and that of its changes, over a few metres and over
two cars' lengths. Two hidden layers read the place from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from pipeline.counting.resolved.inputs import COLUMNS, edges
from pipeline.counting.resolved.strips import STEP_M

SHIFTS = 5  # half metres to either side at which the rails may lie
EVERY = 4  # stations between those that are asked: neighbours see the same
WINDOWS_M = (5.0, 25.0)
INPUTS = len(WINDOWS_M) * (2 * COLUMNS - 1)

Array = NDArray[np.float32]
Params = Mapping[str, Array]


def profiles(grey: Array, seen: NDArray[np.bool_]) -> Array:
    """Return the local profiles at every `EVERY`-th station, (asked, INPUTS), float32.

    Parameters
    ----------
    grey : array, (stations, COLUMNS)
        0 where not seen.
    seen : array, (stations, COLUMNS), bool
    """
    across = edges(grey, seen)[:, : COLUMNS - 1]
    parts = []
    for metres in WINDOWS_M:
        size = round(metres / STEP_M) // 2 * 2 + 1
        level = uniform_filter1d(grey, size, axis=0, mode="nearest")[::EVERY]
        level = level - level.mean(axis=1, keepdims=True)
        parts.append(level / np.maximum(level.std(axis=1, keepdims=True), 0.02))
        change = uniform_filter1d(across, size, axis=0, mode="nearest")[::EVERY]
        parts.append(2 * change / np.maximum(change.mean(axis=1, keepdims=True), 0.005) - 2)
    out: Array = np.clip(np.concatenate(parts, axis=1), -6, 6).astype(np.float32)
    return out


def place(params: Params, x: Any, xp: Any = np) -> Any:
    """Return unnormalised log-probabilities of the rails' place, (asked, 2 SHIFTS + 1), from right to left."""
    h = xp.maximum(x @ params["first"] + params["first_bias"], 0)
    h = xp.maximum(h @ params["second"] + params["second_bias"], 0)
    return h @ params["third"] + params["third_bias"]


def initial(rng: np.random.Generator, width: int) -> dict[str, Array]:
    """Draw the parameters from which training begins."""
    sizes = (INPUTS, width, width // 2, 2 * SHIFTS + 1)
    out: dict[str, Array] = {}
    for name, rows, columns in zip(("first", "second", "third"), sizes[:-1], sizes[1:], strict=True):
        out[name] = (rng.standard_normal((rows, columns)) * np.sqrt(2.0 / rows)).astype(np.float32)
        out[f"{name}_bias"] = np.zeros(columns, dtype=np.float32)
    return out
