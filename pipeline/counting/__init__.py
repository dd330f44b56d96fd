"""A chip becomes a count: which method suits a look, and the one door to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from threadpoolctl import threadpool_limits

from pipeline.config import CountingSettings, QualitySettings
from pipeline.model import Count, KnownCount, Look, Refusal, Site

RESOLVED_MAX_M = 1.5  # ground sampling up to which single cars are told apart (SCIENCE section 1)
METRES_MAX_M = 5.0  # up to which occupied metres of track are measured
COARSE = {"sentinel-2": "occupancy", "landsat": "occupancy", "sentinel-1": "radar"}
UNSUITED = ("none", "0")


class _Method(Protocol):
    """What every counting method's package offers."""

    METHOD: str
    METHOD_VERSION: str

    def count(
        self,
        look: Look,
        history: Sequence[Look],
        site: Site,
        known: Sequence[KnownCount],
        settings: CountingSettings,
        quality: QualitySettings,
    ) -> Count | Refusal:
        """Count one look."""


def method_for(sensor: str, gsd_m: float) -> tuple[str, str]:
    """Return the name and version of the method that counts looks of a sensor at a ground sampling.

    Parameters
    ----------
    sensor : str
        A word of `Scene.sensor`.
    gsd_m : float
        Ground sampling distance, metres.

    Returns
    -------
    tuple of str
        ``("none", "0")`` where no method suits.
    """
    method = _method(sensor, gsd_m)
    return UNSUITED if method is None else (method.METHOD, method.METHOD_VERSION)


def count_look(
    look: Look,
    history: Sequence[Look],
    site: Site,
    known: Sequence[KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
) -> Count | Refusal:
    """Count railcars in a look with the method that suits it.

    Parameters
    ----------
    look : Look
    history : sequence of Look
        Earlier usable looks of the same sensor, oldest first; resolved methods need none.
    site : Site
    known : sequence of KnownCount
        Dates up to the look's day whose number of railcars is known from elsewhere.
    settings : CountingSettings
    quality : QualitySettings

    Returns
    -------
    Count or Refusal
        Nothing later than the look's day is leaned on; the same pixels give the same number on any number of cores.
    """
    method = _method(look.scene.sensor, look.grid.gsd_m)
    if method is None:
        detail = (
            f"{look.scene.scene_id} has a ground sampling of {look.grid.gsd_m:g} m; images of one date are counted "
            f"up to {METRES_MAX_M:g} m, coarser ones only from Sentinel-2, Landsat and Sentinel-1."
        )
        return Refusal(("SAMPLING_UNSUITED",), detail, *UNSUITED)
    # Sums in single precision come out another way on each number of threads; whether a pixel of ground still counts
    # as steady may hang on that, and a tenth of a count in turn. One thread gives one number.
    with threadpool_limits(limits=1):
        return method.count(look, history, site, known, settings, quality)


def _method(sensor: str, gsd_m: float) -> _Method | None:
    # Imported when first needed: a round over Sentinel-2 pays nothing for the classifiers of resolved counting.
    name = COARSE.get(sensor)
    if name is None:
        if gsd_m > METRES_MAX_M:
            return None
        name = "resolved" if gsd_m <= RESOLVED_MAX_M else "metres"
    return cast(_Method, import_module(f"pipeline.counting.{name}"))
