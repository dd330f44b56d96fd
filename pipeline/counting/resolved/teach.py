"""Training: simulated scenes become the network, weights and intervals that the package carries.

The same seed, libraries and kind of processor give the same bytes: one thread, no clock, every draw from a seeded
generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.counting.resolved.artifact import Model, rounded, write_model
from pipeline.counting.resolved.batches import END_M
from pipeline.counting.resolved.calibrate import calibrate, cases, tune
from pipeline.counting.resolved.learn import learn
from pipeline.counting.resolved.learn_places import learn_places
from pipeline.counting.resolved.lessons import Lesson
from pipeline.counting.resolved.network import KIND_ORDER, Array
from pipeline.counting.resolved.plan import OTHERS, PLANS, TRAINING, TUNING, VIEWS, Plan, Say, lessons
from pipeline.counting.resolved.segment import Weights

JOINING = 500  # yards that join between two passes: learning begins before all are rendered


def train(folder: Path, plans: Sequence[Plan] = PLANS, *, say: Say = lambda _line: None) -> list[Path]:
    """Teach every range and write its artifact.

    Parameters
    ----------
    folder : Path
        Receives `<range>.npz`, `<range>.json` and `<range>.md`, the card.
    plans : tuple of Plan
    say : callable
        Told how far it is, one line at a time.

    Returns
    -------
    list of Path
        The files of arrays.

    Raises
    ------
    ImportError
        Without the extra `train`.
    """
    written = []
    for plan in plans:
        taught: list[Lesson] = []
        with threadpool_limits(limits=1):
            network = rounded(learn(_passes(plan, taught, say), plan.schedule, plan.seed, say))
            places = rounded(learn_places(taught, plan.passes, plan.seed, say))
            first = priors(taught)
            # Goes on from the first, with yards besides that no rule of the first simulator made.
            second = rounded(learn(_more(plan, taught, say), plan.second, plan.seed + 1, say, network))
            params = {"network": network, "second": second, "places": places}
            last = priors(taught)
            prior = {name: round((first[name] + last[name]) / 2, 4) for name in first}
            _model, card = finish(plan, params, prior, len(taught), say)
        written.append(write_model(folder, plan.name, params, card))
        say(f"{plan.name}: {written[-1].stat().st_size / 1e6:.2f} MB")
    return written


def _passes(plan: Plan, taught: list[Lesson], say: Say) -> Iterator[Sequence[Lesson]]:
    """Render the training yards into `taught`, with a pass through what there is after every `JOINING` yards."""
    for index in range(plan.yards):
        taught += lessons(plan, TRAINING, index)
        if (index + 1) % JOINING == 0 or index + 1 == plan.yards:
            say(f"{plan.name}: {len(taught)} looks rendered")
            yield taught
    while True:
        yield taught


def _more(plan: Plan, taught: list[Lesson], say: Say) -> Iterator[Sequence[Lesson]]:
    """Add the yards under other conditions to those taught before, and go through them all again and again."""
    for index in range(plan.others):
        taught += lessons(plan, OTHERS, index)
    say(f"{plan.name}: {len(taught)} looks rendered")
    while True:
        yield taught


def priors(taught: Sequence[Lesson]) -> dict[str, float]:
    """Return the log-odds that a station stands under a car and that it is a car's end, over the lessons."""
    out = {}
    for name in ("occupied", "boundary"):
        hits = total = 0
        for row in (row for one in taught for row in one.rows):
            hit = row.inside if name == "occupied" else row.away <= END_M
            hits += int((hit & row.covered).sum())
            total += int(row.covered.sum())
        share = min(max(hits / max(total, 1), 1e-3), 1 - 1e-3)
        out[name] = round(float(np.log(share / (1 - share))), 4)
    return out


def finish(
    plan: Plan, params: dict[str, dict[str, Array]], prior: dict[str, float], looks: int, say: Say
) -> tuple[Model, dict[str, Any]]:
    """Set weights and intervals on scenes of their own; return the counter and its card."""
    networks = (params["network"], params["second"])
    start = Model(networks, params["places"], weights=Weights(), prior=prior, trained={}, lean=0.0, spread={})
    odd = cases(start, plan, TUNING, plan.tuning)
    weights, trace = tune(odd, plan, say)
    bare = replace(start, weights=weights, lean=plan.lean)
    spread, trained, figures = calibrate(bare, odd, plan, say)
    model = replace(bare, trained=trained, spread=spread)
    return model, _card(plan, model, looks) | {"calibration_figures": figures, "tuning": trace}


def _card(plan: Plan, model: Model, looks: int) -> dict[str, Any]:
    size = sum(int(value.size) for part in (*model.networks, model.places) for value in part.values())
    return ({"lean": model.lean} if model.lean else {}) | {
        "name": plan.name,
        "what": f"Two convolutional networks along unrolled tracks ({size} parameters with the one that finds the "
        "rails), whose answers are averaged: occupied track, car ends and kinds in fine images.",
        "made_by": "railwatch train",
        "gsd_m": list(plan.gsd_m),
        "scenes": {
            "training": looks,
            "other": plan.others * VIEWS,
            "tuning": plan.tuning * VIEWS,
            "calibration": plan.calibration * VIEWS,
        },
        "steps": [plan.schedule.steps, plan.second.steps],
        "seed": plan.seed,
        "libraries": {name: version(name) for name in ("numpy", "jax", "optax")},
        "kinds": [str(kind.value) for kind in KIND_ORDER],
        "prior": dict(model.prior),
        "weights": {
            "occupied": model.weights.occupied,
            "boundary": model.weights.boundary,
            "entry": model.weights.entry,
        },
        "trained": {name: list(limits) for name, limits in sorted(model.trained.items())},
        "spread": {name: list(values) for name, values in sorted(model.spread.items())},
        "limits": "Trained on simulated scenes alone; no freely licensed fine image with railcars was found.",
    }
