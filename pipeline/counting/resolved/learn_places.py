"""The training of the small network that finds the rails (`places`). Needs the extra `train` (jax, optax)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.inputs import COLUMNS
from pipeline.counting.resolved.lessons import SPARE, Lesson
from pipeline.counting.resolved.places import EVERY, SHIFTS, Array, initial, place, profiles
from pipeline.counting.resolved.plan import Say
from pipeline.counting.resolved.strips import STEP_M

ASKED = 24  # stations of a track, at most
SIZE = 512  # of a batch
RATE = 2e-3
WIDTH = 96


def examples(lessons: Sequence[Lesson], rng: np.random.Generator) -> tuple[Array, Array]:
    """Return profiles of real tracks shifted to any place, and where their rails lie then, in half metres."""
    xs, ys = [], []
    for lesson in lessons:
        for row in lesson.rows:
            if not row.real or not row.covered.any():
                continue
            columns = int(rng.integers(-SHIFTS, SHIFTS + 1))
            window = slice(SPARE + columns, SPARE + columns + COLUMNS)
            grey, seen = row.values[:, window, 0].astype(np.float32), row.seen[:, window]
            rails = row.rails_m / STEP_M - columns
            if rng.random() < 0.5:
                grey, seen, rails = grey[:, ::-1], seen[:, ::-1], -rails
            usable = row.covered & (np.abs(rails) <= SHIFTS)
            keep = np.flatnonzero(usable[::EVERY])
            keep = rng.permutation(keep)[:ASKED]
            xs.append(profiles(grey, seen)[keep].astype(np.float16))
            ys.append(rails[::EVERY][keep])
    return np.concatenate(xs), np.concatenate(ys).astype(np.float32)


def learn_places(lessons: Sequence[Lesson], epochs: int, seed: int, say: Say) -> dict[str, Array]:
    """Train the network of `places`.

    Parameters
    ----------
    lessons : sequence of Lesson
    epochs : int
        Passes, each with shifts of its own.
    seed : int
    say : callable
        Told how far it is.

    Raises
    ------
    ImportError
        Without the extra `train`.
    """
    import jax
    import jax.numpy as jnp
    import optax

    rng = np.random.default_rng([seed, 78])
    params: Any = {name: jnp.asarray(value) for name, value in initial(rng, WIDTH).items()}
    first = examples(lessons, rng)
    steps = epochs * max(len(first[0]) // SIZE, 1)
    adam = optax.adamw(optax.cosine_decay_schedule(RATE, steps), weight_decay=1e-4)

    def loss(params: Any, x: Any, y: Any) -> Any:
        log = jax.nn.log_softmax(place(params, x, jnp))
        near = jnp.maximum(1 - jnp.abs(y[:, None] - jnp.arange(-SHIFTS, SHIFTS + 1)), 0)
        return -(near * log).sum(axis=1).mean()

    def one(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, slope = jax.value_and_grad(loss)(params, x, y)
        change, state = adam.update(slope, state, params)
        return optax.apply_updates(params, change), state, value

    step, state = jax.jit(one), adam.init(params)
    for epoch in range(epochs):
        x, y = first if epoch == 0 else examples(lessons, rng)
        order: NDArray[np.int64] = rng.permutation(len(x))
        told = []
        for begin in range(0, max(len(x) - SIZE, 0) + 1, SIZE):
            pick = order[begin : begin + SIZE]
            params, state, value = step(params, state, x[pick].astype(np.float32), y[pick])
            told.append(value)
        say(f"places, pass {epoch + 1}: {float(np.mean([float(v) for v in told])):.4f}")
    return {name: np.asarray(value) for name, value in params.items()}
