"""Occupied metres of track first, railcars through the pitch's spread: looks of 1.5 to 5 m."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.resolved.tell import tell
from pipeline.model import Count, KnownCount, Look, Refusal, Site

METHOD = "metres"
METHOD_VERSION = "2.3"


def count(
    look: Look,
    history: Sequence[Look],
    site: Site,
    known: Sequence[KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
) -> Count | Refusal:
    """Count railcars in a look of 1.5 to 5 m by the metres of track that they occupy.

    Parameters
    ----------
    look : Look
        Values on any radiometric scale; one, three or four bands.
    history, known, settings, quality
        Not leaned on: one look stands for itself.
    site : Site

    Returns
    -------
    Count or Refusal
        The interval is the central 90 % and holds the spread of the pitch; `measures` has the occupied metres.
        `railcar_list` holds the likeliest cut into cars, whose joints are mostly guessed.
    """
    return tell(look, site, "medium", METHOD, METHOD_VERSION, by_metres=True)
