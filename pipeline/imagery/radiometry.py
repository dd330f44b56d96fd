"""Digital numbers become values; for Sentinel-2 the pixels decide whether the offset of 1000 is in them.

From processing baseline 04.00 (25 January 2022, and in reprocessed older scenes) ESA adds 1000 to the digital
numbers of Sentinel-2 L2A, so that reflectance is (DN - 1000) / 10000 (ESA, Sentinel-2 Products Specification
Document, issue 14.9, section 4.3.7). Catalogues disagree on whether their files still carry it. A wrong belief is a
step of 0.1 in reflectance, so each scene is judged by what its dark ground can physically be:

* vegetation absorbs blue and red light: reflectance 0.01 to 0.07 under any sun;
* open water is darker than 0.08 in the near infrared;
* the darkest hundredth of a land scene (shade, water, wet soil) lies between -0.01 and 0.08 in its two darkest
  bands. Cloud only brightens, so dark pixels between clouds say as much as those of a clear day.

If the numbers carry the offset these figures come out 0.1 higher, which is outside their range. Haze lifts dark
ground in visible light as an offset does, but not in the short-wave infrared nor over water in the near infrared.
Where the window holds nothing dark (cloud, snow, desert), or only haze that an offset would look like, the verdict
is "ambiguous" and the look is rejected: metadata alone is never believed.
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
BRIGHT = 0.20  # where even the darkest ground is brighter, the window holds nothing dark: cloud, snow
MIN_PIXELS = 30  # of a class, for its median to count; of a band, for its darkest pixels
DARK_SHARE = 0.005  # of the valid pixels, whose brightest is the floor of a band
VEGETATION, WATER = 4, 6  # scene classes of Sentinel-2 L2A
THIN, SNOW = (7, 8, 10), 11  # unclassified, probable cloud, cirrus: the classes that thin cloud and haze fall into
HAZY_SHARE = 0.12  # of the window in those classes, above which visible and near infrared light alone are not trusted
HAZY_SHARE_SWIR = 0.30  # and where there is short-wave infrared too, whose floor only thick haze lifts by 0.1
KNOWN_MAX = OFFSET + 0.08  # reflectance with the offset in it that water in the infrared cannot exceed
UNCLEAR = (0, 1, 8, 9, 10)  # no data, saturated, cloud, cirrus: not the ground
NO_PIXEL, THICK = (0, 1), (0, 1, 9)
INFRARED, SHORT_WAVE = ("nir", "nir08", "swir16", "swir22"), ("swir16", "swir22")


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
    """Decide from pixels and metadata whether a Sentinel-2 chip's numbers carry the offset.

    Parameters
    ----------
    chip : Chip
        Of Sentinel-2.

    Returns
    -------
    Verdict
        Flag `OFFSET_OVERRIDDEN` where the pixels contradict the metadata, `OFFSET_AMBIGUOUS` where the pixels do
        not settle it.
    """
    declared, coherent = _declared(chip)
    evidence = _evidence(chip)
    measures: dict[str, float] = {"offset_declared": float(declared)}
    if evidence.known is not None:
        measures["offset_known_ground"] = round(evidence.known, 4)
    if evidence.darkest is not None:
        measures["offset_darkest"] = round(evidence.darkest, 4)
    seen, why = _seen(evidence, declared, coherent)
    measures["offset_carried"] = float(declared if seen is None else seen)
    if seen is None:
        return Verdict(
            declared,
            ("OFFSET_AMBIGUOUS",),
            measures,
            f"Nothing settles whether the numbers carry the radiometric offset of 1000: {why}.",
        )
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


@dataclass(frozen=True)
class _Evidence:
    """What the pixels show, as reflectance with no offset removed; None where there are not enough of them."""

    darkest: float | None  # mean of the floors of the two darkest bands, over everything in sight
    known: float | None  # darkest median over ground of known darkness: vegetation, water
    water: float | None  # median over water in the short-wave infrared, which haze does not lift
    hazy: bool  # much of the window may be thin cloud or haze
    through_haze: bool  # there is ground that is dark in the short-wave infrared, which haze does not lift


def _evidence(chip: Chip) -> _Evidence:
    scale = np.asarray(chip.scale, dtype=np.float64)
    raw = {name: chip.values[i].astype(np.float64) * scale[i] for i, name in enumerate(chip.bands)}
    classes = np.full(chip.grid.shape, 5, dtype=np.uint8) if chip.classes is None else chip.classes
    usable: BoolArray = chip.valid & ~np.isin(classes, NO_PIXEL)
    ground: BoolArray = usable & ~np.isin(classes, UNCLEAR)

    def medians(kind: int, names: tuple[str, ...]) -> list[float]:
        pixels = ground & (classes == kind)
        if int(pixels.sum()) < MIN_PIXELS:
            return []
        return [float(np.median(raw[name][pixels])) for name in names if name in raw]

    water = medians(WATER, SHORT_WAVE)
    known = medians(WATER, INFRARED) + medians(VEGETATION, ("blue", "red"))
    # Vegetation is dark at 2.2 um (0.03 to 0.1) but not at 1.6 um; water is dark at both.
    past_haze = water + medians(VEGETATION, ("swir22",))
    between = usable & ~np.isin(classes, THICK)
    # Thin cloud is often classed as snow; the short-wave infrared, where snow is dark, tells them apart.
    short_wave = any(name in raw for name in SHORT_WAVE)
    doubtful, limit = (THIN, HAZY_SHARE_SWIR) if short_wave else ((*THIN, SNOW), HAZY_SHARE)
    thin = np.isin(classes[between], doubtful).mean() if between.any() else 1.0
    return _Evidence(
        darkest=_darkest(list(raw.values()), usable),
        known=min(known, default=None),
        water=min(water, default=None),
        # Without a product's mask haze is not told: it is taken to be there unless there is a band that sees past it.
        hazy=bool(thin > limit) if chip.classes is not None else "swir22" not in raw,
        through_haze=bool(past_haze),
    )


def _darkest(bands: list[NDArray[np.float64]], where: BoolArray) -> float | None:
    """Return the mean of the two lowest floors; a floor is the brightest of a band's darkest pixels."""
    count = int(where.sum())
    if count < 4 * MIN_PIXELS:
        return None
    rank = max(MIN_PIXELS, round(DARK_SHARE * count))
    floors = sorted(float(np.partition(band[where], rank)[rank]) for band in bands)
    return float(np.mean(floors[:2]))


def _seen(evidence: _Evidence, declared: bool, coherent: bool) -> tuple[bool | None, str]:
    """Return what the pixels say (True carried, False not, None nothing) and for None the reason, half a sentence."""
    known, darkest, water = evidence.known, evidence.darkest, evidence.water
    if (known is not None and known < SPLIT) or (darkest is not None and darkest < SPLIT - GREY):
        return False, ""
    reason = ""
    if darkest is None:
        reason = "too few pixels are valid"
    elif darkest >= BRIGHT:
        reason = "cloud or snow leaves no dark ground in the window"
    elif darkest < CERTAIN:
        reason = "the darkest ground in the window fits both"
    elif water is not None and CERTAIN <= water < KNOWN_MAX:
        pass
    elif evidence.hazy and not (evidence.through_haze and declared):
        reason = "haze over the window looks like an offset"
    elif known is None and not (declared and coherent):
        reason = "the window shows no vegetation and no water, and its metadata are not to be relied on"
    return (None, reason) if reason else (True, "")
