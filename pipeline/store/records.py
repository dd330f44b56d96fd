"""What the store keeps besides the words of the model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline.model import Ledger


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round as it went."""

    round_id: str
    site: str
    started_at: datetime  # the round's date, UTC
    finished_at: datetime | None  # None: still running, or interrupted
    exit_code: int | None  # None as long as it is not finished
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class SourceFreshness:
    """How fresh a source is for a site."""

    site: str
    source: str
    newest_scene_at: datetime | None  # acquisition time of the newest scene it ever listed, UTC
    checked_at: datetime  # date of the last search that answered, UTC


@dataclass(frozen=True, slots=True)
class InjectionResult:
    """One trial of a known number of railcars put into a real look."""

    site: str
    observation_id: str  # of the look's own row
    scene_id: str
    observed_at: datetime  # of the look, UTC
    injected: float  # railcars put in
    seed: int
    method: str
    method_version: str
    config_digest: str
    detected: bool  # the method told it from the untouched look
    railcars: float | None  # counted, None when the look was refused
    railcars_low: float | None  # central 90 % interval
    railcars_high: float | None
