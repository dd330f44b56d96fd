"""Training: simulated scenes become the classifiers, weights and intervals that the package carries.

The same seed, libraries and kind of processor give the same bytes: one thread, no clock, every draw from a seeded
generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from pipeline.counting.resolved.artifact import Model, write_model
from pipeline.counting.resolved.calibrate import calibrate, tune
from pipeline.counting.resolved.lessons import (
    KIND_ORDER,
    FirstLesson,
    RailLesson,
    SecondLesson,
    draw_scene,
    first_lesson,
    rail_lesson,
    second_lesson,
)
from pipeline.counting.resolved.segment import Weights
from pipeline.counting.resolved.trees import Trees, trees_from_sklearn
from pipeline.simulate.fine import FineScene

Say = Callable[[str], None]
SAMPLES = 220  # stations of a scene for each classifier
FIRST_SHARE = 0.3  # of the training scenes teaches the first look


@dataclass(frozen=True, slots=True)
class Plan:
    """How one range of ground sampling is taught."""

    name: str  # a word of `artifact.RANGES`
    gsd_m: tuple[float, float]  # drawn evenly in its logarithm
    scenes: int
    tuning: int  # scenes that set the weights of the cut
    calibration: int  # scenes that set the intervals and the range that is known
    seed: int
    iterations: int = 160
    leaves: int = 16


PLANS = (
    Plan("fine", (0.33, 1.65), 700, 30, 90, 41),
    Plan("medium", (1.4, 5.2), 300, 15, 50, 43),
)


def train(folder: Path, plans: tuple[Plan, ...] = PLANS, say: Say = lambda _line: None) -> list[Path]:
    """Teach every range and write the artifact.

    Parameters
    ----------
    folder : Path
        Receives `<range>.npz` and `<range>.json`, the card.
    plans : tuple of Plan
    say : callable
        Told how far it is, one line at a time.

    Returns
    -------
    list of Path
        The files of arrays.
    """
    written = []
    with threadpool_limits(limits=1):
        for plan in plans:
            parts, model, card = teach(plan, say)
            written.append(write_model(folder, plan.name, parts, card | _card(plan, model)))
            say(f"{plan.name}: {written[-1].stat().st_size / 1e6:.2f} MB")
    return written


def scene_sampling(plan: Plan, rng: np.random.Generator) -> float:
    """Draw a ground sampling of the plan's range, metres."""
    low, high = np.log(plan.gsd_m)
    return float(np.exp(rng.uniform(low, high)))


def teach(plan: Plan, say: Say) -> tuple[dict[str, Trees], Model, dict[str, Any]]:
    """Render scenes, fit the classifiers, set weights and intervals.

    The second look is taught on scenes that the first was not taught on, so that it sees the first's real errors.
    """
    split = round(plan.scenes * FIRST_SHARE)
    scenes = [drawn(plan, 1, index) for index in range(plan.scenes)]
    say(f"{plan.name}: {len(scenes)} scenes rendered")
    parts = fit_rails(plan, [rail_lesson(scene, rng) for scene, rng in scenes])
    parts |= fit_first(plan, [first_lesson(scene, rng, samples=SAMPLES) for scene, rng in scenes[:split]])
    say(f"{plan.name}: first look fitted")
    taught = [
        second_lesson(scene, rng, parts["centred"], parts["first"], samples=SAMPLES) for scene, rng in scenes[split:]
    ]
    seconds = [lesson for lesson in taught if lesson is not None]
    return finish(plan, parts, seconds, say)


def finish(
    plan: Plan, parts: dict[str, Trees], seconds: Sequence[SecondLesson], say: Say
) -> tuple[dict[str, Trees], Model, dict[str, Any]]:
    """Fit the second look, then set weights and intervals on scenes of their own."""
    parts = parts | fit_second(plan, seconds)
    prior = priors(seconds)
    say(f"{plan.name}: second look fitted")
    weights, trace = tune(Model(**parts, weights=Weights(), prior=prior, trained={}, spread={}), plan, say)
    model = Model(**parts, weights=weights, prior=prior, trained={}, spread={})
    spread, trained, figures = calibrate(model, plan, say)
    final = Model(**parts, weights=weights, prior=prior, trained=trained, spread=spread)
    return parts, final, {"calibration_figures": figures, "tuning": trace}


def drawn(plan: Plan, part: int, index: int) -> tuple[FineScene, np.random.Generator]:
    """Draw one of the plan's scenes and the generator that goes on from it; parts share no scene."""
    rng = np.random.default_rng([plan.seed, part, index])
    return draw_scene(rng, scene_sampling(plan, rng)), rng


def priors(lessons: Sequence[SecondLesson]) -> dict[str, float]:
    """Return the log-odds of a positive sample, of each classifier of the second look."""
    out = {}
    for name in ("occupied", "boundary"):
        share = float(np.concatenate([getattr(lesson, f"{name}_y") for lesson in lessons]).mean())
        out[name] = round(float(np.log(share / (1 - share))), 4)
    return out


def _common(plan: Plan) -> dict[str, Any]:
    return {
        "max_iter": plan.iterations,
        "max_leaf_nodes": plan.leaves,
        "learning_rate": 0.1,
        "early_stopping": False,
        "random_state": plan.seed,
        # Stations of one scene are alike: large leaves and few features for each split hold it to what scenes share.
        "min_samples_leaf": 100,
        "l2_regularization": 5.0,
        "max_features": 0.3,
    }


def _stack(lessons: Sequence[object], name: str) -> NDArray[Any]:
    parts = [getattr(lesson, name) for lesson in lessons]
    return np.concatenate([part for part in parts if len(part)])


def fit_rails(plan: Plan, lessons: Sequence[RailLesson]) -> dict[str, Trees]:
    """Fit whether a station is centred on rails."""
    centred = HistGradientBoostingClassifier(**_common(plan))
    centred.fit(_stack(lessons, "centred_x"), _stack(lessons, "centred_y"))
    return {"centred": trees_from_sklearn(centred)}


def fit_first(plan: Plan, lessons: Sequence[FirstLesson]) -> dict[str, Trees]:
    """Fit occupied track at first sight."""
    first = HistGradientBoostingClassifier(**_common(plan) | {"max_iter": min(80, plan.iterations)})
    first.fit(_stack(lessons, "first_x"), _stack(lessons, "first_y"))
    return {"first": trees_from_sklearn(first)}


def fit_second(plan: Plan, lessons: Sequence[SecondLesson]) -> dict[str, Trees]:
    """Fit occupied track, cars' ends and kinds."""
    fitted = {}
    for name in ("occupied", "boundary"):
        classifier = HistGradientBoostingClassifier(**_common(plan))
        classifier.fit(_stack(lessons, f"{name}_x"), _stack(lessons, f"{name}_y"))
        fitted[name] = trees_from_sklearn(classifier)
    kinds = _stack(lessons, "kind_y")
    # Rare kinds count for more than their share, common ones for less.
    weight = (1.0 / np.sqrt(np.maximum(np.bincount(kinds, minlength=len(KIND_ORDER)), 1)))[kinds]
    kind = HistGradientBoostingClassifier(
        **_common(plan) | {"max_iter": min(70, plan.iterations), "max_leaf_nodes": 12, "min_samples_leaf": 20}
    )
    kind.fit(_stack(lessons, "kind_x"), kinds, sample_weight=weight / weight.mean())
    fitted["kind"] = trees_from_sklearn(kind)
    return fitted


def _card(plan: Plan, model: Model) -> dict[str, Any]:
    return {
        "name": plan.name,
        "what": "Gradient-boosted trees: occupied track, car ends, kinds and the place of the rails in fine images.",
        "made_by": "railwatch train",
        "gsd_m": list(plan.gsd_m),
        "scenes": {"training": plan.scenes, "tuning": plan.tuning, "calibration": plan.calibration},
        "seed": plan.seed,
        "libraries": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
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
