"""The next passes over a site, from the archive's own repeat pattern; no orbit service is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from pipeline.model import FloatArray

DAY_S = 86400.0
# Days after which each platform's ground track repeats (mission handbooks of ESA and USGS).
CYCLES = {"S1": 12, "S2": 10, "L": 16}
TOLERANCE_S = 900.0  # passes of one orbit differ by seconds to minutes; along-track cuts add a little
STALE_CYCLES = 12  # a satellite unseen for so many cycles is taken as out of service or moved


@dataclass(frozen=True, slots=True)
class Pass:
    """One expected pass."""

    platform: str
    orbit: str
    at: datetime  # UTC
    cycle_days: float  # the repeat that was found
    seen: int  # passes of this platform and orbit behind it


def next_passes(seen: Iterable[tuple[str, str, datetime]], now: datetime, *, days: float = 16.0) -> tuple[Pass, ...]:
    """Foretell passes from those that were seen.

    The repeat of each platform and orbit is its mission's cycle when the times agree with it; otherwise it is
    sought in the times, as the longest whole number of days that all gaps are multiples of. A platform and orbit
    seen once, without a known cycle, foretells nothing.

    Parameters
    ----------
    seen : iterable of (platform, orbit, time)
        Every acquisition known, used or not; times UTC, in any order, repeats allowed.
    now : datetime
        UTC; the round's date, never the clock.
    days : float
        How far ahead.

    Returns
    -------
    tuple of Pass
        After `now` and at most `days` later, in order of time.
    """
    groups: dict[tuple[str, str], list[datetime]] = {}
    for platform, orbit, when in seen:
        if platform and when <= now:
            groups.setdefault((platform, orbit), []).append(when)
    made: list[Pass] = []
    for (platform, orbit), times in sorted(groups.items()):
        passes = _distinct(times)
        cycle = _cycle(platform, passes)
        if cycle is None or (now - passes[-1]).total_seconds() > STALE_CYCLES * cycle * DAY_S:
            continue
        step = timedelta(days=cycle)
        # The phase is the median over the newest passes, so that one odd time does not move the forecast.
        recent = passes[-8:]
        number = [round((when - recent[-1]) / step) for when in recent]
        late = [((when - recent[-1]) - n * step).total_seconds() for when, n in zip(recent, number, strict=True)]
        at = recent[-1] + timedelta(seconds=round(float(np.median(late))))
        while at <= now or at < recent[-1] + step / 2:
            at += step
        while at <= now + timedelta(days=days):
            made.append(Pass(platform, orbit, at, float(cycle), len(passes)))
            at += step
    return tuple(sorted(made, key=lambda p: (p.at, p.platform, p.orbit)))


def _distinct(times: Sequence[datetime]) -> list[datetime]:
    """Return one time a pass: tiles of one datatake lie seconds apart."""
    kept: list[datetime] = []
    for when in sorted(times):
        if not kept or (when - kept[-1]).total_seconds() > 2 * TOLERANCE_S:
            kept.append(when)
    return kept


def _cycle(platform: str, passes: Sequence[datetime]) -> int | None:
    """Return the repeat in days, None when the times show none."""
    gaps = np.array([(b - a).total_seconds() / DAY_S for a, b in pairwise(passes)])
    known = next((cycle for head, cycle in CYCLES.items() if platform.startswith(head)), None)
    if known is not None and _fits(gaps, known):
        return known
    if gaps.size < 2:
        return None
    for cycle in range(max(int(np.floor(gaps.min() + 0.5)), 1), 0, -1):
        if _fits(gaps, cycle):
            return cycle
    return None


def _fits(gaps: FloatArray, cycle: int) -> bool:
    """Tell whether at least nine in ten gaps are multiples of the cycle."""
    if gaps.size == 0:
        return True
    off = np.abs(gaps - np.round(gaps / cycle) * cycle) * DAY_S
    return bool((off <= TOLERANCE_S).mean() >= 0.9 and np.round(gaps / cycle).min() >= 1)
