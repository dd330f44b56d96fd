"""Kinds of railcar with their real dimensions, colours and radar brightness, and the grounds they stand on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model import RailcarKind

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")  # order of every reflectance tuple of this package
CAR_WIDTH_M = 3.0  # loading gauges of 1435 and 1520 mm lines allow 3.15 to 3.40 m; bodies are 2.9 to 3.2 m
COUPLING_GAP_M = 1.1  # between the bodies of two coupled cars

Spectrum = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class KindModel:
    """What one kind of railcar looks like from above."""

    kind: RailcarKind
    share: float  # of a mixed freight yard; shares sum to 1
    lengths_m: tuple[tuple[float, float, float], ...]  # over couplers: (weight, mean, standard deviation)
    width_m: float  # of the body
    height_m: float  # of the roof, rim or deck above the rail
    colours: tuple[Spectrum, ...]  # typical surface reflectances seen from above, in the order of `BANDS`
    backscatter_vv_db: float  # brightness of one metre of car over one metre of empty track, Sentinel-1 VV, dB
    backscatter_vh_db: float  # the same in VH


# Lengths over couplers: 4-axle open car 13.92 m, covered car 14.73 to 16.97 m, tank 12.02 m, flat car 14.62 m
# (and container flats of 19.6 m, left out as rare), TE10/M62 locomotives 16.97 to 17.4 m, passenger cars 24.5 m:
# Russian Railways' wagon albums; the yard's mixture is then close to 0.93 N(14.05, 0.9) + 0.07 N(16.9, 0.7).
# Backscatter hints: metal corners over ballast; order of magnitude from ship and container studies, to be randomised.
KINDS: dict[RailcarKind, KindModel] = {
    model.kind: model
    for model in (
        KindModel(
            RailcarKind.ORE,
            0.44,
            ((0.85, 13.92, 0.35), (0.15, 12.4, 0.4)),
            3.1,
            3.4,
            (
                (0.05, 0.055, 0.065, 0.09, 0.12, 0.11),  # coal or ore load
                (0.07, 0.085, 0.12, 0.17, 0.22, 0.20),  # rusty, empty
                (0.10, 0.12, 0.14, 0.17, 0.20, 0.19),  # grey load
                (0.16, 0.19, 0.23, 0.28, 0.32, 0.30),  # sand, gravel
            ),
            7.0,
            6.0,
        ),
        KindModel(
            RailcarKind.BOX,
            0.20,
            ((0.75, 14.73, 0.3), (0.25, 16.9, 0.5)),
            3.1,
            4.6,
            (
                (0.20, 0.21, 0.22, 0.24, 0.26, 0.25),  # galvanised roof
                (0.08, 0.09, 0.15, 0.22, 0.27, 0.25),  # iron red
                (0.30, 0.32, 0.33, 0.35, 0.36, 0.33),  # pale grey
                (0.09, 0.12, 0.10, 0.20, 0.20, 0.17),  # green
            ),
            6.5,
            5.5,
        ),
        KindModel(
            RailcarKind.TANK,
            0.18,
            ((1.0, 12.02, 0.25),),
            2.95,
            4.5,
            (
                (0.045, 0.047, 0.05, 0.06, 0.07, 0.07),  # black
                (0.24, 0.25, 0.26, 0.28, 0.28, 0.26),  # grey
                (0.42, 0.44, 0.45, 0.47, 0.45, 0.42),  # white
                (0.12, 0.13, 0.17, 0.22, 0.24, 0.22),  # brown, oil-stained
            ),
            4.5,
            4.0,
        ),
        KindModel(
            RailcarKind.FLAT,
            0.10,
            ((0.9, 14.3, 0.4), (0.1, 18.0, 0.4)),
            3.0,
            1.3,
            (
                (0.10, 0.12, 0.14, 0.19, 0.25, 0.23),  # weathered planks
                (0.08, 0.09, 0.11, 0.15, 0.19, 0.18),  # rusty frame
            ),
            2.5,
            2.0,
        ),
        KindModel(
            RailcarKind.PASSENGER,
            0.02,
            ((1.0, 24.54, 0.2),),
            3.1,
            4.3,
            ((0.22, 0.23, 0.24, 0.26, 0.27, 0.25), (0.07, 0.11, 0.09, 0.18, 0.17, 0.14)),
            6.0,
            5.0,
        ),
        KindModel(
            RailcarKind.LOCOMOTIVE,
            0.03,
            ((1.0, 17.1, 0.4),),
            3.05,
            4.6,
            (
                (0.07, 0.12, 0.09, 0.17, 0.15, 0.12),  # green
                (0.07, 0.07, 0.18, 0.24, 0.22, 0.19),  # red
                (0.16, 0.12, 0.10, 0.16, 0.15, 0.13),  # blue
            ),
            7.5,
            6.5,
        ),
        KindModel(
            RailcarKind.MAINTENANCE,
            0.03,
            ((1.0, 13.0, 0.9),),
            2.9,
            3.6,
            ((0.09, 0.25, 0.36, 0.42, 0.40, 0.36), (0.10, 0.18, 0.38, 0.42, 0.40, 0.36)),  # safety yellow, orange
            5.5,
            5.0,
        ),
    )
}

CONTAINER_COLOURS: tuple[Spectrum, ...] = (
    (0.17, 0.11, 0.08, 0.16, 0.15, 0.13),  # blue
    (0.06, 0.07, 0.22, 0.28, 0.27, 0.24),  # red
    (0.07, 0.14, 0.34, 0.40, 0.38, 0.34),  # orange
    (0.44, 0.46, 0.47, 0.48, 0.46, 0.43),  # white
    (0.08, 0.16, 0.10, 0.20, 0.18, 0.15),  # green
    (0.19, 0.20, 0.20, 0.22, 0.22, 0.21),  # grey
)

GROUNDS: dict[str, Spectrum] = {
    "ballast": (0.115, 0.13, 0.145, 0.18, 0.22, 0.20),
    "dark ballast": (0.075, 0.085, 0.095, 0.12, 0.16, 0.15),
    "pale ballast": (0.18, 0.20, 0.215, 0.25, 0.28, 0.26),
    "soil": (0.09, 0.12, 0.16, 0.24, 0.31, 0.27),
    "grass": (0.04, 0.07, 0.055, 0.32, 0.20, 0.11),
    "dry grass": (0.07, 0.10, 0.13, 0.25, 0.28, 0.20),
    "asphalt": (0.08, 0.085, 0.09, 0.11, 0.14, 0.13),
    "concrete": (0.22, 0.25, 0.27, 0.31, 0.34, 0.31),
    "snow": (0.86, 0.85, 0.83, 0.76, 0.12, 0.08),
    "metal roof": (0.34, 0.35, 0.36, 0.38, 0.38, 0.35),
    "blue roof": (0.26, 0.19, 0.13, 0.22, 0.22, 0.19),
    "dark roof": (0.07, 0.07, 0.075, 0.09, 0.11, 0.10),
    "rusty rail": (0.06, 0.065, 0.085, 0.11, 0.15, 0.14),
    "shiny rail": (0.30, 0.31, 0.32, 0.34, 0.36, 0.34),
    "sleeper": (0.08, 0.095, 0.11, 0.16, 0.20, 0.18),
    "concrete sleeper": (0.19, 0.21, 0.225, 0.26, 0.29, 0.27),
    "water": (0.06, 0.05, 0.035, 0.015, 0.006, 0.004),
}


def draw_kind(rng: np.random.Generator, *, shares: dict[RailcarKind, float] | None = None) -> RailcarKind:
    """Draw a kind by its share of the yard.

    Parameters
    ----------
    rng : numpy.random.Generator
    shares : dict, optional
        Weights to use instead of those of `KINDS`; they need not sum to 1.
    """
    weights = shares if shares is not None else {kind: model.share for kind, model in KINDS.items()}
    kinds = sorted(weights, key=str)
    p = np.array([weights[kind] for kind in kinds], dtype=np.float64)
    return kinds[int(rng.choice(len(kinds), p=p / p.sum()))]


def draw_length(kind: RailcarKind, rng: np.random.Generator) -> float:
    """Draw a length over couplers, metres; kept within three standard deviations."""
    parts = KINDS[kind].lengths_m
    weights = np.array([part[0] for part in parts])
    _, mean, sd = parts[int(rng.choice(len(parts), p=weights / weights.sum()))]
    return float(np.clip(rng.normal(mean, sd), mean - 3 * sd, mean + 3 * sd))


def draw_fleet_length(rng: np.random.Generator) -> float:
    """Draw a length over couplers of any freight car, metres: 0.93 N(14.05, 0.9) + 0.07 N(16.9, 0.7)."""
    mean, sd = (14.05, 0.9) if rng.random() < 0.93 else (16.9, 0.7)
    return float(np.clip(rng.normal(mean, sd), mean - 2.5 * sd, mean + 2.5 * sd))


def draw_colour(kind: RailcarKind, rng: np.random.Generator, *, unseen: bool = False) -> NDArray[np.float64]:
    """Draw the reflectance of a car's upper side.

    Parameters
    ----------
    kind : RailcarKind
    rng : numpy.random.Generator
    unseen : bool
        Any paint at all instead of the kind's typical ones.

    Returns
    -------
    array of shape (6,), float64
        Surface reflectance in the order of `BANDS`, between 0.02 and 0.6.
    """
    if unseen:
        visible = rng.uniform(0.03, 0.45, 3)
        infrared = np.clip(visible.mean() + rng.uniform(0.0, 0.2) + rng.normal(0, 0.03, 3), 0.02, 0.6)
        return np.concatenate([visible, infrared])
    colours = KINDS[kind].colours
    base = np.array(colours[int(rng.integers(len(colours)))])
    return np.clip(base * rng.lognormal(0.0, 0.12) * rng.lognormal(0.0, 0.05, 6), 0.02, 0.6)
