"""What stands behind the figures: methods, versions, and the calibration of alarms as a reader can check it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.model import Observation
from pipeline.report.text import figures, plural

PIT = "pit_histogram"
# Names of the judge's figures in words; one that is not here is shown by its own name.
_WORDS = {
    "method": "Judging method",
    "simulated_quiet_years": "Simulated quiet years",
    "watch_per_year": "False alarms, watch or higher",
    "alert_per_year": "False alarms, alert or higher",
    "high_per_year": "False alarms, high",
    "watch_score": "Threshold, watch",
    "alert_score": "Threshold, alert",
    "high_score": "Threshold, high",
    "smallest_rate_checked": "Smallest rate checked",
    "dwell_days": "A state of the yard lasts, about",
    "calibrations": "Calibrations so far",
    "seed": "Seed",
    "digest": "Digest of the calibration",
}
_UNITS = {
    "watch_per_year": "a year",
    "alert_per_year": "a year",
    "high_per_year": "a year",
    "smallest_rate_checked": "a year",
    "dwell_days": "days",
    "watch_score": "(−log of a rate)",
    "alert_score": "(−log of a rate)",
    "high_score": "(−log of a rate)",
}


@dataclass(frozen=True, slots=True)
class PitBar:
    """One tenth of the predictions."""

    share: float  # of the quiet looks; 0.1 is perfect
    height: float  # percent of the drawing's height
    says: str


@dataclass(frozen=True, slots=True)
class CalibrationView:
    """The calibration as the page shows it."""

    rows: tuple[tuple[str, str], ...]
    bars: tuple[PitBar, ...]  # () when there is no histogram
    even: float  # percent of the drawing's height at which a perfect histogram lies
    words: str  # the histogram in one sentence


def calibration_view(values: Mapping[str, object]) -> CalibrationView:
    """Return the judge's figures as label and text, and its probability integral transform as bars.

    The transform is the share of quiet looks that fell into each tenth of what had been predicted for them: even
    bars mean that the predictions are neither too narrow (high ends) nor too wide (high middle).
    """
    rows = []
    for label, said in figures({name: value for name, value in values.items() if name != PIT}):
        key = label.replace(" ", "_")
        rows.append((_WORDS.get(key, label), f"{said} {_UNITS[key]}" if key in _UNITS else said))
    shares = _shares(values.get(PIT))
    if not shares:
        return CalibrationView(tuple(rows), (), 0.0, "")
    top = max(0.2, *shares) * 1.05
    step = 100 // len(shares)
    bars = tuple(
        PitBar(share, round(100 * share / top, 2), f"{i * step} to {(i + 1) * step} %: {100 * share:.0f} % of looks")
        for i, share in enumerate(shares)
    )
    even = 1.0 / len(shares)
    ends, middle = shares[0] + shares[-1], sum(shares[1:-1])
    words = (
        f"The lowest tenth of the predictions held {100 * shares[0]:.0f} % of the quiet looks, the highest "
        f"{100 * shares[-1]:.0f} %, the rest {100 * middle:.0f} %; even bars hold {100 * even:.0f} % each."
    )
    if ends > 4 * even:
        words += " The ends are too full: the predictions are too narrow."
    return CalibrationView(tuple(rows), bars, round(100 * even / top, 2), words)


def methods_of(observations: Sequence[Observation]) -> tuple[tuple[str, str], ...]:
    """Return every method behind a count of the series with its version and how many looks it counted."""
    tally = Counter((o.method, o.method_version) for o in observations if o.count is not None)
    return tuple((method, f"{version}: {plural(n, 'count')}") for (method, version), n in sorted(tally.items()))


def _shares(value: object) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or not 2 <= len(value) <= 50:
        return ()
    shares = tuple(float(v) for v in value if isinstance(v, (int, float)) and 0 <= v <= 1)
    return shares if len(shares) == len(value) and sum(shares) > 0 else ()
