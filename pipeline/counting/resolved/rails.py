"""Where the rails really lie: a drawn line is tried at many lateral shifts, and the whole image votes.

A classifier says of a strip's station whether it is centred on the rails. Its log-odds are summed over all tracks
for a shift of the image as a whole, then over stretches of each track for what that line is off by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.features import filled, running_mean
from pipeline.counting.resolved.strips import CENTRE, STEP_M, Strip, Tone, normalise, unroll
from pipeline.counting.resolved.trees import Trees
from pipeline.model import Look, Track

REACH = 8  # columns of half a metre on either side that a station is judged by
SHIFTS = 4  # half metres to either side that are tried
CENTRED_M = 0.3  # up to which a strip counts as centred in training
THIN = 4  # every fourth station votes: neighbours see the same
CREDIT = 0.1  # of a vote, for the same reason
OWN_SD_M = 0.35  # by which one line is off besides the image's shift
COMMON_SD_M = 0.6  # by which an image is off
STRETCH_M = 60.0

Array = NDArray[np.float32]
Vector = NDArray[np.float64]


def centred_features(tone: Tone, rows: NDArray[np.int_], shift: int = 0) -> Array:
    """Return what tells whether stations are centred on rails, (rows, features), float32.

    Parameters
    ----------
    tone : Tone
    rows : array of int
        Stations to judge.
    shift : int
        Half metres to the left at which the middle is taken to lie.
    """
    grey = filled(tone.grey, 0.0)
    columns = slice(CENTRE + shift - REACH, CENTRE + shift + REACH + 1)
    parts = []
    for metres in (4.0, 25.0):
        local = running_mean(grey, metres)[rows, columns]
        local = local - local.mean(axis=1, keepdims=True)
        parts.append(local / np.maximum(local.std(axis=1, keepdims=True), 0.02))
    edges = running_mean(np.abs(np.diff(grey, axis=1)), 12.0)[rows, columns.start : columns.stop - 1]
    parts.append(edges / np.maximum(edges.mean(axis=1, keepdims=True), 1e-3))
    return np.concatenate(parts, axis=1).astype(np.float32)


def hand(track: Track, reference: Track) -> float:
    """Return 1 where a track's left is the reference's left, -1 where it was drawn the other way."""
    chords = [np.asarray(t.line.coords)[-1, :2] - np.asarray(t.line.coords)[0, :2] for t in (track, reference)]
    return 1.0 if float(chords[0] @ chords[1]) >= 0 else -1.0


def find_rails(look: Look, tracks: Sequence[Track], centred: Trees) -> dict[str, Vector]:
    """Return how far the rails lie to the left of each track's line, (stations,) metres by track id.

    Parameters
    ----------
    look : Look
    tracks : sequence of Track
    centred : Trees
        Trained on `centred_features`.

    Raises
    ------
    ValueError
        When the look is constant over the tracks.
    """
    strips = unroll(look, tracks)
    if not strips:
        return {}
    tones, _common = normalise(strips, look.bands, look.grid.gsd_m)
    votes = {tone.strip.track.track_id: _votes(tone, centred) for tone in tones}
    hands = {track.track_id: hand(track, tracks[0]) for track in tracks}
    common = _common_shift(votes, hands)
    return {
        tone.strip.track.track_id: _own_shift(
            tone.strip, votes[tone.strip.track.track_id], hands[tone.strip.track.track_id] * common
        )
        for tone in tones
    }


def _votes(tone: Tone, centred: Trees) -> tuple[NDArray[np.int_], Vector]:
    """Return the stations that vote and their log-odds at each shift, (stations, shifts)."""
    rows = np.flatnonzero(tone.strip.covered())[::THIN]
    features = [centred_features(tone, rows, shift) for shift in range(-SHIFTS, SHIFTS + 1)]
    odds = centred.raw(np.concatenate(features))[:, 0].reshape(len(features), len(rows))
    return rows, CREDIT * np.clip(odds, -4, 4).T


def _common_shift(votes: Mapping[str, tuple[NDArray[np.int_], Vector]], hands: Mapping[str, float]) -> float:
    total = np.zeros(2 * SHIFTS + 1)
    for name, (_rows, odds) in votes.items():
        summed = odds.sum(axis=0)
        total += summed if hands[name] > 0 else summed[::-1]
    return _peak(total, 0.0, COMMON_SD_M)


def _own_shift(strip: Strip, votes: tuple[NDArray[np.int_], Vector], common: float) -> Vector:
    rows, odds = votes
    whole = _peak(odds.sum(axis=0), common, OWN_SD_M)
    middles, shifts = [], []
    size = max(int(STRETCH_M / STEP_M / THIN), 1)
    for begin in range(0, len(rows), size):
        part = slice(max(begin - size // 2, 0), begin + size + size // 2)
        middles.append(float(strip.stations[rows[part]].mean()))
        shifts.append(_peak(odds[part].sum(axis=0), whole, OWN_SD_M / 2))
    return np.asarray(np.interp(strip.stations, middles, shifts), dtype=np.float64)


def _peak(score: Vector, centre_m: float, sd_m: float) -> float:
    """Return the shift of the highest score plus a normal prior, metres, between the tried shifts by a parabola."""
    at = np.arange(-SHIFTS, SHIFTS + 1) * STEP_M
    total = score - 0.5 * ((at - centre_m) / sd_m) ** 2
    k = int(np.clip(np.argmax(total), 1, len(at) - 2))
    a, b, c = total[k - 1], total[k], total[k + 1]
    bend = a - 2 * b + c
    return float(at[k] + (0.5 * STEP_M * (a - c) / bend if bend < -1e-9 else 0.0))
