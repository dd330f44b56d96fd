"""What a judged look says in figures: metres, doubts, and whether it resembles the training scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.cars import Scored
from pipeline.counting.resolved.network import KIND_ORDER
from pipeline.counting.resolved.see import Sight
from pipeline.counting.resolved.segment import Cut
from pipeline.counting.resolved.spread import Doubts
from pipeline.counting.resolved.strips import STEP_M
from pipeline.model import CAR_PITCH_M, RailcarKind

# Accounting lengths over couplers, metres: Russian Railways' wagon albums.
KIND_LENGTH_M = {
    RailcarKind.ORE: 13.92,
    RailcarKind.BOX: 14.9,
    RailcarKind.TANK: 12.02,
    RailcarKind.FLAT: 14.62,
    RailcarKind.PASSENGER: 24.54,
    RailcarKind.LOCOMOTIVE: 17.1,
    RailcarKind.MAINTENANCE: 13.0,
}
UNSURE = 1.5  # log-odds below which a station is in doubt


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A sight, its cuts, and figures over all tracks."""

    sight: Sight
    cuts: tuple[Cut, ...]
    covered_m: float  # of track that was seen
    occupied_m: float  # of it that is expected to stand under cars
    unsure: float  # share of the seen stations that are in doubt
    variance: float  # of the number of cars over all cuts

    def figures(self) -> dict[str, float]:
        """Return the named figures of the record."""
        common = self.sight.common
        figures = {
            "covered_m": round(self.covered_m, 1),
            "ends": round(common.ends, 4),
            "noise": round(common.noise, 4),
            "occupied_m": round(self.occupied_m, 1),
            "shift_m": round(self.sight.shift_m, 3),
            "unsure": round(self.unsure, 4),
            "variance": round(self.variance, 4),
        }
        return figures if self.sight.rails is None else figures | {"rails": round(self.sight.rails, 3)}

    def net_occupied_m(self, cars: Sequence[Scored]) -> float:
        """Return the occupied metres less those of cuts that turned out to be shadows or the same car twice."""
        cut_m = sum(end - start for cut in self.cuts for start, end in cut.cars)
        return max(self.occupied_m - (cut_m - sum(car.length_m for car, _ in cars)), 0.0)

    def by_length(self, cars: Sequence[Scored], *, by_metres: bool = False) -> float:
        """Return the number of cars from expected metres alone, with the pitch of the kinds that stand there.

        Where cars blur (`by_metres`) nothing is taken off for cuts that make no car: what is expected of them counts.
        """
        occupied_m = self.occupied_m if by_metres else self.net_occupied_m(cars)
        if not cars:
            return occupied_m / CAR_PITCH_M
        chances: NDArray[np.float64] = np.mean([chance for _, chance in cars], axis=0)
        return occupied_m / float(chances @ np.array([KIND_LENGTH_M[kind] for kind in KIND_ORDER]))

    def doubts(self, cars: Sequence[Scored], *, by_metres: bool) -> Doubts:
        """Return what the look leaves in doubt."""
        apart = self.by_length(cars, by_metres=by_metres) - len(cars)
        # Metres are what all cuts expect already.
        missed = 0.0 if by_metres else max(sum(cut.mean for cut in self.cuts) - len(cars), 0.0)
        return Doubts(self.variance, self.unsure * self.covered_m / CAR_PITCH_M, apart, missed)

    def number(self, cars: Sequence[Scored], *, by_metres: bool) -> float:
        """Return the count of a look: its cars, or its expected metres over their pitch where cars blur."""
        return float(round(self.by_length(cars, by_metres=True))) if by_metres else float(len(cars))


def measure(sight: Sight, cuts: Sequence[Cut]) -> Measured:
    """Sum up a sight over its tracks."""
    logits = np.concatenate([seen.occupied[seen.covered] for seen in sight.tracks])
    return Measured(
        sight,
        tuple(cuts),
        covered_m=float(len(logits) * STEP_M),
        # Without the lean: over long empty track it would add up to metres that nothing stands on.
        occupied_m=float((1.0 / (1.0 + np.exp(-(logits - sight.lean + sight.chance)))).sum() * STEP_M),
        unsure=float((np.abs(logits) < UNSURE).mean()) if len(logits) else 1.0,
        variance=float(sum(cut.variance for cut in cuts)),
    )


def odd_measures(figures: Mapping[str, float], trained: Mapping[str, tuple[float, float]]) -> str:
    """Say which figures leave the range of the training scenes, "" when none does."""
    odd = [
        f"{name} {figures[name]:.3g} (seen in training: {low:.3g} to {high:.3g})"
        for name, (low, high) in sorted(trained.items())
        if not low <= figures[name] <= high
    ]
    return ", ".join(odd)
