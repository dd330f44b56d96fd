"""A look as the classifiers see it: rails found, each station judged, tracks cut into cars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from pipeline.counting.resolved.artifact import Model
from pipeline.counting.resolved.features import (
    boundary_features,
    lateral_features,
    lateral_shift,
    occupied_features,
)
from pipeline.counting.resolved.segment import Cut, Weights, cut_tracks
from pipeline.counting.resolved.strips import LookTone, Tone, frame, normalise, unroll
from pipeline.counting.resolved.trees import Trees
from pipeline.model import Look, Track

COMMON_MAX_M = 2.2  # how far an image may lie off the tracks as a whole
OWN_MAX_M = 0.8  # how far a track may lie off on its own besides

Vector = NDArray[np.float64]


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


def find_rails(look: Look, tracks: Sequence[Track], lateral: Trees) -> dict[str, Vector]:
    """Return how far the rails lie to the left of each track's line, (stations,) metres by track id.

    Parameters
    ----------
    look : Look
    tracks : sequence of Track
    lateral : Trees
        Trained on `lateral_features`.

    Raises
    ------
    ValueError
        When the look is constant or empty over the tracks.
    """
    shifts: dict[str, Vector] = {track.track_id: np.zeros(0) for track in tracks}
    for _ in range(2):  # the second pass sees the first one's remainder
        strips = unroll(look, tracks, {name: shift for name, shift in shifts.items() if len(shift)})
        if not strips:
            return {}
        tones, _common = normalise(strips, look.bands, look.grid.gsd_m)
        found: dict[str, Vector] = {}
        for tone in tones:
            covered = tone.strip.covered()
            raw = lateral.raw(lateral_features(tone))[:, 0]
            raw = np.where(covered, raw, np.median(raw[covered]))
            found[tone.strip.track.track_id] = lateral_shift(raw) + tone.strip.offsets
        # An image is shifted as a whole: each track's own error is small beside that.
        hands = {track.track_id: _hand(track, tracks[0]) for track in tracks}
        middles = [hands[name] * float(np.median(values)) for name, values in found.items()]
        whole = float(np.clip(np.median(middles), -COMMON_MAX_M, COMMON_MAX_M))
        for name, values in found.items():
            shared = hands[name] * whole
            shifts[name] = shared + np.clip(values - shared, -OWN_MAX_M, OWN_MAX_M)
    return {name: shift for name, shift in shifts.items() if len(shift)}


def _hand(track: Track, reference: Track) -> float:
    """Return 1 where a track's left is the reference's left, -1 where it was drawn the other way."""
    chords = [np.asarray(t.line.coords)[-1, :2] - np.asarray(t.line.coords)[0, :2] for t in (track, reference)]
    return 1.0 if float(chords[0] @ chords[1]) >= 0 else -1.0


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
    shifts = find_rails(look, tracks, model.lateral)
    strips = unroll(look, tracks, shifts)
    if not strips:
        return None
    tones, common = normalise(strips, look.bands, look.grid.gsd_m)
    seen = []
    for tone in tones:
        occupied = model.occupied.raw(occupied_features(tone, common))[:, 0] - model.prior["occupied"]
        boundary = model.boundary.raw(boundary_features(tone, common))[:, 0] - model.prior["boundary"]
        covered = tone.strip.covered() & ~_under(tone, hidden)
        seen.append(Seen(tone, occupied, boundary, covered))
    middle = float(np.median([_hand(s.track, tracks[0]) * np.median(s.offsets) for s in strips]))
    return Sight(tuple(seen), common, middle)


def _under(tone: Tone, hidden: Sequence[Polygon]) -> NDArray[np.bool_]:
    points, _left = frame(tone.strip.track, tone.strip.stations)
    out = np.zeros(len(points), dtype=bool)
    for area in hidden:
        out |= shapely.contains_xy(area, points[:, 0], points[:, 1])
    return out
