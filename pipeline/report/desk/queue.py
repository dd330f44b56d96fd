"""The order in which surges wait for a word: open ones first, the gravest and newest before the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model import Surge, SurgeStatus, Tier, Verdict
from pipeline.report.desk.words import about, standing

_TIERS = {Tier.HIGH: 0, Tier.ALERT: 1, Tier.WATCH: 2}
_OPEN = (SurgeStatus.PROVISIONAL, SurgeStatus.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Row:
    """One surge in the queue."""

    surge: Surge
    open: bool
    verdict: Verdict | None  # the decision in force
    words: int  # how many were said, notes and takings back included


def is_open(surge: Surge) -> bool:
    """Tell whether the episode still goes on."""
    return surge.ended_at is None and surge.status in _OPEN


def queue(surges: Sequence[Surge], verdicts: Sequence[Verdict]) -> tuple[Row, ...]:
    """Return the surges as rows: open first, then without a verdict, then by tier, then the newest."""
    rows = []
    for surge in surges:
        words = about(verdicts, "surge", surge.surge_id)
        rows.append(Row(surge, is_open(surge), standing(words), len(words)))
    rows.sort(key=lambda r: r.surge.surge_id)
    rows.sort(key=lambda r: r.surge.first_alarm_at, reverse=True)
    rows.sort(key=lambda r: (not r.open, r.verdict is not None, _TIERS[r.surge.tier]))
    return tuple(rows)
