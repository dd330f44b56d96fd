"""What the classifiers see at each half metre of track: brightness, edges, texture, colour, repetition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from pipeline.counting.resolved.strips import CENTRE, STEP_M, LookTone, Tone

Array = NDArray[np.float32]


def running_mean(values: Array, metres: float) -> Array:
    """Return the running mean along the track over a window."""
    size = max(round(metres / STEP_M) // 2 * 2 + 1, 1)
    out: Array = uniform_filter1d(values, size, axis=0, mode="nearest")
    return out


def running_spread(values: Array, metres: float) -> Array:
    """Return the running standard deviation along the track over a window."""
    mean = running_mean(values, metres)
    return np.asarray(np.sqrt(np.maximum(running_mean(values**2, metres) - mean**2, 0.0)), dtype=np.float32)


def shifted(values: Array, samples: int) -> Array:
    """Return values[i + samples], the ends repeated."""
    index = np.clip(np.arange(len(values)) + samples, 0, len(values) - 1)
    return values[index]


def column_of(offset_m: float) -> int:
    """Return a strip's column at a lateral offset."""
    return CENTRE + round(offset_m / STEP_M)


def filled(values: Array, fallback: float) -> Array:
    """Replace what was not seen."""
    return np.where(np.isfinite(values), values, np.float32(fallback)).astype(np.float32)


def occupied_features(tone: Tone, common: LookTone) -> Array:
    """Return what tells whether a car stands here, shape (n, features), float32; NaN where there is no colour."""
    grey = filled(tone.grey, common.ends)
    n = len(grey)
    body = grey[:, column_of(-1.0) : column_of(1.0) + 1].mean(axis=1)
    out: list[Array] = [running_mean(body, metres) - common.ends for metres in (1.5, 6.0, 20.0, 80.0)]
    out.append(running_mean(body, 6.0) - np.float32(np.median(body)))
    long = running_mean(grey, 7.0)
    middle = long[:, column_of(-1.0) : column_of(1.0) + 1].mean(axis=1)
    short = running_mean(grey, 1.5)
    offsets = (-6, -5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6)
    out += [long[:, column_of(offset)] - middle for offset in offsets]
    out += [short[:, column_of(offset)] - short[:, CENTRE] for offset in (-3, -2, -1, 1, 2, 3)]
    sides = np.stack([long[:, column_of(-2.5)], long[:, column_of(2.5)]])
    out += [middle - sides.max(axis=0), middle - sides.min(axis=0)]
    step = np.diff(grey, axis=1)
    for offset in (-2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2):
        column = step[:, column_of(offset)]
        out.append(np.abs(running_mean(column, 8.0)))
        if abs(offset + 0.25) > 1:
            out.append(running_mean(np.abs(column), 8.0))
    ramp = np.gradient(body).astype(np.float32)
    for metres in (3.0, 10.0):
        out.append(maximum_filter1d(np.abs(ramp), int(metres / STEP_M), mode="nearest"))
    for metres in (3.0, 8.0, 20.0):
        out.append(running_spread(body, metres))
    out.append(running_mean(running_spread(grey, 1.5)[:, column_of(-1) : column_of(1) + 1].mean(axis=1), 6.0))
    across = grey[:, column_of(-1) : column_of(1) + 1]
    out.append(running_mean(across.std(axis=1), 6.0))
    out += repetition(body)
    out += _colours(tone, common, n)
    out += [np.full(n, common.gsd_m, np.float32), np.full(n, common.noise, np.float32)]
    return np.stack(out, axis=1).astype(np.float32)


def _colours(tone: Tone, common: LookTone, n: int) -> list[Array]:
    if tone.red_blue is None or tone.green is None:
        return [np.full(n, np.nan, np.float32)] * 6
    out: list[Array] = []
    planes = ((tone.red_blue, common.ends_red_blue), (tone.green, common.ends_green))
    for plane, reference in planes:
        values = filled(plane, reference) - np.float32(reference)
        body = values[:, column_of(-1) : column_of(1) + 1].mean(axis=1)
        side = (values[:, column_of(-2.5)] + values[:, column_of(2.5)]) / 2
        out += [running_mean(body, 3.0), np.abs(running_mean(body - side, 5.0)), running_spread(body, 20.0)]
    return out


def repetition(body: Array) -> list[Array]:
    """Return how strongly notches recur at car pitch (11 to 18.5 m) and at trailer pitch (2.5 to 5 m)."""
    notch = body - (shifted(body, -4) + shifted(body, 4)) * np.float32(0.5)
    energy = running_mean(notch**2, 45.0) + np.float32(1e-4)
    ratios: list[Array] = []
    for low, high in ((2.5, 5.0), (11.0, 18.5)):
        lags = range(int(low / STEP_M), int(high / STEP_M) + 1)
        match = np.stack([running_mean(notch * shifted(notch, lag), 45.0) for lag in lags])
        ratios.append(match.max(axis=0) / energy)
    return ratios


def boundary_features(tone: Tone, common: LookTone) -> Array:
    """Return what tells whether a car ends here, shape (n, features), float32."""
    grey = filled(tone.grey, common.ends)
    body = grey[:, column_of(-1.0) : column_of(1.0) + 1].mean(axis=1)
    spread = np.maximum(running_spread(body, 20.0), np.float32(0.03))
    level = running_mean(body, 12.0)
    reach = (-10, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 10)
    out: list[Array] = [shifted(body, d) - level for d in reach]
    out += [np.asarray((shifted(body, d) - level) / spread, dtype=np.float32) for d in (-2, -1, 0, 1, 2)]
    for half in (2, 3, 4):
        notch = body - (shifted(body, -half) + shifted(body, half)) * np.float32(0.5)
        out += [notch, notch / spread]
    ahead, behind = shifted(running_mean(body, 3.5), 5), shifted(running_mean(body, 3.5), -5)
    out += [ahead - behind, np.abs(ahead - behind), np.abs(ahead - behind) / spread]
    edges = np.abs(np.diff(grey, axis=1))
    edge: Array = np.maximum(
        edges[:, column_of(-2) : column_of(-1)].max(axis=1), edges[:, column_of(1) : column_of(2)].max(axis=1)
    )
    for d in (-6, -3, -1, 0, 1, 3, 6):
        out.append(shifted(edge, d))
    for offset in (-2.5, -2, -1.5, -1, 0, 1, 1.5, 2, 2.5):
        column = grey[:, column_of(offset)]
        out.append(column - (shifted(column, -4) + shifted(column, 4)) * np.float32(0.5))
    roughness = running_mean(np.abs(np.gradient(body)).astype(np.float32), 4.0)
    out += [shifted(roughness, -7), shifted(roughness, 7)]
    for metres in (6.0, 20.0):
        out.append(running_mean(body, metres) - common.ends)
    long = running_mean(grey, 7.0)
    for d in (-8, 0, 8):
        for offset in (-2.5, 2.5):
            out.append(shifted(long[:, column_of(offset)] - long[:, CENTRE], d))
    out += _boundary_colours(tone, common, len(grey))
    out += [np.full(len(grey), common.gsd_m, np.float32), np.full(len(grey), common.noise, np.float32)]
    return np.stack(out, axis=1).astype(np.float32)


def _boundary_colours(tone: Tone, common: LookTone, n: int) -> list[Array]:
    if tone.red_blue is None or tone.green is None:
        return [np.full(n, np.nan, np.float32)] * 2
    change: list[Array] = []
    for plane, reference in ((tone.red_blue, common.ends_red_blue), (tone.green, common.ends_green)):
        values = running_mean(filled(plane, reference)[:, column_of(-1) : column_of(1) + 1].mean(axis=1), 3.0)
        change.append(np.abs(shifted(values, 4) - shifted(values, -4)))
    return change


def kind_features(tone: Tone, common: LookTone, start_m: float, end_m: float) -> NDArray[np.float32]:
    """Return what tells the kind of one car between two stations, shape (features,), float32."""
    grey = filled(tone.grey, common.ends)
    s = tone.strip.stations
    length = end_m - start_m
    along = np.linspace(start_m + 0.04 * length, end_m - 0.04 * length, 15)
    rows = np.clip(np.round((along - s[0]) / STEP_M).astype(int), 0, len(s) - 1)
    columns = [column_of(o) for o in (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)]
    patch = grey[np.ix_(rows, np.array(columns))]
    core = patch[:, 2:-2]
    inner = patch[:, 3:-3]
    profile = inner.mean(axis=1)
    out: list[float] = [length, float(core.mean()) - common.ends, float(core.std()), float(profile.std())]
    out += [float(v) for v in np.quantile(inner, [0.05, 0.25, 0.75, 0.95]) - core.mean()]
    out += [float(v) for v in patch.mean(axis=0) - core.mean()]
    out += [float(v) for v in patch[2:-2].std(axis=0)]
    out += [float(v) for v in profile - profile.mean()]
    folded = (profile + profile[::-1]) / 2 - profile.mean()
    out += [float(v) for v in folded[:8]]
    sides = patch[:, [0, -1]].mean(axis=0)
    out += [float(sides.min()) - common.ends, float(sides.max()) - common.ends]
    lateral = patch.mean(axis=0)
    fold = (lateral + lateral[::-1]) / 2
    out += [float(v) for v in fold[:6] - fold[5]]
    out.append(float(np.abs(np.diff(profile)).mean()))
    for plane, reference in ((tone.red_blue, common.ends_red_blue), (tone.green, common.ends_green)):
        if plane is None:
            out += [np.nan] * 3
            continue
        colour = filled(plane, reference)[np.ix_(rows, np.array(columns[3:-3]))] - reference
        out += [float(colour.mean()), float(colour.std()), float(colour.mean(axis=1).std())]
    out += [common.gsd_m, common.noise, common.ends]
    return np.array(out, dtype=np.float32)
