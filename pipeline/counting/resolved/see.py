"""A look as the network sees it: rails found, each station judged, tracks cut into cars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from pipeline.counting.resolved.artifact import Model
from pipeline.counting.resolved.inputs import Sun, cells, look_figures, planes, sun_along, sun_of
from pipeline.counting.resolved.network import GAP, Judgement, Params, judge
from pipeline.counting.resolved.rails import find_rails, hand
from pipeline.counting.resolved.segment import Cut, Weights, cut_tracks
from pipeline.counting.resolved.strips import LookTone, Strip, Tone, frame, normalise, unroll
from pipeline.model import Look, Track

SAME_LINE_M = 1.0  # two lines so near each other are one track
NEW_SHARE = 0.1  # of a line that must lie elsewhere
CONVINCING = 100.0  # log-odds, about a car's, by which another place of the rails must beat the vote's
# Log-odds that speak for a car besides what the networks say, at samplings in metres: they answer for training yards,
# three tenths full on average, and where coarse or faint pixels tell little they miss cars of yards fuller than that.
LEAN_AT_M, LEAN = (0.7, 1.0, 1.5), (0.0, 0.5, 0.8)
WAYS = ((False, False), (True, False), (False, True), (True, True))  # mirrored, turned: answers are averaged

Vector = NDArray[np.float64]
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One track, judged station by station."""

    tone: Tone
    occupied: Vector  # (stations,) log-odds of standing under a car, relative to chance in training, and the lean
    boundary: Vector  # (stations,) log-odds of a car's end
    kind: Vector  # (stations, kinds) log-probabilities of the car's kind, order of KIND_ORDER
    covered: NDArray[np.bool_]  # (stations,) True = seen


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """All tracks of a look, judged."""

    tracks: tuple[Seen, ...]
    common: LookTone
    shift_m: float  # by which the rails lie to the left of the lines, median over the tracks
    chance: float  # log-odds of standing under a car in training
    rails: float | None  # how clearly rails are seen along the lines, see `rails.Rails.evidence`
    lean: float = 0.0  # that the log-odds of standing under a car hold besides what the networks say

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
    sun = sun_of(look.scene)
    strips = unroll(look, tracks)
    if not strips:
        return None
    drawn, _common = normalise(strips, look.bands, look.grid.gsd_m)
    rails = find_rails(drawn, model.places, tracks[0])
    tried = [unroll(look, tracks, shifts) for shifts in rails.shifts]
    strips = tried[0]
    if len(tried) > 1:
        shown = [_shown(model, look, one, sun) - (CONVINCING if index else 0.0) for index, one in enumerate(tried)]
        strips = tried[int(np.argmax(shown))]
    if not strips:
        return None
    tones, common = normalise(strips, look.bands, look.grid.gsd_m)
    lean = model.lean * float(np.interp(look.grid.gsd_m, LEAN_AT_M, LEAN))
    seen = []
    for tone, (occupied, boundary, kind) in zip(tones, ask(model, tones, common, sun, WAYS), strict=True):
        covered = tone.strip.covered() & ~_under(tone, hidden)
        above = occupied - model.prior["occupied"] + lean
        seen.append(Seen(tone, above, boundary - model.prior["boundary"], kind, covered))
    middle = float(np.median([hand(s.track, tracks[0]) * np.median(s.offsets) for s in strips]))
    return Sight(tuple(seen), common, middle, model.prior["occupied"], rails.evidence, lean)


def _shown(model: Model, look: Look, strips: Sequence[Strip], sun: Sun | None) -> float:
    """Return how clearly strips show cars: the sum of what speaks for one, nothing where none is seen."""
    if not strips:
        return 0.0
    tones, common = normalise(strips, look.bands, look.grid.gsd_m)
    answers = ask(model, tones, common, sun, WAYS[:1])
    pairs = zip(answers, strips, strict=True)
    return float(sum(np.maximum(occupied[strip.covered()], 0).sum() for (occupied, *_), strip in pairs))


def ask(
    model: Model, tones: Sequence[Tone], common: LookTone, sun: Sun | None, ways: Sequence[tuple[bool, bool]]
) -> list[tuple[Vector, Vector, Vector]]:
    """Return what the networks say of each station of each track, on average: occupied, boundary, kinds.

    Parameters
    ----------
    model : Model
    tones : sequence of Tone
        Of one look.
    common : LookTone
    sun : Sun, optional
    ways : sequence of (bool, bool)
        Mirrored, turned: ways of looking whose answers are averaged.
    """
    told = look_figures(common, coloured=tones[0].red_blue is not None)
    given = [(*planes(tone), sun_along(tone, sun), tone.strip.covered()) for tone in tones]
    answers = [_asked(network, given, told, *way) for network in model.networks for way in ways]
    out = []
    for of_track in zip(*answers, strict=True):
        occupied, boundary, kind = (np.mean(parts, axis=0) for parts in zip(*of_track, strict=True))
        out.append((occupied, boundary, _log_softmax(kind)))
    return out


def _asked(
    network: Params,
    given: Sequence[tuple[Array, NDArray[np.bool_], Array, NDArray[np.bool_]]],
    told: Array,
    mirrored: bool,
    turned: bool,
) -> list[tuple[Vector, Vector, Vector]]:
    across, along = (slice(None, None, -1 if flag else 1) for flag in (mirrored, turned))
    signs = np.array([1, -1 if mirrored else 1, -1 if turned else 1, 1], dtype=np.float32)
    rows, valid = [], []
    for values, seen, sun, covered in given:
        pad = len(values) % 2
        wide = [(0, pad), (0, 0)]
        x = cells(
            np.pad(values[along, across], [*wide, (0, 0)]),
            np.pad(seen[along, across], wide),
            np.pad(sun[along] * signs, wide, mode="edge"),
            told,
        )
        rows += [x, np.zeros((GAP, x.shape[1]), dtype=np.float32)]
        valid += [np.pad(covered[along], (0, pad)).reshape(-1, 2).all(axis=1), np.zeros(GAP, dtype=bool)]
    all_valid = np.concatenate(valid).astype(np.float32)
    look = np.ones((1, len(all_valid)), dtype=np.float32)
    judged: Judgement = judge(network, np.concatenate(rows), all_valid, look)
    out, at = [], 0
    for values, *_ in given:
        n = len(values)
        part = slice(2 * at, 2 * at + n)
        occupied, boundary, kind = (
            answer[part][along].astype(np.float64) for answer in (judged.occupied, judged.boundary, judged.kind)
        )
        out.append((occupied, boundary, kind))
        at += (n + 1) // 2 + GAP
    return out


def _log_softmax(z: Vector) -> Vector:
    z = z - z.max(axis=-1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


def _distinct(tracks: Sequence[Track]) -> list[Track]:
    """Return the tracks without those drawn a second time: nearly all of their line lies on earlier ones."""
    out: list[Track] = []
    for track in tracks:
        drawn = shapely.union_all([one.line for one in out]).buffer(SAME_LINE_M)
        if track.line.difference(drawn).length > NEW_SHARE * track.line.length:
            out.append(track)
    return out


def _under(tone: Tone, hidden: Sequence[Polygon]) -> NDArray[np.bool_]:
    points, _left = frame(tone.strip.track, tone.strip.stations)
    out = np.zeros(len(points), dtype=bool)
    for area in hidden:
        out |= shapely.contains_xy(area, points[:, 0], points[:, 1])
    return out
