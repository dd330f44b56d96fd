"""Digital numbers become values; for Sentinel-2 the pixels decide whether the offset of 1000 is in them.

From processing baseline 04.00 (25 January 2022, and in reprocessed older scenes) ESA adds 1000 to the digital
numbers of Sentinel-2 L2A, so that reflectance is (DN - 1000) / 10000 (ESA, Sentinel-2 Products Specification
Document, issue 14.9, section 4.3.7). Catalogues disagree on whether their files still carry it. A wrong belief is a
step of 0.1 in reflectance, so each scene is judged by what its dark ground can physically be:

* vegetation absorbs blue and red light: reflectance 0.01 to 0.07 under any sun;
* open water is darker than 0.08 in the near infrared;
* the darkest hundredth of a clear land scene (shade, water, wet soil) lies between 0 and 0.08 in its two darkest
  bands, and never below -0.02.

If the numbers carry the offset these figures come out 0.1 higher, which is outside their range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.imagery.items import BASELINE_0400, baseline_of
from pipeline.model import BoolArray, Chip

OFFSET = 0.1  # reflectance; 1000 digital numbers
SPLIT = 0.085  # reflectance without any offset removed: below it the offset cannot be in the numbers
CERTAIN = 0.092  # and above it, over known dark ground, it must be
GREY = 0.005  # reflectance; between SPLIT - GREY and CERTAIN the darkest ground fits both beliefs
BRIGHT = 0.20  # where even the darkest ground is brighter, the window holds nothing dark: cloud
MIN_PIXELS = 30  # of a class, for its median to count
VEGETATION, WATER, SNOW = 4, 6, 11  # scene classes of Sentinel-2 L2A
THIN, HAZY_SHARE = (7, 8, 10), 0.25  # unclassified, probable cloud, cirrus; and how much of them is haze
UNCLEAR = (0, 1, 8, 9, 10)  # no data, saturated, cloud, cirrus: not the ground


@dataclass(frozen=True)
class Verdict:
    """Whether the offset is in the numbers."""

    carried: bool  # True: 0.1 is to be taken off
    flags: tuple[str, ...]
    measures: Mapping[str, float]
    detail: str = ""


def to_values(chip: Chip) -> tuple[NDArray[np.float32], Verdict]:
    """Turn a chip's digital numbers into values.

    Parameters
    ----------
    chip : Chip

    Returns
    -------
    values : array of float32, (bands, rows, columns)
        Surface reflectance as a fraction, or radar backscatter in linear power; nan where not valid.
    Verdict
        For Sentinel-2 the word on the offset; else the declared offset, without flags.
    """
    scale = np.asarray(chip.scale, dtype=np.float64)[:, None, None]
    offset = np.asarray(chip.offset, dtype=np.float64)[:, None, None]
    verdict = Verdict(False, (), {})
    if chip.scene.sensor == "sentinel-2":
        verdict = judge_offset(chip)
        offset = np.where(np.asarray(verdict.carried), -OFFSET, 0.0)
    values = (chip.values.astype(np.float64) * scale + offset).astype(np.float32)
    values[:, ~chip.valid] = np.nan
    return values, verdict


def judge_offset(chip: Chip) -> Verdict:
    """Decide from metadata and pixels whether a Sentinel-2 chip's numbers carry the offset.

    Parameters
    ----------
    chip : Chip
        Of Sentinel-2.

    Returns
    -------
    Verdict
        Flag `OFFSET_OVERRIDDEN` where the pixels contradict the metadata, `OFFSET_AMBIGUOUS` where neither
        settles it.
    """
    declared, coherent = _declared(chip)
    known, darkest = _evidence(chip)
    measures: dict[str, float] = {"offset_declared": float(declared)}
    if known is not None:
        measures["offset_known_ground"] = round(known, 4)
    if darkest is not None:
        measures["offset_darkest"] = round(darkest, 4)
    seen = _seen(known, darkest, declared)
    grey = declared and darkest is not None and SPLIT - GREY <= darkest < CERTAIN
    doubtful = darkest is not None and darkest < BRIGHT and not coherent
    # Haze lifts dark ground as an offset does: under it, pixels alone do not overrule the metadata.
    overruled_in_haze = seen is True and not declared and _hazy(chip)
    if overruled_in_haze or (seen is None and (grey or doubtful)):
        measures["offset_carried"] = float(declared)
        return Verdict(
            declared,
            ("OFFSET_AMBIGUOUS",),
            measures,
            "Neither the item's metadata nor the darkest ground in the window settle whether the numbers carry the "
            "radiometric offset.",
        )
    seen = declared if seen is None else seen
    measures["offset_carried"] = float(seen)
    return Verdict(seen, ("OFFSET_OVERRIDDEN",) if seen != declared else (), measures)


def _declared(chip: Chip) -> tuple[bool, bool]:
    """Return what the metadata says of the offset, and whether its parts agree among themselves.

    The parts are the declared offset, the catalogue's word that it is already removed, and the processing
    baseline. Agreement is: before 04.00 no offset; from 04.00 on one that is declared and not removed.
    """
    declared = bool(np.median(chip.offset) < -OFFSET / 2)
    head = chip.scene.items[0]
    carried = declared and head.offset_applied is not True
    baseline = baseline_of(head.processing)
    coherent = baseline > (0, 0) and carried == (baseline >= BASELINE_0400)
    return carried, coherent


def _evidence(chip: Chip) -> tuple[float | None, float | None]:
    """Return reflectance, no offset removed, of ground of known darkness and of the darkest ground.

    None where the window does not hold enough such pixels.
    """
    scale = np.asarray(chip.scale, dtype=np.float64)
    raw = {name: chip.values[i].astype(np.float64) * scale[i] for i, name in enumerate(chip.bands)}
    ground: BoolArray = chip.valid.copy()
    known: list[float] = []
    if chip.classes is not None:
        ground &= ~np.isin(chip.classes, UNCLEAR)
        for kind, names in ((VEGETATION, ("blue", "red")), (WATER, ("nir", "nir08", "swir16"))):
            pixels = ground & (chip.classes == kind)
            if int(pixels.sum()) >= MIN_PIXELS:
                known += [float(np.median(raw[name][pixels])) for name in names if name in raw]
    if int(ground.sum()) < 4 * MIN_PIXELS:
        return (min(known) if known else None), None
    floors = sorted(float(np.percentile(band[ground], 1.0)) for band in raw.values())
    return (min(known) if known else None), float(np.mean(floors[:2]))


def _seen(known: float | None, darkest: float | None, declared: bool) -> bool | None:
    """Return what the pixels say: True carried, False not, None nothing."""
    if known is not None and known < SPLIT:
        return False
    if darkest is None:
        return None
    if darkest < SPLIT - GREY:
        return False
    if darkest < CERTAIN or darkest >= BRIGHT:
        return None
    return True if declared or (known is not None and known >= CERTAIN) else None


def _hazy(chip: Chip) -> bool:
    """Tell whether much of the window is of the classes that thin cloud and haze fall into."""
    if chip.classes is None or not chip.valid.any():
        return True
    return bool(np.isin(chip.classes[chip.valid], THIN).mean() > HAZY_SHARE)
