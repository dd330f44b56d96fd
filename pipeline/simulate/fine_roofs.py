"""What the upper side of each kind of vehicle looks like: brightness patterns in the vehicle's own coordinates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate.fine_canvas import Solid

Array = NDArray[np.float32]
Pattern = Callable[[Array, Array, Solid, float, float, np.random.Generator], Array]


def _plain(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Even paint with broad stains."""
    stain = 1 + rng.normal(0, 0.06) * np.sin(3 * u + rng.uniform(0, 6)) + rng.normal(0, 0.04) * v
    return np.asarray(stain, dtype=np.float32)


def _ore(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw an open car: rim, and inside either a heaped load or a dark floor with the wall's shadow across it."""
    rim = (np.abs(u) > 0.955) | (np.abs(v) > 0.86)
    if solid.loaded:
        heaps = 1 + 0.25 * np.cos(np.pi * u * rng.integers(1, 4) + rng.uniform(0, 6)) * (1 - v**2)
        heaps = heaps + 0.3 * lateral * v
        inside = heaps * (1 + rng.normal(0, 0.08, u.shape))
    else:
        inside = np.full(u.shape, rng.uniform(0.5, 0.9))
        reach = 2.0 * 1.8 * low * abs(lateral) / solid.width_m  # walls 1.8 m deep
        inside[(v * np.sign(lateral)) > 0.86 - reach] *= rng.uniform(0.35, 0.6)
        if rng.random() < 0.5:
            inside[np.abs(np.abs(u) - 0.33) < 0.02] *= 1.4  # partitions of a hopper
    out = np.where(rim, rng.uniform(0.9, 1.6), inside)
    return np.asarray(out, dtype=np.float32)


def _box(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a covered car: two roof slopes, ribs, a running board."""
    slope = 1 + 0.35 * lateral * np.clip(v * 3, -1, 1)
    ribs = 1 + 0.04 * np.cos(np.pi * u * 9)
    out = slope * ribs
    if rng.random() < 0.5:
        out = np.where(np.abs(v) < 0.12, out * rng.uniform(0.7, 1.3), out)
    return np.asarray(out, dtype=np.float32)


def _tank(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a cylinder between two end platforms, brightest where its surface faces the sun, with a dome."""
    normal = np.sqrt(np.clip(1 - v**2, 0, 1))
    vertical = 1 / np.sqrt(1 + low**2)
    lit = np.clip(normal * vertical + v * lateral * low * vertical, 0, None)
    out = 0.35 + 0.85 * lit
    out = out + 1.2 * np.clip(lit - 0.93, 0, None) * rng.uniform(0, 6)
    out[np.hypot(u * solid.length_m / solid.width_m - rng.normal(0, 0.1), v) < 0.33] *= rng.uniform(0.6, 1.35)
    out[np.abs(u) > rng.uniform(0.86, 0.93)] = rng.uniform(0.45, 0.8)
    if rng.random() < 0.5:
        out[(np.abs(v) < 0.1) & (np.abs(u) < 0.8)] *= rng.uniform(0.7, 1.1)
    return np.asarray(out, dtype=np.float32)


def _flat(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a deck of planks with a frame."""
    out = 1 + 0.06 * np.sign(np.sin(u * 40)) + rng.normal(0, 0.05, u.shape)
    out[(np.abs(v) > 0.85) | (np.abs(u) > 0.96)] *= rng.uniform(0.6, 1.1)
    return np.asarray(out, dtype=np.float32)


def _machine(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a locomotive or works vehicle: unlike blocks along it, grilles, an off-centre hood."""
    edges = np.sort(rng.uniform(-1, 1, int(rng.integers(3, 7))))
    levels = rng.uniform(0.5, 1.5, len(edges) + 1)
    out = levels[np.digitize(u, edges)]
    out = np.where(np.abs(v) < rng.uniform(0.2, 0.6), out * rng.uniform(0.6, 1.5), out)
    return np.asarray(out, dtype=np.float32)


def _passenger(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a rounded roof with vents along its middle."""
    out = 0.75 + 0.25 * np.sqrt(np.clip(1 - v**2, 0, 1)) + 0.25 * lateral * v
    vents = (np.abs(v) < 0.2) & (np.cos(u * 28) > 0.5)
    return np.asarray(np.where(vents, out * rng.uniform(0.6, 1.2), out), dtype=np.float32)


def _trailer(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a trailer or container roof: bright, with cross bars and rust along the edges."""
    out = 1 + 0.06 * np.cos(np.pi * u * rng.integers(6, 14)) + rng.normal(0, 0.03, u.shape)
    out[np.abs(v) > 0.88] *= rng.uniform(0.6, 1.0)
    return np.asarray(out, dtype=np.float32)


def _panel(u: Array, v: Array, solid: Solid, lateral: float, low: float, rng: np.random.Generator) -> Array:
    """Draw a rectangle in a rectangle."""
    long, wide, bright = solid.panel or (1.0, 1.0, 1.0)
    inside = (np.abs(u) < long) & (np.abs(v) < wide)
    return np.asarray(np.where(inside, bright, 1.0), dtype=np.float32)


PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "ore car": _ore,
    "box car": _box,
    "tank car": _tank,
    "flat car": _flat,
    "passenger car": _passenger,
    "locomotive": _machine,
    "maintenance-of-way": _machine,
    "trailer": _trailer,
    "panel": _panel,
}


def roof_pattern(
    u: Array, v: Array, solid: Solid, sun_elevation_deg: float, sun_azimuth_deg: float, rng: np.random.Generator
) -> Array:
    """Return the brightness of a solid's upper side relative to its colour.

    Parameters
    ----------
    u, v : arrays, float32
        Along and across the solid, -1 to 1 between its edges.
    solid : Solid
    sun_elevation_deg, sun_azimuth_deg : float
        An elevation of 90 or more stands for an overcast sky.
    rng : numpy.random.Generator
    """
    sun = np.deg2rad(90.0 - sun_azimuth_deg)  # anticlockwise from east
    lateral = float(np.sin(sun - solid.heading_rad))  # share of the sun's direction that lies across the vehicle
    low = float(1.0 / np.tan(np.deg2rad(min(sun_elevation_deg, 89.0))))
    overcast = sun_elevation_deg >= 90.0
    return PATTERNS[solid.pattern](u, v, solid, 0.0 if overcast else lateral, 0.0 if overcast else min(low, 3.0), rng)
