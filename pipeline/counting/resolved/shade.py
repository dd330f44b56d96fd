"""A train's shadow on the empty track beside it, told from a train: it repeats the train, dark, away from the sun.

The middle of a shadow lies from the middle of the car that casts it in the sun's direction, the same all over the
look, while cars of two trains that happen to stand side by side lie at any angle. So dark cars with a twin on the
neighbouring track vote for a direction; where one direction gathers most votes, and nearly all that lies in it is
equally dark, those are shadows, unless the network is sure of a car.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.see import Seen
from pipeline.counting.resolved.strips import CENTRE, STEP_M, frame

NEAR_M, FAR_M = 3.4, 8.5  # from a car to its shadow on a neighbouring track, across
ALONG_M = 5.5  # and along it
TWIN_M = 1.6  # by which car and shadow may differ in length
CONE_DEG = 9.0  # around one direction
LEAST = 3  # shadows that a direction needs
AGREE = 0.55  # share of the dark twins that must lie in one direction; chance gives 0.2
PURE = 0.8  # share of all twins in that direction that must be dark
ALIKE = 0.4  # spread of their darkness, of its median
DARK = 0.2  # below empty track, of the look's half range
DOUBT = 4.0  # log-odds of standing under a car up to which the network leaves room for a shadow

Found = tuple[Seen, float, float]  # a track, start and end of a car on it in metres


def without_shadows(found: Sequence[Found]) -> list[Found]:
    """Return the cars that are no shadow of a neighbour.

    Parameters
    ----------
    found : sequence of (Seen, start, end)
        Cars of a whole look; metres along their track.
    """
    if len(found) <= LEAST:
        return list(found)
    depth = np.array([_darkness(*one) for one in found])
    centre, along, length = _places(found)
    apart = centre[None, :] - centre[:, None]  # from caster (row) to twin (column)
    lag = (apart * along[None, :]).sum(axis=2)
    across = np.abs(apart[..., 0] * -along[None, :, 1] + apart[..., 1] * along[None, :, 0])
    twin = (np.abs(lag) < ALONG_M) & (across > NEAR_M) & (across < FAR_M)
    twin &= np.abs(length[:, None] - length[None, :]) < TWIN_M
    casters, twins = np.nonzero(twin)
    dark = depth[twins] > DARK
    if dark.sum() < LEAST:
        return list(found)
    angle = np.rad2deg(np.arctan2(apart[casters, twins, 1], apart[casters, twins, 0]))
    best = max(angle[dark], key=lambda a: float((_off(angle[dark], a) < CONE_DEG).sum()))
    inside = _off(angle, best) < CONE_DEG
    doubtful = np.array([seen.occupied[int(a / STEP_M) : int(b / STEP_M)].mean() < DOUBT for seen, a, b in found])
    shadows = inside & dark
    side = dark & (_off(angle, best) < 60)
    levels = depth[twins[shadows]]
    convincing = (
        shadows.sum() >= LEAST
        and shadows.sum() >= AGREE * side.sum()
        and shadows.sum() >= PURE * inside.sum()
        and float(levels.std()) <= ALIKE * float(np.median(levels))
    )
    if not convincing:
        return list(found)
    # A shadow casts none: what lies behind a shadow is a car again.
    gone: set[int] = set()
    towards = np.array([np.cos(np.deg2rad(best)), np.sin(np.deg2rad(best))])
    for pair in np.argsort(centre[twins] @ towards, kind="stable"):
        if shadows[pair] and doubtful[twins[pair]] and int(casters[pair]) not in gone:
            gone.add(int(twins[pair]))
    return [one for index, one in enumerate(found) if index not in gone]


def _off(angle: NDArray[np.float64], other: float) -> NDArray[np.float64]:
    return np.abs((angle - other + 180) % 360 - 180)


def _darkness(seen: Seen, start_m: float, end_m: float) -> float:
    """Return how much darker than its track's empty part a car is, of the look's half range."""
    grey = np.nan_to_num(seen.tone.grey)[:, CENTRE - 2 : CENTRE + 3].mean(axis=1)
    empty = seen.covered & (seen.occupied < -1)
    level = float(np.median(grey[empty])) if empty.sum() > 20 else 0.0
    i, j = int((start_m + 1) / STEP_M), int((end_m - 1) / STEP_M)
    return level - float(np.median(grey[i:j]))


def _places(found: Sequence[Found]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    centres, alongs, lengths = [], [], []
    for seen, start, end in found:
        middle = np.array([(start + end) / 2])
        points, left = frame(seen.tone.strip.track, middle)
        shift = np.interp(middle, seen.tone.strip.stations, seen.tone.strip.offsets)
        centres.append((points + left * shift[:, None])[0])
        alongs.append(np.array([left[0, 1], -left[0, 0]]))
        lengths.append(end - start)
    return np.array(centres), np.array(alongs), np.array(lengths)
