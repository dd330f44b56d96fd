"""Strips as the network's input: two stations to a cell, what lies across, and what is known of sampling and sun."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.strips import LookTone, Tone, frame
from pipeline.model import Scene

COLUMNS = 33  # of a strip: 8 m to either side
SEEN_EVERY = 4  # columns between those whose being seen is told
SEEN = len(range(0, COLUMNS, SEEN_EVERY))
EXTRA = 9  # sampling (2), noise, colour or not, ends; sun: known, across, along, reach
INPUTS = 2 * (5 * COLUMNS + SEEN) + EXTRA
REACH_MAX = 4.0  # longest shadow that is told, of what casts it

Array = NDArray[np.float32]
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the sun stood, as the scene's record has it."""

    east: float  # unit vector towards the sun, horizontal
    north: float
    reach: float  # length of a shadow over the height of what casts it


def sun_of(scene: Scene) -> Sun | None:
    """Return where the sun stood when a scene was taken, None when its record does not say."""
    if scene.sun_elevation_deg is None or scene.sun_azimuth_deg is None or scene.sun_elevation_deg <= 0:
        return None
    azimuth = np.deg2rad(scene.sun_azimuth_deg)
    reach = 1.0 / float(np.tan(np.deg2rad(min(scene.sun_elevation_deg, 89.9))))
    return Sun(float(np.sin(azimuth)), float(np.cos(azimuth)), min(reach, REACH_MAX))


def sun_along(tone: Tone, sun: Sun | None) -> Array:
    """Return the sun as each station of a track sees it: known, to the left, ahead, reach; (n, 4)."""
    n = len(tone.strip.stations)
    if sun is None:
        return np.zeros((n, 4), dtype=np.float32)
    _points, left = frame(tone.strip.track, tone.strip.stations)
    across = left[:, 0] * sun.east + left[:, 1] * sun.north
    along = left[:, 1] * sun.east - left[:, 0] * sun.north
    rows = [np.ones(n), across * sun.reach, along * sun.reach, np.full(n, sun.reach)]
    return np.stack(rows, axis=1).astype(np.float32)


def planes(tone: Tone) -> tuple[Array, NDArray[np.bool_]]:
    """Return brightness and two colours, (n, columns, 3), 0 where unknown, and where the strip is seen."""
    grey = tone.grey
    seen = np.isfinite(grey)
    zero = np.zeros_like(grey)
    red_blue, green = (zero if plane is None else plane for plane in (tone.red_blue, tone.green))
    stacked = np.stack([grey, 2 * red_blue, 2 * green], axis=-1)
    return np.clip(np.where(seen[..., None], stacked, 0), -6, 6).astype(np.float32), seen


def cells(values: Array, seen: NDArray[np.bool_], sun: Array, told: Array) -> Array:
    """Return the network's input for one row of track, (cells, INPUTS), float32.

    Parameters
    ----------
    values : array, (stations, COLUMNS, 3)
        From `planes`; the number of stations is even.
    seen : array, (stations, COLUMNS), bool
    sun : array, (stations, 4)
        From `sun_along`.
    told : array, (5,)
        From `look_figures`.
    """
    n = len(values)
    station = np.concatenate(
        [values.reshape(n, -1), edges(values[..., 0], seen), seen[:, ::SEEN_EVERY].astype(np.float32)], axis=1
    )
    both = station.reshape(n // 2, -1)
    return np.concatenate([both, np.broadcast_to(told, (n // 2, len(told))), sun[::2]], axis=1).astype(np.float32)


def edges(grey: Array, seen: NDArray[np.bool_]) -> Array:
    """Return how much brightness changes across and along the track, whichever way: (stations, 2 COLUMNS)."""
    across = np.zeros_like(grey)
    across[:, :-1] = np.abs(np.diff(grey, axis=1)) * (seen[:, 1:] & seen[:, :-1])
    along = np.zeros_like(grey)
    along[1:-1] = np.abs(grey[2:] - grey[:-2]) * (seen[2:] & seen[:-2])
    return np.concatenate([across, along], axis=1)


def look_figures(common: LookTone, *, coloured: bool) -> Array:
    """Return what a look tells every cell, (5,): sampling, its square, noise, colour or not, brightness of ends."""
    size = float(np.log(common.gsd_m))
    noise = min(common.noise, 2.0)
    return np.array([size, size**2, 5 * noise, float(coloured), np.clip(common.ends, -2, 2)], dtype=np.float32)
