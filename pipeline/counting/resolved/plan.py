"""What is taught from: the plan of each range of ground sampling, and the yards that it draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.counting.resolved.lessons import Draw, Lesson, draw_scenes, lesson
from pipeline.simulate.fine import FineScene
from pipeline.simulate.fine_conditions import draw_conditions, other_conditions, usual_conditions

Say = Callable[[str], None]
LARGE = 0.25  # share of the training yards that are large
LARGE_AFTER = 0.6  # of those that set weights and intervals: most real yards are
USUAL, OTHER = 0.6, 0.12  # shares of the calibration yards under the conditions of most images, and under others
VIEWS = 2  # sensors that see each yard
TRAINING, TUNING, CALIBRATION, OTHERS = 1, 2, 3, 4  # parts of a plan; they share no yard


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast the network learns."""

    steps: int
    width: int = 64
    rate: float = 2.5e-3
    decay: float = 1e-4


@dataclass(frozen=True, slots=True)
class Plan:
    """How one range of ground sampling is taught."""

    name: str  # a word of `artifact.RANGES`
    gsd_m: tuple[float, float]  # drawn evenly in its logarithm
    yards: int  # for training, each seen by `VIEWS` sensors
    others: int  # yards under other conditions, which the second network is taught besides
    tuning: int  # yards that set the weights of the cut
    calibration: int  # yards that set the intervals and the range that is known
    seed: int
    schedule: Schedule
    second: Schedule  # of the second network, which goes on from the first
    lean: float = 0.0  # share of `see.LEAN` that is added after tuning: metres are what is expected and need none
    passes: int = 5  # through the lessons, for the network that finds the rails


PLANS = (
    Plan("fine", (0.33, 1.65), 1500, 1000, 30, 180, 41, Schedule(5000), Schedule(5000, rate=1.5e-3), lean=1.0),
    Plan("medium", (1.4, 5.2), 600, 500, 20, 120, 43, Schedule(2500), Schedule(2500, rate=1.5e-3)),
)


def drawn(plan: Plan, part: int, index: int) -> tuple[list[FineScene], np.random.Generator]:
    """Draw one of the plan's yards, as its sensors see it, and the generator that goes on from it."""
    rng = np.random.default_rng([plan.seed, part, index])
    low, high = np.log(plan.gsd_m)
    samplings = [float(np.exp(rng.uniform(low, high))) for _ in range(VIEWS)]
    large = bool(rng.random() < (LARGE if part in (TRAINING, OTHERS) else LARGE_AFTER))
    return draw_scenes(rng, samplings, _conditions(part, rng), large=large), rng


def _conditions(part: int, rng: np.random.Generator) -> Draw:
    """Return what draws the conditions of a yard of a part."""
    if part == OTHERS:
        return other_conditions
    if part != CALIBRATION:
        return draw_conditions
    kind = rng.random()
    return usual_conditions if kind < USUAL else other_conditions if kind < USUAL + OTHER else draw_conditions


def lessons(plan: Plan, part: int, index: int) -> list[Lesson]:
    """Return the lessons of one yard of a part."""
    scenes, rng = drawn(plan, part, index)
    return [one for one in (lesson(scene, rng) for scene in scenes) if one is not None]
