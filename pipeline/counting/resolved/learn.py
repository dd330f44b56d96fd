"""The network's training: what is asked of it, and the steps that answer. Needs the extra `train` (jax, optax)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.batches import batches
from pipeline.counting.resolved.inputs import INPUTS
from pipeline.counting.resolved.lessons import Lesson
from pipeline.counting.resolved.network import KIND_ORDER, Array, initial, judge
from pipeline.counting.resolved.plan import Say, Schedule

SMOOTH = 0.01  # of the answers: no station is beyond doubt
SHARES = {"occupied": 1.0, "boundary": 1.0, "kind": 0.35}  # of each question in the loss
FORGET = 0.998  # of the running mean of the parameters, a step


def kind_shares(lessons: Sequence[Lesson]) -> NDArray[np.float64]:
    """Return the weight of each kind in the loss: rare kinds count for more than their share."""
    seen = np.zeros(len(KIND_ORDER))
    for lesson in lessons:
        for row in lesson.rows:
            seen += np.bincount(row.kind[row.kind >= 0], minlength=len(KIND_ORDER))
    weight = 1.0 / np.sqrt(np.maximum(seen, max(seen.sum(), 1) * 1e-3))
    return np.asarray(weight * seen.sum() / max(float((weight * seen).sum()), 1e-9))


def learn(
    passes: Iterable[Sequence[Lesson]], schedule: Schedule, seed: int, say: Say, start: dict[str, Array] | None = None
) -> dict[str, Array]:
    """Train a network; the running mean of its parameters is returned.

    Parameters
    ----------
    passes : iterable of sequences of Lesson
        What each pass goes through, as long as it is asked; kinds are weighted as in the first.
    schedule : Schedule
    seed : int
    say : callable
        Told how far it is.
    start : dict, optional
        Parameters to go on from; without them they are drawn.

    Raises
    ------
    ImportError
        Without the extra `train`.
    """
    # One thread, so that sums have one order: read when the library first starts.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    import jax
    import jax.numpy as jnp
    import optax

    rng = np.random.default_rng([seed, 77])
    begin = initial(INPUTS, schedule.width, rng) if start is None else start
    params: Any = {name: jnp.asarray(value) for name, value in begin.items()}
    rate = optax.warmup_cosine_decay_schedule(
        0.0, schedule.rate, min(200, schedule.steps // 5 + 1), schedule.steps, schedule.rate / 50
    )
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.99, weight_decay=schedule.decay))

    def one(params: Any, mean: Any, state: Any, keep: Any, batch: Any) -> Any:
        (_, parts), slope = jax.value_and_grad(_loss, has_aux=True)(params, batch, jnp)
        change, state = adam.update(slope, state, params)
        params = optax.apply_updates(params, change)
        mean = jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, mean, params)
        return params, mean, state, parts

    step = jax.jit(one)

    mean, state = params, adam.init(params)
    done, told, weight = 0, [], None
    for taught in passes:
        weight = kind_shares(taught) if weight is None else weight
        for batch in batches(taught, rng, weight):
            keep = min(FORGET, (1 + done) / (10 + done))
            given = {field.name: getattr(batch, field.name) for field in fields(batch)}
            params, mean, state, parts = step(params, mean, state, keep, given)
            told.append(parts)
            done += 1
            if done % 100 == 0 or done == schedule.steps:
                values = {name: float(np.mean([float(one[name]) for one in told])) for name in told[0]}
                told = []
                say(f"step {done}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()))
            if done == schedule.steps:
                break
        if done == schedule.steps:
            break
    return {name: np.asarray(value) for name, value in mean.items()}


def _loss(params: Any, batch: dict[str, Any], xp: Any) -> tuple[Any, dict[str, Any]]:
    judged = judge(params, batch["x"], batch["valid"], batch["look"], xp)

    def binary(logit: Any, answer: Any, weight: Any) -> Any:
        answer = answer * (1 - 2 * SMOOTH) + SMOOTH
        each = xp.logaddexp(0.0, logit) - answer * logit
        return (each * weight).sum() / (weight.sum() + 1)

    def log_softmax(z: Any) -> Any:
        z = z - z.max(axis=-1, keepdims=True)
        return z - xp.log(xp.exp(z).sum(axis=-1, keepdims=True))

    chosen = xp.take_along_axis(log_softmax(judged.kind), batch["kind"][..., None], axis=-1)[..., 0]
    parts = {
        "occupied": binary(judged.occupied, batch["occupied"], batch["occupied_weight"]),
        "boundary": binary(judged.boundary, batch["boundary"], batch["boundary_weight"]),
        "kind": -(chosen * batch["kind_weight"]).sum() / (batch["kind_weight"].sum() + 1),
    }
    return sum(SHARES[name] * value for name, value in parts.items()), parts
