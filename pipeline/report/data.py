"""What a report is made of: everything is handed in, nothing is asked of a clock, a network or a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from pipeline.model import Alarm, Baseline, Ledger, Look, Observation, Site, Surge, Verdict

LookFor = Callable[[str], Look | None]


def no_look(_scene_id: str) -> Look | None:
    """Return None: the answer of an archive without any chip."""
    return None


@dataclass(frozen=True, slots=True)
class SourceState:
    """How fresh one source of the site is."""

    source: str  # name in the configuration
    title: str = ""
    newest_scene_at: datetime | None = None  # acquisition time of the newest scene it listed, UTC
    checked_at: datetime | None = None  # when it was last searched with success, UTC
    problem: str = ""  # one sentence when the last search failed; begins with "disabled" for one that is off


@dataclass(frozen=True, slots=True)
class NextPass:
    """A pass to expect, from the repeat of past passes or a published plan."""

    expected_at: datetime  # UTC
    platform: str
    orbit: str = ""
    sensor: str = ""
    basis: str = ""  # how it is known, in a few words


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """What a source asks of those who show its images."""

    source: str
    attribution: str = ""
    terms: str = ""
    url: str = ""  # shown as a link only when http or https


@dataclass(frozen=True)
class ReportData:
    """One site's record, as of one day."""

    site: Site
    generated_for: date  # the day the report speaks for, UTC; never the clock
    observations: tuple[Observation, ...] = ()  # current rows in date order, rejected and failed ones included
    surges: tuple[Surge, ...] = ()
    baselines: tuple[Baseline, ...] = ()  # one for each judged look
    alarms: tuple[Alarm, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    freshness: tuple[SourceState, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)  # of the last round
    next_passes: tuple[NextPass, ...] = ()
    terms: tuple[SourceTerms, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)  # name of a program or method to its version
    calibration: Mapping[str, object] = field(default_factory=dict)  # named figures behind tiers and intervals
    config_digest: str = ""  # of the configuration in force
    cannot_judge: str = ""  # one sentence when no judgement is possible yet
    changes: tuple[str, ...] = ()  # what late looks changed since the last judgement
    messages: tuple[str, ...] = ()  # sentences of the last round for the reader
    stale_after_days: int = 12  # no new scene for so long is said
    redo: tuple[str, ...] = ()  # command lines that give this report again; () lets the report name the usual ones
    look_for: LookFor = no_look
    kind_changes: tuple[str, ...] = ()  # sentences on changes of the mix of kinds
