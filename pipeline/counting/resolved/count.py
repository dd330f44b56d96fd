"""Resolved counting: a look up to 1.5 m becomes railcars, each with outline and kind, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.resolved.tell import tell
from pipeline.model import Count, KnownCount, Look, Refusal, Site

METHOD = "resolved"
METHOD_VERSION = "2.3"


def count(
    look: Look,
    history: Sequence[Look],
    site: Site,
    known: Sequence[KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
) -> Count | Refusal:
    """Count railcars in a look of at most 1.5 m.

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
        `railcar_list` holds the cars; the interval is the central 90 %.
    """
    return tell(look, site, "fine", METHOD, METHOD_VERSION)
