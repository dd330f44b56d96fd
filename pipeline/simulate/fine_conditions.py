"""Under which light, weather and sensor a fine scene (0.3 to 5 m) is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.simulate.fine_worlds import Grain, World, draw_sheet, draw_world

Sky = Literal["sun", "overcast", "haze"]
BandSet = Literal["pan", "rgb", "rgbn"]
BAND_NAMES: dict[str, tuple[str, ...]] = {
    "pan": ("pan",),
    "rgb": ("red", "green", "blue"),
    "rgbn": ("red", "green", "blue", "nir"),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything about a fine scene that is neither the yard nor its cars."""

    gsd_m: float = 0.5
    sun_elevation_deg: float = 40.0
    sun_azimuth_deg: float = 165.0  # clockwise from north, towards the sun
    off_nadir_deg: float = 0.0
    view_azimuth_deg: float = 100.0  # clockwise from north, from the ground towards the sensor
    sky: Sky = "sun"
    haze: float = 0.0  # share of path radiance, 0..1
    snow: float = 0.0  # share of the ground that is covered, 0..1
    roof_snow: float = 0.0  # mean share of a car's upper side that is covered
    wet: float = 0.0  # share of the ballast that is wet, in patches
    contrast: float = 1.0  # of objects and shadows against the ground; 1 is full
    unseen_colours: bool = False
    psf_px: float = 0.45  # Gaussian sigma of the point spread, output pixels
    sharpen: float = 0.0  # strength of the publisher's sharpening
    noise: float = 0.006  # standard deviation, reflectance
    jpeg: float = 0.0  # quantisation step of 8x8 cosine blocks, digital numbers of 8 bit; 0 is lossless
    bands: BandSet = "rgb"
    bits: Literal[8, 16] = 8
    gamma: float = 1.0
    misalignment_m: float = 0.0  # common shift of the site's tracks against the rails
    track_jitter_m: float = 0.0  # standard deviation of each track's own lateral error
    rotation_deg: float = 0.0  # of the pixel grid against the site's axes
    clutter: float = 1.0  # how much stands beside the tracks: platforms, roofs, containers, trucks; 0 is nothing
    plain_cars: bool = False  # upper sides without the patterns of their kinds
    rail_strength: float = 1.0  # how clearly rails and sleepers show, 0..1
    decoys: int = 0  # tracks of the site that lie on rows of trailers, roads or roofs instead of rails
    bare: bool = False  # one even surface everywhere: no country, track beds or stains
    shade: float | None = None  # depth of shadows, 0 (none) to 1; None draws it
    penumbra_m: float = 0.0  # by which the edges of shadows are soft
    any_albedo: bool = False  # cars from coal black to fresh white, 0.03 to 0.8, one fleet alike or every car its own
    world: World | None = None  # rules of a simplified world instead of all that the yard and its cars are made of
    sheet: Grain = ()  # texture over the whole picture, cars and all
    curve: float = 0.0  # strength of an S-shaped tone curve, 0..1
    speckle: float = 0.0  # standard deviation of noise in the finished picture, of its range
    enlarged: float = 1.0  # by which the picture was enlarged from fewer pixels
    clipped: float = 0.01  # most of the pixels that are black, and as many white, in a picture of 8 bits


# What a second sensor may have of its own.
SENSOR = (
    "haze", "psf_px", "sharpen", "noise", "jpeg", "bands", "bits", "gamma", "misalignment_m", "track_jitter_m",
    "curve", "speckle", "enlarged", "clipped",
)  # fmt: skip

WORLDS = 0.65  # share of simplified worlds among other conditions


def draw_conditions(rng: np.random.Generator, gsd_m: float) -> Conditions:
    """Draw conditions as widely as the counter shall know them.

    Half of the scenes are clear days over bare ground, a tenth of those drawn as a plain picture without beds or
    rails. Of the others a quarter is snowed in, a quarter overcast, one in eight hazy; half have weakened contrast;
    a third have cars of unseen colours.
    """
    return _ordinary(rng, gsd_m) if rng.random() < 0.5 else _adverse(rng, gsd_m)


def other_conditions(rng: np.random.Generator, gsd_m: float) -> Conditions:
    """Draw what is unlike all that `draw_conditions` draws: a simplified world, or a picture that was worked on."""
    return _world(rng, gsd_m) if rng.random() < WORLDS else _published(draw_conditions(rng, gsd_m), rng)


def _world(rng: np.random.Generator, gsd_m: float) -> Conditions:
    """Draw a simplified world under any light, seen by any sensor."""
    draw = rng.random()
    sky: Sky = "overcast" if draw < 0.15 else "sun"
    drawn = Conditions(
        gsd_m=gsd_m,
        sun_elevation_deg=float(rng.uniform(15.0, 72.0)),
        sun_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        off_nadir_deg=float(rng.choice([0.0, 0.0, rng.uniform(0.0, 18.0)])),
        view_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        sky=sky,
        haze=float(rng.choice([0.0, rng.uniform(0.0, 0.3)])),
        contrast=float(rng.uniform(0.35, 1.0)) if rng.random() < 0.35 else 1.0,
        psf_px=float(rng.uniform(0.3, 0.9)),
        noise=float(np.exp(rng.uniform(np.log(0.001), np.log(0.015)))),
        bands=("pan", "rgb", "rgb", "rgbn")[int(rng.integers(4))],
        bits=8 if rng.random() < 0.65 else 16,
        gamma=float(rng.choice([1.0, rng.uniform(0.5, 1.7)])),
        misalignment_m=float(abs(rng.normal(0.0, 0.7))),
        track_jitter_m=float(rng.choice([0.0, rng.uniform(0.0, 0.4)])),
        rotation_deg=float(rng.choice([0.0, rng.uniform(-45.0, 45.0)])),
        clutter=float(rng.choice([0.0, rng.uniform(0.0, 1.0)])),
        decoys=int(rng.choice([0, 0, 0, 0, 1])),
        penumbra_m=float(rng.choice([0.0, rng.uniform(0.0, 0.8)])),
        shade=0.0 if rng.random() < 0.1 else None,
        world=draw_world(rng),
        sheet=draw_sheet(rng),
    )
    return _published(drawn, rng) if rng.random() < 0.5 else drawn


def _published(conditions: Conditions, rng: np.random.Generator) -> Conditions:
    """Return conditions with a publisher's hand in them: enlarged, sharpened, stretched, compressed."""
    return replace(
        conditions,
        sharpen=float(rng.choice([conditions.sharpen, rng.uniform(0.3, 1.8)])),
        curve=float(rng.choice([0.0, rng.uniform(0.0, 1.0)])),
        speckle=float(rng.choice([0.0, rng.uniform(0.0, 0.04)])),
        enlarged=float(rng.choice([1.0, rng.uniform(1.0, 1.8)])),
        clipped=float(rng.choice([0.01, rng.uniform(0.0, 0.05)])),
        jpeg=float(rng.choice([conditions.jpeg, rng.uniform(2.0, 10.0)])),
    )


def _ordinary(rng: np.random.Generator, gsd_m: float) -> Conditions:
    """Draw a clear day."""
    bare = bool(rng.random() < 0.12)
    return Conditions(
        gsd_m=gsd_m,
        sun_elevation_deg=float(rng.uniform(18.0, 68.0)),
        sun_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        off_nadir_deg=float(rng.uniform(0.0, 16.0)),
        view_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        haze=float(rng.choice([0.0, rng.uniform(0.0, 0.12)])),
        wet=float(rng.choice([0.0, rng.uniform(0.1, 0.7)])),
        psf_px=float(rng.uniform(0.35, 0.7)),
        noise=float(np.exp(rng.uniform(np.log(0.002), np.log(0.010)))),
        bands=("pan", "rgb", "rgbn")[int(rng.integers(3))],
        bits=8 if rng.random() < 0.5 else 16,
        gamma=float(rng.choice([1.0, rng.uniform(0.6, 1.2)])),
        misalignment_m=float(abs(rng.normal(0.0, 0.5))),
        track_jitter_m=float(rng.choice([0.0, rng.uniform(0.0, 0.4)])),
        rotation_deg=float(rng.choice([0.0, rng.uniform(-45.0, 45.0)])),
        clutter=float(rng.uniform(0.0, 1.0)),
        rail_strength=float(rng.choice([1.0, 0.0, rng.uniform(0.0, 1.0)])) if bare else 1.0,
        decoys=int(rng.choice([0, 0, 0, 0, 1])),
        bare=bare,
        shade=float(rng.choice([0.0, rng.uniform(0.3, 1.0)])) if bare else None,
        penumbra_m=float(rng.choice([0.0, rng.uniform(0.0, 0.8)])),
        plain_cars=bool(bare and rng.random() < 0.7),
        any_albedo=bool(rng.random() < (0.5 if bare else 0.05)),
    )


def _adverse(rng: np.random.Generator, gsd_m: float) -> Conditions:
    """Draw a day on which something stands in the way."""
    sky: Sky = "sun"
    draw = rng.random()
    if draw < 0.26:
        sky = "overcast"
    elif draw < 0.38:
        sky = "haze"
    snowed = rng.random() < 0.28
    contrast = float(rng.uniform(0.32, 1.0)) if rng.random() < 0.5 else 1.0
    bare = bool(rng.random() < 0.15)
    return Conditions(
        gsd_m=gsd_m,
        sun_elevation_deg=float(rng.uniform(17.0, 70.0)),
        sun_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        off_nadir_deg=float(rng.choice([0.0, rng.uniform(0.0, 20.0)])),
        view_azimuth_deg=float(rng.uniform(0.0, 360.0)),
        sky=sky,
        haze=float(rng.uniform(0.15, 0.4)) if sky == "haze" else float(rng.uniform(0.0, 0.15)),
        snow=float(rng.uniform(0.4, 1.0)) if snowed else 0.0,
        roof_snow=float(rng.choice([0.0, rng.uniform(0.1, 0.9)])) if snowed else 0.0,
        wet=float(rng.choice([0.0, rng.uniform(0.1, 0.8)])),
        contrast=contrast,
        unseen_colours=bool(rng.random() < 0.33),
        psf_px=float(rng.uniform(0.3, 0.9)),
        sharpen=float(rng.choice([0.0, rng.uniform(0.0, 0.8)])),
        noise=float(np.exp(rng.uniform(np.log(0.001), np.log(0.012)))),
        jpeg=float(rng.choice([0.0, 0.0, rng.uniform(2.0, 8.0)])),
        bands=("pan", "rgb", "rgb", "rgbn")[int(rng.integers(4))],
        bits=8 if rng.random() < 0.6 else 16,
        gamma=float(rng.uniform(0.5, 1.3)),
        misalignment_m=float(abs(rng.normal(0.0, 0.8))),
        track_jitter_m=float(rng.choice([0.0, rng.uniform(0.0, 0.4)])),
        rotation_deg=float(rng.choice([0.0, rng.uniform(-45.0, 45.0)])),
        clutter=float(rng.uniform(0.0, 1.0)),
        plain_cars=bool(rng.random() < 0.2),
        rail_strength=float(rng.choice([1.0, rng.uniform(0.0, 1.0)])),
        decoys=int(rng.choice([0, 0, 0, 1, 2])),
        bare=bare,
        shade=float(rng.choice([0.0, rng.uniform(0.2, 1.0)])) if bare else None,
        penumbra_m=float(rng.choice([0.0, rng.uniform(0.0, 1.0)])),
        any_albedo=bool(rng.random() < 0.15),
    )


HARD: dict[str, dict[str, object]] = {
    "plain": {},
    "snow": {"snow": 0.9, "roof_snow": 0.4},
    "overcast": {"sky": "overcast"},
    "half contrast": {"contrast": 0.5},
    "tracks 1 m off": {"misalignment_m": 1.0},
    "unseen colours": {"unseen_colours": True},
}


def fair_conditions(rng: np.random.Generator, gsd_m: float, hard: str = "plain") -> Conditions:
    """Draw ordinary conditions, made hard in one named respect (a key of `HARD`): not for training."""
    base = Conditions(
        gsd_m=gsd_m,
        sun_elevation_deg=float(rng.uniform(22.0, 65.0)),
        sun_azimuth_deg=float(rng.uniform(140.0, 200.0)),
        off_nadir_deg=float(rng.uniform(0.0, 12.0)),
        view_azimuth_deg=float(rng.choice([100.0, 280.0])),
        wet=float(rng.choice([0.0, 0.4])),
        psf_px=float(rng.uniform(0.4, 0.6)),
        noise=float(rng.uniform(0.003, 0.008)),
        bands=("pan", "rgb", "rgbn")[int(rng.integers(3))],
        bits=8 if rng.random() < 0.5 else 16,
        misalignment_m=float(rng.uniform(0.0, 0.4)),
        rotation_deg=float(rng.choice([0.0, 20.0])),
        clutter=0.6,
    )
    return replace(base, **HARD[hard])  # type: ignore[arg-type]


def usual_conditions(rng: np.random.Generator, gsd_m: float) -> Conditions:
    """Draw what most images are like, half of them hard in one respect, with the sun on any side: for intervals."""
    hard = "plain" if rng.random() < 0.5 else list(HARD)[int(rng.integers(1, len(HARD)))]
    return replace(fair_conditions(rng, gsd_m, hard), sun_azimuth_deg=float(rng.uniform(0.0, 360.0)))
