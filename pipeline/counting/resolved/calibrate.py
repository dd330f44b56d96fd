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
from pipeline.counting.resolved.spread import MISSED, TERMS, Z90, Doubts, design, sides_of
from pipeline.simulate.fine import FineScene, fine_look

KNOTS_M = {"fine": (0.35, 0.6, 1.0, 1.5), "medium": (1.6, 3.0, 5.0)}  # ground samplings at which intervals are set
RANGES = ("ends", "noise", "unsure", "shift_m")  # figures that a known look keeps within those of calibration
MARGIN = 0.35  # by which the known range is wider than what calibration scenes showed
COVERAGE = 0.90
FREEDOM = 4.0  # of Student's t, by which errors are judged
# Of the interval, in the order of `spread.TERMS` with that upwards: no look is beyond doubt.
LEAST_TERMS, FIRST_TERMS = (0.2, 1e-4, 1e-4, 4e-6, 5e-3, 1e-3), (1.0, 0.05, 0.05, 3e-4, 0.05, 0.1)


@dataclass(frozen=True, slots=True)
class Row:
    """A counted calibration scene."""

    gsd_m: float
    true: float
    found: float
    doubts: Doubts


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
        For `spread.sides_of`.
    trained : dict
        Figure to its lowest and highest known value.
    figures : dict
        How well the calibration scenes were counted, for the card.
    """
    known = cases(model, plan, CALIBRATION, plan.calibration)
    rows, figures = [], []
    for case in known:
        measured = measure(case.sight, case.sight.cut(model.weights))
        by_metres = plan.name == "medium"
        cars = railcars(case.sight, measured.cuts)
        found = measured.number(cars, by_metres=by_metres)
        doubts = measured.doubts(cars, by_metres=by_metres)
        rows.append(Row(case.gsd_m, float(len(case.outlines)), found, doubts))
        figures.append(measured.figures())
    spread = fit_spread(rows, KNOTS_M[plan.name])
    figures += [measure(case.sight, case.sight.cut(model.weights)).figures() for case in odd]
    trained = {}
    for name in RANGES:
        values = np.array([figure[name] for figure in figures])
        low, high = float(values.min()), float(values.max())
        room = MARGIN * (high - low)
        trained[name] = (round(low - room, 4), round(high + room, 4))
    error = np.abs([row.found - row.true for row in rows])
    sds = [
        float(sides_of(spread, row.gsd_m, row.doubts, np.array([row.found]))[row.true > row.found][0]) for row in rows
    ]
    summary = {
        "mean_absolute_error": round(float(error.mean()), 3),
        "mape": round(float((error / np.maximum([row.true for row in rows], 5)).mean()), 4),
        "coverage": round(float((error <= Z90 * np.array(sds)).mean()), 3),
    }
    say(f"{plan.name}: {summary}")
    return spread, trained, summary


def fit_spread(rows: Sequence[Row], knots: tuple[float, ...]) -> dict[str, list[float]]:
    """Fit the interval's terms at each knot, so that the wanted share of the scenes near it is covered.

    Parameters
    ----------
    rows : sequence of Row
        Calibration scenes.
    knots : tuple of float
        Ground samplings, metres.

    Returns
    -------
    dict
        For `spread.sides_of`.
    """
    gsd = np.array([row.gsd_m for row in rows])
    error = np.array([row.found - row.true for row in rows])
    factors = np.stack([design(row.doubts, np.array([row.found]))[0] for row in rows])
    missed = np.array([row.doubts.missed**2 for row in rows])
    names = (*TERMS, MISSED) if missed.any() else TERMS
    out: dict[str, list[float]] = {"gsd_m": list(knots)} | {name: [] for name in names}
    for knot in knots:
        weight = np.exp(-0.5 * (np.log(gsd / knot) / 0.35) ** 2)
        terms = _likeliest(factors, missed, error, weight / weight.sum())
        below, above = _sides(factors, missed, terms)
        ratio = np.abs(error) / np.where(error < 0, above, below)
        order = np.argsort(ratio)
        reached = np.cumsum(weight[order]) / weight.sum()
        scale = max(float(ratio[order][np.searchsorted(reached, COVERAGE)]) / Z90, 0.3)
        for name, term in zip(names, terms * scale**2, strict=True):
            out[name].append(float(f"{term:.5g}"))
    return out


def _sides(
    factors: NDArray[np.float64], missed: NDArray[np.float64], terms: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the standard deviations downwards and upwards, (scenes,) each."""
    below = factors @ terms[: len(TERMS)]
    upwards = missed * terms[-1] if len(terms) > len(TERMS) else 0.0
    return np.sqrt(below), np.sqrt(below + upwards)


def _likeliest(
    factors: NDArray[np.float64], missed: NDArray[np.float64], error: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the positive terms under which the errors are likeliest, by Student's t so that no odd scene rules.

    Its two halves have the spreads downwards and upwards; what keeps their sum one is the mean of the two.
    """
    from scipy.optimize import minimize

    number = len(LEAST_TERMS) if missed.any() else len(TERMS)
    low = np.log(LEAST_TERMS[:number])

    def cost(logs: NDArray[np.float64]) -> float:
        below, above = _sides(factors, missed, np.exp(logs))
        tail = (FREEDOM + 1) / 2 * np.log1p((error / np.where(error < 0, above, below)) ** 2 / FREEDOM)
        return float((weight * (tail + np.log((below + above) / 2))).sum())

    found = minimize(cost, np.log(FIRST_TERMS[:number]), method="L-BFGS-B", bounds=[(a, 5.0) for a in low])
    return np.asarray(np.exp(np.round(found.x, 3)))
