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
