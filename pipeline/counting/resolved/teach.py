"""Training: simulated scenes become the classifiers, weights and intervals that the package carries.

The same seed, libraries and kind of processor give the same bytes: one thread, no clock, every draw from a seeded
generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from pipeline.counting.resolved.artifact import Model, write_model
from pipeline.counting.resolved.calibrate import calibrate, tune
from pipeline.counting.resolved.lessons import KIND_ORDER, Lesson, draw_scene, make_lesson
from pipeline.counting.resolved.segment import Weights
from pipeline.counting.resolved.trees import Trees, trees_from_sklearn

Say = Callable[[str], None]
Floats = NDArray[np.float32]


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
    leaves: int = 24


PLANS = (
    Plan("fine", (0.28, 1.65), 260, 40, 120, 41),
    Plan("medium", (1.4, 5.2), 160, 30, 80, 43),
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
    """Render scenes, fit the classifiers, set weights and intervals."""
    lessons: list[Lesson] = []
    for index in range(plan.scenes):
        rng = np.random.default_rng([plan.seed, 1, index])
        lessons.append(make_lesson(draw_scene(rng, scene_sampling(plan, rng)), rng, samples=700))
        if index % 50 == 49:
            say(f"{plan.name}: {index + 1} of {plan.scenes} scenes rendered")
    parts = _fit(plan, lessons)
    share = {
        "occupied": np.concatenate([lesson.occupied_y for lesson in lessons]).mean(),
        "boundary": np.concatenate([lesson.boundary_y for lesson in lessons]).mean(),
    }
    prior = {name: round(float(np.log(p / (1 - p))), 4) for name, p in share.items()}
    draft = Model(**parts, weights=Weights(), prior=prior, trained={}, spread={})
    say(f"{plan.name}: classifiers fitted")
    weights, trace = tune(draft, plan, say)
    model = Model(**parts, weights=weights, prior=prior, trained={}, spread={})
    spread, trained, figures = calibrate(model, plan, say)
    final = Model(**parts, weights=weights, prior=prior, trained=trained, spread=spread)
    return parts, final, {"calibration_figures": figures, "tuning": trace}


def _fit(plan: Plan, lessons: list[Lesson]) -> dict[str, Trees]:
    def stack(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(lesson, name) for lesson in lessons if len(getattr(lesson, name))])

    common: dict[str, Any] = {
        "max_iter": plan.iterations,
        "max_leaf_nodes": plan.leaves,
        "learning_rate": 0.1,
        "early_stopping": False,
        "random_state": plan.seed,
        "min_samples_leaf": 30,
        "l2_regularization": 1.0,
    }
    lateral = HistGradientBoostingRegressor(**common | {"max_iter": 100})
    lateral.fit(stack("lateral_x"), stack("lateral_y"))
    fitted = {"lateral": trees_from_sklearn(lateral)}
    for name in ("occupied", "boundary"):
        classifier = HistGradientBoostingClassifier(**common)
        classifier.fit(stack(f"{name}_x"), stack(f"{name}_y"))
        fitted[name] = trees_from_sklearn(classifier)
    kinds = stack("kind_y")
    number = np.bincount(kinds, minlength=len(KIND_ORDER))
    weight = (1.0 / np.sqrt(np.maximum(number, 1)))[kinds]
    kind = HistGradientBoostingClassifier(**common | {"max_iter": 70, "max_leaf_nodes": 12, "min_samples_leaf": 20})
    kind.fit(stack("kind_x"), kinds, sample_weight=weight / weight.mean())
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
