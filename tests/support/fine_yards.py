"""Yards for the figures of resolved counting, of shapes that training does not have, and how scenes are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from shapely.geometry import LineString, Polygon

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting import count_look
from pipeline.counting.resolved.score import match
from pipeline.model import Count, Look, Railcar, RailcarKind, Refusal, Site, Track
from pipeline.simulate.fine import FineScene, render_fine
from pipeline.simulate.fine_conditions import fair_conditions
from pipeline.simulate.yard import place_cars


def winding_tracks(rng: np.random.Generator, cars: int) -> tuple[Track, ...]:
    """Lay an S-bend with tracks that drift apart, a third to four fifths full with so many cars.

    Neither the arcs nor the ladders of the training scenes.
    """
    metres = cars * 14.6 / float(rng.uniform(0.33, 0.8)) + 120
    number = int(np.clip(rng.uniform(0.6, 1.4) * np.sqrt(metres / 60), 2, 11))
    length = float(np.clip(metres / number, 180, 900)) + 40
    x = np.linspace(-length / 2, length / 2, int(length / 4))
    bend = float(rng.uniform(6, 30)) * np.sin(
        2 * np.pi * x / length * float(rng.uniform(0.6, 1.1)) + rng.uniform(0, 6)
    )
    turn = float(rng.uniform(0, np.pi))
    spacing = np.cumsum(rng.uniform(4.7, 6.2, number))
    spread = 1 + float(rng.uniform(0.0, 0.25)) * (x / length + 0.5)
    tracks = []
    for index, offset in enumerate(spacing - spacing.mean()):
        y = bend + offset * spread
        points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)
        line = LineString(points + np.array([512_000.0, 4_698_000.0]))
        tracks.append(Track(f"t{index + 1:02d}", f"Track {index + 1}", line, "yard", provisional=False))
    return tuple(tracks)


def unseen_scene(seed: int, index: int, gsd_m: float, hard: str) -> FineScene:
    """Render one scene for the figures: 5 to 150 cars in an unseen yard."""
    rng = np.random.default_rng([seed, index])
    while True:
        wanted = int(rng.integers(5, 151))
        tracks = winding_tracks(rng, wanted)
        conditions = fair_conditions(rng, gsd_m, hard)
        try:
            cars = place_cars(tracks, wanted, rng, unseen_colours=conditions.unseen_colours)
        except ValueError:
            continue
        return render_fine(tracks, cars, conditions, rng)


@dataclass(frozen=True, slots=True)
class Judged:
    """One scene's truth and count."""

    true: int
    found: int
    low: float
    high: float
    pairs: int
    kinds: tuple[tuple[RailcarKind, RailcarKind], ...]  # (true, found) of the matched cars
    missed_kinds: tuple[RailcarKind, ...]
    flags: tuple[str, ...]
    refused: str = ""


def judge(look: Look, site: Site, truth: Sequence[tuple[Polygon, RailcarKind]]) -> Judged:
    """Count a look through the door of all methods and compare with the truth."""
    result: Count | Refusal = count_look(look, (), site, (), CountingSettings(), QualitySettings())
    if isinstance(result, Refusal):
        return Judged(len(truth), 0, 0, 0, 0, (), (), result.flags, result.detail)
    cars: tuple[Railcar, ...] = result.railcar_list
    matched = match([car.polygon for car in cars], [outline for outline, _ in truth])
    hit = {j for _, j in matched.pairs}
    return Judged(
        len(truth),
        round(result.railcars),
        result.low,
        result.high,
        len(matched.pairs),
        tuple((truth[j][1], cars[i].kind) for i, j in matched.pairs),
        tuple(kind for j, (_, kind) in enumerate(truth) if j not in hit),
        result.flags,
    )


def summary(rows: Sequence[Judged]) -> dict[str, float]:
    """Return MAPE, F1, kinds macro F1, bias, RMSE, coverage and the share refused."""
    told = [row for row in rows if not row.refused]
    if not told:
        return {"scenes": len(rows), "refused": len(rows)}
    error = np.array([row.found - row.true for row in told], dtype=float)
    true = np.array([max(row.true, 1) for row in told], dtype=float)
    pairs = sum(row.pairs for row in told)
    f1 = 2 * pairs / max(sum(row.true + row.found for row in told), 1)
    both = [pair for row in told for pair in row.kinds]
    scores = []
    for kind in sorted({a for a, _ in both}, key=str):
        hits = sum(a is kind and b is kind for a, b in both)
        scores.append(2 * hits / (sum(a is kind for a, _ in both) + sum(b is kind for _, b in both)))
    covered = [row.low - 1e-9 <= row.true <= row.high + 1e-9 for row in told]
    return {
        "scenes": len(rows),
        "refused": len(rows) - len(told),
        "cars": float(sum(row.true for row in told)),
        "mape": float((np.abs(error) / true).mean()),
        "mae": float(np.abs(error).mean()),
        "bias": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "f1": f1,
        "kinds": float(np.mean(scores)) if scores else float("nan"),
        "coverage": float(np.mean(covered)),
        "width": float(np.mean([row.high - row.low for row in told])),
        "disagree": float(np.mean(["METHODS_DISAGREE" in row.flags for row in told])),
    }


def true_cars(scene: FineScene) -> list[tuple[Polygon, RailcarKind]]:
    """Return the truth of a simulated scene."""
    return [(car.railcar.polygon, car.railcar.kind) for car in scene.cars]
