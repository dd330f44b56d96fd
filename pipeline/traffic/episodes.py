"""Episodes of the live series: what is remembered of each, and the surge and the sentence that come of it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.model import Surge, SurgeStatus, Tier
from pipeline.traffic.likelihood import DAYS_A_YEAR, Evidence

NAMESPACE = uuid.UUID("5f6f0c0e-3d53-5b0b-9a53-3c1d6f2d7e11")  # fixed for ever: surge identifiers hang on it
RANK = {Tier.WATCH: 0, Tier.ALERT: 1, Tier.HIGH: 2}


@dataclass
class Episode:
    """One episode; looks are named by their place in the series."""

    opened: int  # the look that gave the first alarm
    quiet: int  # last telling look inside the band before it, -1: none
    onset: int  # first look above the band
    expected: float  # mean, railcars, at the first alarm
    low: float  # 90 % band at the first alarm
    high: float
    mean_low: float  # central 90 % of the mean itself
    mean_high: float
    peak: int
    rate: float  # smallest calibrated rate reached, a year
    tier: str
    confirmed_by: str = ""  # "", look, sensor
    next_look: str = ""  # what the next telling look after the alarm said: "", above, inside
    ended: int = -1
    regime: bool = False
    looks: list[int] = field(default_factory=list)


def surge_of(
    site: str, episode: Episode, looks: Sequence[Evidence], verdict: str, sizes: Sequence[float], years: float
) -> Surge:
    """Return an episode as the house knows it.

    Parameters
    ----------
    site : str
    episode : Episode
    looks : sequence of Evidence
        The series up to now.
    verdict : str
        An analyst's standing word, "" when there is none.
    sizes : sequence of float
        Best number of railcars of each look.
    years : float
        Simulated quiet years behind the rates.
    """
    first, peak = looks[episode.opened], looks[episode.peak]
    ended = looks[episode.ended].observed_at if episode.ended >= 0 else None
    if episode.regime:
        status = SurgeStatus.NEW_REGIME
    elif ended is not None:
        status = SurgeStatus.ENDED
    elif episode.confirmed_by or verdict == "confirm":
        status = SurgeStatus.CONFIRMED
    else:
        status = SurgeStatus.PROVISIONAL
    onset = looks[episode.onset].observed_at
    return Surge(
        surge_id=str(uuid.uuid5(NAMESPACE, f"{site}|{first.scene_id}")),
        site=site,
        tier=Tier(episode.tier),
        status=status,
        onset_earliest=looks[episode.quiet].observed_at if episode.quiet >= 0 else looks[0].observed_at,
        onset_latest=onset,
        first_alarm_at=first.observed_at,
        peak_at=peak.observed_at,
        peak_railcars=float(sizes[episode.peak]),
        expected=episode.expected,
        expected_low=episode.low,
        expected_high=episode.high,
        ratio=float(sizes[episode.peak]) / max(episode.expected, 1.0),
        alarm_rate_per_year=episode.rate,
        ended_at=ended,
        verdict=verdict,
        observation_ids=tuple(looks[i].observation_id for i in episode.looks),
        sentence=sentence(episode, looks, verdict, sizes, years),
    )


def sentence(episode: Episode, looks: Sequence[Evidence], verdict: str, sizes: Sequence[float], years: float) -> str:
    """Return the line for the analyst; no probability below what was checked is ever in it."""
    peak, size = looks[episode.peak], sizes[episode.peak]
    low, high = min(peak.count.low, size), max(peak.count.high, size)
    least, most = low / max(episode.mean_high, 1.0), high / max(episode.mean_low, 1.0)
    parts = [
        f"{peak.observed_at:%Y-%m-%d}: saw {size:.0f} ({low:.0f}–{high:.0f}).",
        f"Expected {episode.expected:.0f} (90 %: {episode.low:.0f}–{episode.high:.0f}).",
        f"Ratio {_ratio(size / max(episode.expected, 1.0))} ({_ratio(least)}–{_ratio(most)}).",
        f"{_rarity(episode.rate, years)}",
        _highest(episode, looks, sizes),
        f"Onset {_onset(episode, looks)}.",
        f"Confirmed by the next clear look: {_confirmed(episode, verdict)}.",
    ]
    if episode.regime:
        parts.append("It has lasted so long that it is the new regime: the baseline now follows it.")
    elif episode.ended >= 0:
        parts.append(f"Back to normal on {looks[episode.ended].observed_at:%Y-%m-%d}.")
    return " ".join(part for part in parts if part)


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 9.5 else f"{value:.1f}"


def _rarity(rate: float, years: float) -> str:
    """Say how rare; at most as rare as the simulation could check."""
    rate = max(rate, 1.0 / years)
    if rate < 1.0:
        apart = math.floor(1.0 / rate + 1e-9)
        return f"Such a look is expected less than once in {apart} {'years' if apart > 1 else 'year'}."
    return f"Such a look is expected up to {rate:.1f} times a year."


def _highest(episode: Episode, looks: Sequence[Evidence], sizes: Sequence[float]) -> str:
    """Say since when no look showed as many; the record's own length where none ever did."""
    peak = looks[episode.peak]
    former = [look for look, size in zip(looks[: episode.opened], sizes, strict=False) if size >= sizes[episode.peak]]
    since = former[-1].day if former else looks[0].day
    span = (peak.day - since) / DAYS_A_YEAR
    if span >= 1.0:
        return f"Highest in {math.floor(span)} {'years' if span >= 2 else 'year'}."
    months = math.floor(span * 12)
    return f"Highest in {months} {'months' if months > 1 else 'month'}." if months else ""


def _onset(episode: Episode, looks: Sequence[Evidence]) -> str:
    latest = looks[episode.onset].observed_at
    if episode.quiet < 0:
        return f"before {latest:%Y-%m-%d}"
    earliest = looks[episode.quiet].observed_at
    near = earliest.year == latest.year == looks[episode.peak].observed_at.year
    return f"between {_day(earliest, short=near)} and {_day(latest, short=near)}"


def _day(at: datetime, *, short: bool) -> str:
    return f"{at:%m-%d}" if short else f"{at:%Y-%m-%d}"


def _confirmed(episode: Episode, verdict: str) -> str:
    if verdict == "reject":
        return "an analyst rejected it"
    said = {"above": "yes", "inside": "no", "": "not seen yet"}[episode.next_look]
    if episode.confirmed_by == "sensor":
        said = "yes, by a second sensor"
    elif episode.confirmed_by and episode.next_look == "inside":
        said = "no, by a later one"
    if verdict == "confirm":
        said += "; an analyst confirmed it"
    return said
