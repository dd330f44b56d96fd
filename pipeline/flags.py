"""The one registry of quality flags; documentation, report legends and decoders are made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "reserve", "reject"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One reservation about a look or a count."""

    name: str  # upper-case identifier, as printed in the column `flags`
    severity: Severity  # note: harmless; reserve: outcome `flagged`; reject: outcome `rejected`
    meaning: str  # one sentence for the analyst


_ALL = (
    Flag("TRACKS_PROVISIONAL", "reserve", "Track lines were not digitised from an image; do not publish this count."),
    Flag("PARTLY_CLEAR", "reserve", "Part of the track area was hidden; the interval covers the hidden part."),
    Flag("CLOUDY", "reject", "Less of the track area was clear than the site's limit."),
    Flag("SNOW", "reject", "Snow lies on the tracks; occupancy cannot be told from snow patterns."),
    Flag(
        "OFF_YARD_RESIDUAL",
        "reject",
        "The ground off the yard does not look like its own past: haze, shadow or change.",
    ),
    Flag("SHIFT_LARGE", "reject", "The image is shifted against the reference by more than the limit."),
    Flag("SHIFT_UNKNOWN", "reserve", "The shift against the reference could not be measured."),
    Flag("HISTORY_SHORT", "reject", "Too few earlier looks for a baseline; no number is possible yet."),
    Flag("NO_KNOWN_DATES", "reserve", "No date with a known count calibrates scale and zero; the interval is wider."),
    Flag(
        "OFFSET_OVERRIDDEN", "note", "The pixels contradict the item's radiometric offset; the pixels were followed."
    ),
    Flag("OFFSET_AMBIGUOUS", "reject", "Neither metadata nor pixels settle the radiometric offset."),
    Flag("CANOPY", "note", "A canopy hides part of the tracks at this date."),
    Flag(
        "APRON_ACTIVE",
        "reserve",
        "The apron beside the tracks is busy (containers, trucks); cars may be confused with it.",
    ),
    Flag("OUT_OF_DISTRIBUTION", "reject", "The image is unlike anything the counter was trained on."),
    Flag("METHODS_DISAGREE", "reserve", "The count from length alone differs by more than 8 %."),
    Flag("DATE_UNCERTAIN", "reserve", "The acquisition date is a range or comes from a release date."),
    Flag("TRACKS_OUTSIDE", "reject", "No track of the site lies inside the image."),
    Flag("NO_DATA", "reject", "The image holds no valid pixel over the track area."),
    Flag("CONSTANT_IMAGE", "reject", "The image is constant over the track area."),
    Flag(
        "TRACKS_OVERGROWN",
        "reserve",
        "The track area is under closed vegetation; what changes there is growth and felling, and it is not judged.",
    ),
    Flag("COUNT_CAPPED", "reserve", "The count reached the largest number that the method can state."),
    Flag("SAMPLING_UNSUITED", "reject", "No counting method covers this ground sampling."),
    Flag(
        "RADAR_UNCALIBRATED",
        "note",
        "The radar numbers are squared amplitudes without calibration; only a change between passes says anything.",
    ),
    Flag(
        "RADAR_UNPROVEN", "note", "Radar change has not been shown to follow counts at this site; it is not judged."
    ),
)

FLAGS: dict[str, Flag] = {flag.name: flag for flag in _ALL}


def worst(names: Iterable[str]) -> Severity | None:
    """Return the gravest severity among `names`, None when there is none.

    Raises
    ------
    KeyError
        When a name is not in the registry.
    """
    order: tuple[Severity, ...] = ("note", "reserve", "reject")
    ranks = [order.index(FLAGS[name].severity) for name in names]
    return order[max(ranks)] if ranks else None


def canonical(names: Iterable[str]) -> tuple[str, ...]:
    """Return the flag names without repeats in registry order, so that equal sets print equally."""
    wanted = set(names)
    unknown = wanted - FLAGS.keys()
    if unknown:
        raise KeyError(f"not in the flag registry: {', '.join(sorted(unknown))}")
    return tuple(name for name in FLAGS if name in wanted)
