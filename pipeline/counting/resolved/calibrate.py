"""After the classifiers: weights of the cut, the range of looks that is known, and the interval's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon, box

from pipeline.counting.resolved.artifact import Model
from pipeline.counting.resolved.cars import railcars
from pipeline.counting.resolved.measure import measure
from pipeline.counting.resolved.plan import CALIBRATION, Plan, Say, drawn
from pipeline.counting.resolved.score import match
from pipeline.counting.resolved.see import Sight, see
from pipeline.counting.resolved.segment import Cut, Weights
from pipeline.counting.resolved.spread import spread_of
from pipeline.simulate.fine import FineScene, fine_look

KNOTS_M = {"fine": (0.35, 0.6, 1.0, 1.5), "medium": (1.6, 3.0, 5.0)}  # ground samplings at which intervals are set
RANGES = ("ends", "noise", "unsure", "shift_m")  # figures that a known look keeps within those of calibration
MARGIN = 0.35  # by which the known range is wider than what calibration scenes showed
COVERAGE = 0.90


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A judged scene with its truth."""

    sight: Sight
    outlines: tuple[Polygon, ...]  # of the cars inside the image
    gsd_m: float


def cases(model: Model, plan: Plan, part: int, number: int) -> list[Case]:
    """Judge scenes that the classifiers were not taught on."""
    out = []
    for index in range(number):
        for scene in drawn(plan, part, index)[0]:
            case = judged(model, scene)
            if case is not None:
                out.append(case)
    return out


def judged(model: Model, scene: FineScene) -> Case | None:
    """Judge a scene; None when it shows no track, or nothing at all."""
    try:
        sight = see(fine_look(scene), scene.site.tracks, model)
    except ValueError:
        return None
    return None if sight is None else Case(sight, true_outlines(scene), scene.grid.gsd_m)


def true_outlines(scene: FineScene) -> tuple[Polygon, ...]:
    """Return the outlines of the true cars that the image shows whole."""
    grid = scene.grid
    corners = [grid.to_xy(c, r) for c, r in ((0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height))]
    frame = Polygon(corners) if len(corners) == 4 else box(*grid.bounds)
    return tuple(car.railcar.polygon for car in scene.cars if frame.contains(car.railcar.polygon))


def found_outlines(sight: Sight, cuts: tuple[Cut, ...]) -> list[Polygon]:
    """Return the outlines of a sight's cars as a count holds them."""
    return [car.polygon for car, _ in railcars(sight, cuts)]


def tune(known: Sequence[Case], plan: Plan, say: Say) -> tuple[Weights, list[str]]:
    """Search the weights of the cut, one after the other, on scenes of their own."""

    def loss(weights: Weights) -> float:
        total = 0.0
        for case in known:
            found = found_outlines(case.sight, case.sight.cut(weights))
            matched = match(found, case.outlines)
            total += 1 - matched.f1 + min(abs(matched.found - matched.true) / max(matched.true, 10), 1.0)
        return total / len(known)

    best = Weights()
    lowest = loss(best)
    trace = [f"{best}: {lowest:.4f}"]
    for _ in range(2):
        for name in ("occupied", "boundary", "entry"):
            for factor in (0.6, 0.8, 1.25, 1.6):
                trial = replace(best, **{name: round(getattr(best, name) * factor, 4)})
                value = loss(trial)
                if value < lowest - 1e-6:
                    best, lowest = trial, value
                    trace.append(f"{best}: {lowest:.4f}")
    say(f"{plan.name}: {trace[-1]}")
    return best, trace


def calibrate(
    model: Model, odd: Sequence[Case], plan: Plan, say: Say
) -> tuple[dict[str, list[float]], dict[str, tuple[float, float]], dict[str, float]]:
    """Set the interval's terms on scenes of their own, and the known range on these and others.

    Parameters
    ----------
    model : Model
        With its weights set.
    odd : sequence of Case
        Scenes of the tuning part, under any conditions: they widen the known range.
    plan : Plan
    say : callable

    Returns
    -------
    spread : dict
        For `spread.spread_of`.
    trained : dict
        Figure to its lowest and highest known value.
    figures : dict
        How well the calibration scenes were counted, for the card.
    """
    known = cases(model, plan, CALIBRATION, plan.calibration)
    rows, figures = [], []
    for case in known:
        measured = measure(case.sight, case.sight.cut(model.weights))
        found = measured.number(railcars(case.sight, measured.cuts), by_metres=plan.name == "medium")
        rows.append((case.gsd_m, float(len(case.outlines)), float(found), measured.variance))
        figures.append(measured.figures())
    table = np.array(rows)
    spread = _spread(table, KNOTS_M[plan.name])
    figures += [measure(case.sight, case.sight.cut(model.weights)).figures() for case in odd]
    trained = {}
    for name in RANGES:
        values = np.array([figure[name] for figure in figures])
        low, high = float(values.min()), float(values.max())
        room = MARGIN * (high - low)
        trained[name] = (round(low - room, 4), round(high + room, 4))
    error = np.abs(table[:, 2] - table[:, 1])
    inside = [
        abs(found - true) <= 1.6449 * spread_of(spread, gsd, variance, found) for gsd, true, found, variance in table
    ]
    summary = {
        "mean_absolute_error": round(float(error.mean()), 3),
        "mape": round(float((error / np.maximum(table[:, 1], 5)).mean()), 4),
        "coverage": round(float(np.mean(inside)), 3),
    }
    say(f"{plan.name}: {summary}")
    return spread, trained, summary


def _spread(table: NDArray[np.float64], knots: tuple[float, ...]) -> dict[str, list[float]]:
    """Fit the interval's terms at each knot so that the wanted share of scenes near it is covered."""
    gsd, true, found, variance = table.T
    out: dict[str, list[float]] = {"gsd_m": list(knots), "own": [], "share": [], "floor": []}
    for knot in knots:
        weight = np.exp(-0.5 * (np.log(gsd / knot) / 0.35) ** 2)
        error = found - true
        # Weighted second moments split the error among the terms; the scale is then set by the coverage.
        design = np.stack([variance, found**2 / 100.0, np.full_like(found, 0.1)], axis=1)
        capped = np.minimum(error**2, np.quantile(error**2, 0.97))
        terms = _positive_fit(design * np.sqrt(weight)[:, None], capped * np.sqrt(weight))
        terms = np.maximum(terms, [0.2, 0.002, 0.05])
        sd = np.sqrt(design @ terms)
        ratio = np.abs(error) / sd
        order = np.argsort(ratio)
        reached = np.cumsum(weight[order]) / weight.sum()
        scale = float(ratio[order][np.searchsorted(reached, COVERAGE)] / 1.6449)
        scale = max(scale, 0.3)
        out["own"].append(round(float(terms[0]) * scale**2, 5))
        out["share"].append(round(float(np.sqrt(terms[1] / 100.0)) * scale, 5))
        out["floor"].append(round(float(np.sqrt(terms[2] * 0.1)) * scale, 5))
    return out


def _positive_fit(design: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import nnls

    solution, _rest = nnls(design, wanted)
    return np.asarray(solution)
