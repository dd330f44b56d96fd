"""Where the rails really lie: a small network says for every second metre of a line, and the whole image votes.

Its log-odds over places to the left and right are summed over all tracks for a shift of the image as a
whole, then over stretches of each track for what that line is off by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.places import EVERY, SHIFTS, Params, place, profiles
from pipeline.counting.resolved.strips import STEP_M, Strip, Tone
from pipeline.model import Track

CREDIT = 0.025  # of a vote: neighbours see the same
FLOOR = -4.0  # of a vote
OWN_SD_M = 0.3  # by which one line is off besides the image's shift
COMMON_SD_M = 0.8  # by which an image is off
FAR_M = 0.6  # from which a shift of the whole image is doubted
STRETCH_M = 60.0
PLACES_M = np.arange(-SHIFTS, SHIFTS + 1) * STEP_M  # that are tried

LEAST_ASKED = 15  # stations of a stretch that tell whether there are rails

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rails:
    """Where the rails of a look may lie, and how clearly they are seen."""

    shifts: tuple[dict[str, Vector], ...]  # (stations,) metres to the left of each strip's middle, by track id
    evidence: float | None  # mean log-odds of each stretch's best place against chance, about 0 where none are


def hand(track: Track, reference: Track) -> float:
    """Return 1 where a track's left is the reference's left, -1 where it was drawn the other way."""
    chords = [np.asarray(t.line.coords)[-1, :2] - np.asarray(t.line.coords)[0, :2] for t in (track, reference)]
    return 1.0 if float(chords[0] @ chords[1]) >= 0 else -1.0


def find_rails(tones: Sequence[Tone], places: Params, reference: Track) -> Rails:
    """Return how far the rails may lie to the left of each strip's middle, and how clearly they are seen.

    The first answer is the vote's. Where it moves the whole image far, the others are the vote's other peaks and the
    image where it is, each line moved only as far as lines are off by themselves: what lies between tracks can look
    like one.

    Parameters
    ----------
    tones : sequence of Tone
        Unrolled along the lines as drawn.
    places : mapping
        Parameters of the network of `places`.
    reference : Track
        Whose left is everyone's left.
    """
    votes = {}
    for tone in tones:
        asked = np.flatnonzero(tone.strip.covered()[::EVERY])
        votes[tone.strip.track.track_id] = (asked * EVERY, CREDIT * np.maximum(_log_odds(tone, places)[asked], FLOOR))
    strips = [tone.strip for tone in tones]
    hands = {strip.track.track_id: hand(strip.track, reference) for strip in strips}
    shifts = tuple(
        {
            strip.track.track_id: _own_shift(strip, votes[strip.track.track_id], hands[strip.track.track_id] * shift)
            for strip in strips
        }
        for shift in _common_shifts(votes, hands)
    )
    return Rails(shifts, _evidence([odds / CREDIT for _, odds in votes.values()]))


def _evidence(votes: Sequence[Vector]) -> float | None:
    """Return the mean over the tracks of what their stretches' best places have for them; None: all are too short."""
    size = max(int(STRETCH_M / (EVERY * STEP_M)), 1)
    tracks = []
    for odds in votes:
        stretches = (odds[begin : begin + size] for begin in range(0, len(odds), size))
        best = [float(part.mean(axis=0).max()) for part in stretches if len(part) >= LEAST_ASKED]
        tracks += [float(np.mean(best))] if best else []
    return float(np.mean(tracks)) if tracks else None


def _log_odds(tone: Tone, places: Params) -> Vector:
    """Return the log-odds of each place against chance, (asked, places): the strip as it is and mirrored agree."""
    seen = np.isfinite(tone.grey)
    grey = np.clip(np.where(seen, tone.grey, 0), -6, 6).astype(np.float32)
    total = np.zeros((len(grey[::EVERY]), 2 * SHIFTS + 1))
    for way in (1, -1):
        z = place(places, profiles(grey[:, ::way], seen[:, ::way])).astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        total += (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))[:, ::way]
    return np.asarray(total / 2 + np.log(2 * SHIFTS + 1))


def _common_shifts(votes: Mapping[str, tuple[NDArray[np.int_], Vector]], hands: Mapping[str, float]) -> list[float]:
    """Return where the whole image may lie, metres to the left: what the vote says, then other places."""
    total = np.zeros(2 * SHIFTS + 1)
    for name, (_asked, odds) in votes.items():
        summed = odds.sum(axis=0)
        total += summed if hands[name] > 0 else summed[::-1]
    best = _peak(total, 0.0, COMMON_SD_M)
    if abs(best) <= FAR_M:
        return [best]
    score = np.pad(_believed(total, 0.0, COMMON_SD_M), 1, constant_values=-np.inf)
    peaks = PLACES_M[(score[1:-1] > score[:-2]) & (score[1:-1] > score[2:])]
    others = [float(shift) for shift in peaks if abs(shift - best) > FAR_M]
    # The image may well lie right: lines of brightness beside the rails draw votes too.
    near = any(abs(shift) <= FAR_M for shift in others)
    return [best, *others, *([] if near else [0.0])]


def _own_shift(strip: Strip, votes: tuple[NDArray[np.int_], Vector], common: float) -> Vector:
    asked, odds = votes
    if not len(asked):
        return np.full(len(strip.stations), common)
    whole = _peak(odds.sum(axis=0), common, OWN_SD_M)
    middles, shifts = [], []
    size = max(int(STRETCH_M / (EVERY * STEP_M)), 1)
    for begin in range(0, len(asked), size):
        part = slice(max(begin - size // 2, 0), begin + size + size // 2)
        middles.append(float(strip.stations[asked[part]].mean()))
        shifts.append(_peak(odds[part].sum(axis=0), whole, OWN_SD_M / 2))
    return np.asarray(np.interp(strip.stations, middles, shifts), dtype=np.float64)


def _believed(score: Vector, centre_m: float, sd_m: float) -> Vector:
    """Return the score of each of `PLACES_M` with a normal prior about a centre."""
    return np.asarray(score - 0.5 * ((PLACES_M - centre_m) / sd_m) ** 2)


def _peak(score: Vector, centre_m: float, sd_m: float) -> float:
    """Return the shift of the highest score plus a normal prior, metres, between the tried shifts by a parabola."""
    total = _believed(score, centre_m, sd_m)
    k = int(np.clip(np.argmax(total), 1, len(total) - 2))
    a, b, c = total[k - 1], total[k], total[k + 1]
    bend = a - 2 * b + c
    return float(PLACES_M[k] + (0.5 * STEP_M * (a - c) / bend if bend < -1e-9 else 0.0))
