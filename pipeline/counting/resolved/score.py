"""Found cars against true ones: matched outlines, precision, recall, F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from shapely.geometry import Polygon
from shapely.strtree import STRtree

IOU = 0.5  # intersection over union from which an outline is a hit


@dataclass(frozen=True, slots=True)
class Matched:
    """Which found outline is which true one."""

    pairs: tuple[tuple[int, int], ...]  # (index found, index true)
    found: int
    true: int

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall; 1 when there is nothing and nothing was found."""
        return 2 * len(self.pairs) / (self.found + self.true) if self.found + self.true else 1.0


def match(found: Sequence[Polygon], true: Sequence[Polygon], *, iou: float = IOU) -> Matched:
    """Pair outlines one to one so that the sum of their intersections over unions is largest.

    Parameters
    ----------
    found, true : sequence of Polygon
        In one projected CRS.
    iou : float
        Pairs below it do not count.
    """
    if not found or not true:
        return Matched((), len(found), len(true))
    overlap = np.zeros((len(found), len(true)))
    tree = STRtree(list(true))
    for i, outline in enumerate(found):
        for j in tree.query(outline, predicate="intersects"):
            shared = outline.intersection(true[j]).area
            overlap[i, j] = shared / (outline.area + true[j].area - shared)
    rows, columns = linear_sum_assignment(-overlap)
    pairs = tuple((int(i), int(j)) for i, j in zip(rows, columns, strict=True) if overlap[i, j] >= iou)
    return Matched(pairs, len(found), len(true))


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the cars of one count in another count of the same look."""

    lost: tuple[int, ...]  # indices into the earlier list
    appeared: tuple[int, ...]  # into the later list
    moved: tuple[tuple[int, int, float], ...]  # (earlier, later, metres between the middles) of pairs that moved

    def __str__(self) -> str:
        """Say it in one line."""
        far = max((metres for _, _, metres in self.moved), default=0.0)
        return f"{len(self.lost)} lost, {len(self.appeared)} appeared, {len(self.moved)} moved (by up to {far:.2f} m)"


def changes(before: Sequence[Polygon], after: Sequence[Polygon], *, tolerance_m: float = 0.05) -> Changes:
    """Compare two counts of one look car by car.

    Parameters
    ----------
    before, after : sequence of Polygon
        Outlines in one projected CRS.
    tolerance_m : float
        Middles that lie nearer are the same place.
    """
    matched = match(before, after, iou=0.3)
    apart = [(i, j, float(before[i].centroid.distance(after[j].centroid))) for i, j in matched.pairs]
    kept_before, kept_after = {i for i, _ in matched.pairs}, {j for _, j in matched.pairs}
    return Changes(
        tuple(i for i in range(len(before)) if i not in kept_before),
        tuple(j for j in range(len(after)) if j not in kept_after),
        tuple(entry for entry in apart if entry[2] > tolerance_m),
    )
