"""A look as the classifiers see it: rails found, each station judged, tracks cut into cars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from pipeline.counting.resolved.artifact import Model
from pipeline.counting.resolved.context import boundary_context, empty_track, second_features
from pipeline.counting.resolved.features import (
    boundary_features,
    occupied_features,
)
from pipeline.counting.resolved.rails import find_rails, hand
from pipeline.counting.resolved.segment import Cut, Weights, cut_tracks
from pipeline.counting.resolved.strips import LookTone, Tone, frame, normalise, unroll
from pipeline.counting.resolved.trees import Trees
from pipeline.model import Look, Track

SAME_LINE_M = 1.0  # two lines so near each other are one track
NEW_SHARE = 0.1  # of a line that must lie elsewhere

Vector = NDArray[np.float64]
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One track, judged station by station."""

    tone: Tone
    occupied: Vector  # (stations,) log-odds of standing under a car, relative to chance in training
    boundary: Vector  # (stations,) log-odds of a car's end
    covered: NDArray[np.bool_]  # (stations,) True = seen


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """All tracks of a look, judged."""

    tracks: tuple[Seen, ...]
    common: LookTone
    shift_m: float  # by which the rails lie to the left of the lines, median over the tracks

    def cut(self, weights: Weights) -> tuple[Cut, ...]:
        """Cut every track into cars."""
        return cut_tracks(
            [seen.occupied for seen in self.tracks],
            [seen.boundary for seen in self.tracks],
            [seen.covered for seen in self.tracks],
            weights,
        )


def see(look: Look, tracks: Sequence[Track], model: Model, hidden: Sequence[Polygon] = ()) -> Sight | None:
    """Judge a look along its tracks; None when it shows none of them.

    Parameters
    ----------
    look : Look
    tracks : sequence of Track
        In the look's CRS.
    model : Model
    hidden : sequence of Polygon
        Where tracks are under a roof or shall not be counted; stations inside count as not seen.

    Raises
    ------
    ValueError
        When the look is constant over the tracks.
    """
    tracks = _distinct(tracks)
    shifts = find_rails(look, tracks, model.centred)
    strips = unroll(look, tracks, shifts)
    if not strips:
        return None
    tones, common = normalise(strips, look.bands, look.grid.gsd_m)
    judged = judge_tones(tones, common, model.first)
    seen = []
    for tone, look_again, ends in judged:
        occupied = model.occupied.raw(look_again)[:, 0] - model.prior["occupied"]
        boundary = model.boundary.raw(ends)[:, 0] - model.prior["boundary"]
        covered = tone.strip.covered() & ~_under(tone, hidden)
        seen.append(Seen(tone, occupied, boundary, covered))
    middle = float(np.median([hand(s.track, tracks[0]) * np.median(s.offsets) for s in strips]))
    return Sight(tuple(seen), common, middle)


def _distinct(tracks: Sequence[Track]) -> list[Track]:
    """Return the tracks without those drawn a second time: nearly all of their line lies on earlier ones."""
    out: list[Track] = []
    for track in tracks:
        drawn = shapely.union_all([one.line for one in out]).buffer(SAME_LINE_M)
        if track.line.difference(drawn).length > NEW_SHARE * track.line.length:
            out.append(track)
    return out


def judge_tones(tones: Sequence[Tone], common: LookTone, first: Trees) -> list[tuple[Tone, Array, Array]]:
    """Return each tone with the features of the second look: for occupied track, and for cars' ends."""
    sights = [occupied_features(tone, common) for tone in tones]
    logits = [first.raw(sight)[:, 0] for sight in sights]
    empty = empty_track(tones, common, [1.0 / (1.0 + np.exp(-np.clip(logit, -30, 30))) for logit in logits])
    out = []
    for tone, sight, logit in zip(tones, sights, logits, strict=True):
        occupied = np.concatenate([sight, second_features(tone, common, empty, logit)], axis=1)
        ends = np.concatenate([boundary_features(tone, common), boundary_context(tone, common, empty, logit)], axis=1)
        out.append((tone, occupied, ends))
    return out


def _under(tone: Tone, hidden: Sequence[Polygon]) -> NDArray[np.bool_]:
    points, _left = frame(tone.strip.track, tone.strip.stations)
    out = np.zeros(len(points), dtype=bool)
    for area in hidden:
        out |= shapely.contains_xy(area, points[:, 0], points[:, 1])
    return out
