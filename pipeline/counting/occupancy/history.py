"""Which earlier looks stand behind a coarse count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import numpy as np

from pipeline.config import CountingSettings
from pipeline.model import KnownCount, Look

SEASON_DAYS, AGE_DAYS = 40.0, 500.0  # distances in season and in age that weigh alike


def day_of_year(look: Look) -> float:
    """Return the day of the year, UTC, with its fraction."""
    when = look.scene.observed_at.astimezone(UTC)
    return when.timetuple().tm_yday + when.hour / 24.0


def known_looks(history: Sequence[Look], known: Sequence[KnownCount]) -> dict[int, KnownCount]:
    """Return, for indices of `history`, the known count of the same UTC day, the surest where there are several."""
    by_day: dict[object, KnownCount] = {}
    for entry in sorted(known, key=lambda k: (k.sd, k.observed_at, k.railcars)):
        by_day.setdefault(entry.observed_at.astimezone(UTC).date(), entry)
    return {
        number: by_day[look.scene.observed_at.astimezone(UTC).date()]
        for number, look in enumerate(history)
        if look.scene.observed_at.astimezone(UTC).date() in by_day
    }


def choose(
    look: Look, history: Sequence[Look], known: Sequence[KnownCount], settings: CountingSettings
) -> tuple[Look, ...]:
    """Return the history looks that a count leans on, oldest first.

    Only looks of the same sensor and grid with all bands of `look`, no older than `history_days`; of more than
    `history_max_looks`, those with a known count and those nearest in season and time.
    """
    when = look.scene.observed_at
    fit = [
        past
        for past in history
        if past.scene.observed_at < when
        and (when - past.scene.observed_at).days <= settings.history_days
        and past.grid == look.grid
        and past.scene.sensor == look.scene.sensor
        and set(look.bands) <= set(past.bands)
    ]
    if len(fit) <= settings.history_max_looks:
        return tuple(fit)
    pinned = known_looks(fit, known)
    today = day_of_year(look)

    def distance(number: int) -> tuple[bool, float, str]:
        past = fit[number]
        apart = abs(day_of_year(past) - today)
        season = min(apart, 365.25 - apart)
        age = (when - past.scene.observed_at).days
        return number not in pinned, float(np.hypot(season / SEASON_DAYS, age / AGE_DAYS)), past.scene.scene_id

    chosen = sorted(sorted(range(len(fit)), key=distance)[: settings.history_max_looks])
    return tuple(fit[number] for number in chosen)
