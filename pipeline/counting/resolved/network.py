"""The network that judges unrolled tracks: convolutions along the track, and what the whole look has in common.

Two stations of half a metre make one cell. A cell's input is what lies across the track there (`inputs.cells`);
dilated residual convolutions look 60 m up and down the track. Twice the look is pooled over all of its tracks by a
few learnt attentions (one may gather empty track, another cars), and what they gather scales and shifts the features
of every cell: "unlike this yard's empty track" is learnt in context (FiLM, Perez et al. 2018, arXiv 1709.07871).

The same code runs on numpy (counting) and on jax.numpy (training).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model import RailcarKind

KIND_ORDER = tuple(sorted((kind for kind in RailcarKind if kind is not RailcarKind.UNKNOWN), key=str))
DILATIONS = (1, 2, 4, 8, 16, 1, 2, 4, 8, 16)  # of the residual blocks, cells
GAP = max(DILATIONS)  # empty cells between tracks, over which no convolution reaches
CONTEXT_AFTER = (3, 7)  # blocks after which the look is pooled
HEADS, POOLED = 6, 24  # attentions, and features that each gathers
HIDDEN = 64  # of the layer from pooled features to scale and shift
OF_STATION = 2 + len(KIND_ORDER)  # outputs for each station: occupied, boundary, kinds
OUTPUTS = 2 * OF_STATION

Array = NDArray[np.float32]
Params = Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the network says of a run of cells."""

    occupied: Any  # (stations,) log-odds
    boundary: Any  # (stations,) log-odds of a car's end
    kind: Any  # (stations, kinds) unnormalised log-probabilities, in `KIND_ORDER`


def _convolve(x: Any, w: Any, dilation: int, xp: Any) -> Any:
    """Convolve along cells with three taps, zeros beyond the ends: (cells, in) to (cells, out)."""
    d = min(dilation, len(x))
    before = xp.pad((x @ w[0])[: len(x) - d], ((d, 0), (0, 0)))
    after = xp.pad((x @ w[2])[d:], ((0, d), (0, 0)))
    return before + x @ w[1] + after


def _normalised(h: Any, gain: Any, xp: Any) -> Any:
    """Scale features to a mean square of one at each cell."""
    return h * (gain / xp.sqrt((h * h).mean(axis=-1, keepdims=True) + 1e-5))


def judge(params: Params, x: Any, valid: Any, look: Any, xp: Any = np) -> Judgement:
    """Run the network over tracks laid end to end, at least `GAP` empty cells between one and the next.

    Parameters
    ----------
    params : mapping
        Arrays as `initial` names them.
    x : array, (cells, inputs), float32
        From `inputs.cells`.
    valid : array, (cells,), float32
        1 where a cell is seen, 0 where it is not or lies between tracks.
    look : array, (looks, cells), float32
        1 where a cell belongs to a look.
    xp : module
        numpy, or jax.numpy.
    """
    v = valid[:, None]
    p = params
    h = xp.maximum(_convolve(x * v, p["stem"], 1, xp) + p["stem_bias"], 0) @ p["stem_mix"]
    for index, dilation in enumerate(DILATIONS):
        z = _convolve(_normalised(h, p[f"gain{index}"], xp) * v, p[f"wide{index}"], dilation, xp)
        z = xp.maximum(z + p[f"wide_bias{index}"], 0)
        h = h + z @ p[f"mix{index}"]
        if index in CONTEXT_AFTER:
            h = _in_context(p, h, v, look, index, xp)
    out = _normalised(h, p["gain_out"], xp) @ p["out"] + p["out_bias"]
    stations = out.reshape(2 * len(x), OF_STATION)
    return Judgement(stations[:, 0], stations[:, 1], stations[:, 2:])


def _in_context(p: Params, h: Any, v: Any, look: Any, index: int, xp: Any) -> Any:
    count, width = h.shape
    q = _normalised(h, p[f"gain_context{index}"], xp)
    attention = xp.exp(4 * xp.tanh(q @ p[f"ask{index}"])) * v
    told = q @ p[f"gather{index}"]
    each = (attention[:, :, None] * told[:, None, :]).reshape(count, HEADS * POOLED)
    weight = look @ attention  # (looks, heads)
    common = (look @ each).reshape(-1, HEADS, POOLED) / (weight[..., None] + 1e-3)
    z = xp.maximum(common.reshape(-1, HEADS * POOLED) @ p[f"context{index}"] + p[f"context_bias{index}"], 0)
    film = look.T @ (z @ p[f"film{index}"])
    return h * (1 + film[:, :width]) + film[:, width:]


def initial(inputs: int, width: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw the parameters from which training begins.

    Parameters
    ----------
    inputs : int
        Of a cell, see `inputs.INPUTS`.
    width : int
        Features of a cell.
    rng : numpy.random.Generator
    """

    def normal(*shape: int, scale: float = 1.0) -> Array:
        fan = int(np.prod(shape[:-1]))
        drawn: Array = (rng.standard_normal(shape) * scale * np.sqrt(1.0 / fan)).astype(np.float32)
        return drawn

    def zeros(*shape: int) -> Array:
        return np.zeros(shape, dtype=np.float32)

    p: dict[str, Array] = {"stem": normal(3, inputs, width, scale=1.4), "stem_bias": zeros(width)}
    p["stem_mix"] = normal(width, width)
    for index in range(len(DILATIONS)):
        p[f"gain{index}"] = np.ones(width, np.float32)
        p[f"wide{index}"] = normal(3, width, width, scale=1.4)
        p[f"wide_bias{index}"] = zeros(width)
        p[f"mix{index}"] = normal(width, width, scale=0.5)
        if index in CONTEXT_AFTER:
            p[f"gain_context{index}"] = np.ones(width, np.float32)
            p[f"ask{index}"] = normal(width, HEADS, scale=0.5)
            p[f"gather{index}"] = normal(width, POOLED)
            p[f"context{index}"] = normal(HEADS * POOLED, HIDDEN)
            p[f"context_bias{index}"] = zeros(HIDDEN)
            p[f"film{index}"] = zeros(HIDDEN, 2 * width)
    p["gain_out"] = np.ones(width, np.float32)
    p["out"] = normal(width, OUTPUTS, scale=0.3)
    p["out_bias"] = zeros(OUTPUTS)
    return p
