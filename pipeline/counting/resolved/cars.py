"""Cuts become railcars: outlines in the ground's coordinates, kinds, scores, and no car twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.strtree import STRtree

from pipeline.counting.resolved.network import KIND_ORDER
from pipeline.counting.resolved.see import Seen, Sight
from pipeline.counting.resolved.segment import Cut
from pipeline.counting.resolved.shade import without_shadows
from pipeline.counting.resolved.strips import STEP_M, Strip, frame
from pipeline.model import Railcar, RailcarKind

COUPLING_M = 1.1  # between the bodies of two coupled cars (the project's SCIENCE.md)
WIDTH_M = 3.1  # of a body: 2.95 m (tank cars) to 3.15 m
KIND_CREDIT = 4.0  # votes of a car's stations on its kind that are worth a whole one
SAME_SHARE = 0.35  # two outlines that share more than this of the smaller one are one car on two lines
KNOWN_KIND = 0.3  # a kind less probable than this is called unknown

Scored = tuple[Railcar, NDArray[np.float64]]  # a car and its kind's probabilities, order of KIND_ORDER


def railcars(sight: Sight, cuts: Sequence[Cut]) -> list[Scored]:
    """Return every car of the cuts, sorted by track and position, each physical car once.

    Parameters
    ----------
    sight : Sight
    cuts : sequence of Cut
        One for each track of the sight.
    """
    cut_out = [(seen, a, b) for seen, cut in zip(sight.tracks, cuts, strict=True) for a, b in cut.cars]
    # Ends that look right must not make a car of track that is more likely empty: shadows have ends too.
    found = without_shadows([one for one in cut_out if _log_odds(*one) + sight.chance > 0])
    if not found:
        return []
    cars: list[Scored] = []
    for seen, a, b in found:
        chances = kind_chances(seen, a, b)
        best = int(np.argmax(chances))
        kind = KIND_ORDER[best] if chances[best] >= KNOWN_KIND else RailcarKind.UNKNOWN
        cars.append((_car(seen, a, b, kind), chances))
    return sorted(_once(cars), key=lambda pair: (pair[0].track_id, pair[0].position_m))


def kind_chances(seen: Seen, start_m: float, end_m: float) -> NDArray[np.float64]:
    """Return the probabilities of a car's kind, (kinds,), from the stations between its ends."""
    i, j = int((start_m + COUPLING_M) / STEP_M), int((end_m - COUPLING_M) / STEP_M)
    logits = KIND_CREDIT * seen.kind[i : max(j, i + 1)].mean(axis=0)
    chances = np.exp(logits - logits.max())
    return np.asarray(chances / chances.sum())


def _log_odds(seen: Seen, start_m: float, end_m: float) -> float:
    """Return the mean log-odds of standing under a car, relative to chance, between a car's ends."""
    i, j = int(start_m / STEP_M), max(int(end_m / STEP_M), int(start_m / STEP_M) + 1)
    return float(seen.occupied[i:j].mean())


def _car(seen: Seen, start_m: float, end_m: float, kind: RailcarKind) -> Railcar:
    strip = seen.tone.strip
    score = float(1.0 / (1.0 + np.exp(-np.clip(_log_odds(seen, start_m, end_m), -9, 9))))
    outline = body_outline(strip, start_m, end_m)
    return Railcar(outline, strip.track.track_id, (start_m + end_m) / 2, end_m - start_m, kind, round(score, 4))


def body_outline(strip: Strip, start_m: float, end_m: float) -> Polygon:
    """Return the rectangle of a car's body between two couplers, in the site's CRS.

    A car's ends ride on the track; its body is straight between them.
    """
    where = np.array([start_m + COUPLING_M / 2, end_m - COUPLING_M / 2])
    points, left = frame(strip.track, where)
    shift = np.interp(where, strip.stations, strip.offsets)
    ends = points + left * shift[:, None]
    along = ends[1] - ends[0]
    along = along / max(float(np.linalg.norm(along)), 1e-9)
    side = np.array([-along[1], along[0]]) * WIDTH_M / 2
    return Polygon([ends[0] - side, ends[1] - side, ends[1] + side, ends[0] + side])


def _once(cars: list[Scored]) -> list[Scored]:
    """Drop the weaker of two cars whose outlines lie over each other: two lines of the site that meet."""
    outlines = np.array([car.polygon for car, _ in cars], dtype=object)
    tree = STRtree(outlines)
    dropped: set[int] = set()
    for index in np.argsort([-car.score for car, _ in cars], kind="stable"):
        if int(index) in dropped:
            continue
        for other in tree.query(outlines[index], predicate="intersects"):
            if other == index or int(other) in dropped:
                continue
            shared = outlines[index].intersection(outlines[other]).area
            if shared > SAME_SHARE * min(outlines[index].area, outlines[other].area):
                dropped.add(int(other))
    return [car for index, car in enumerate(cars) if index not in dropped]
