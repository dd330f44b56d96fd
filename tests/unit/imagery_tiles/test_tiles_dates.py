"""An image of no certain day is counted and shown, and never judged as if it were of that day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.model import COUNT_MAX, Count, Observation, Outcome
from pipeline.traffic.likelihood import evidence

START = datetime(2023, 1, 1, tzinfo=UTC)


def row(number: int, flags: tuple[str, ...]) -> Observation:
    likelihood = tuple(1.0 if n == 90 else 0.5 if abs(n - 90) < 4 else 0.0 for n in range(COUNT_MAX + 1))
    count = Count(90.0, 87.0, 93.0, 1.0, likelihood, "resolved", "1.0")
    return Observation(
        str(number), "yard", f"scene-{number}", START + timedelta(days=number), "tiles", "Mosaic", "", 0.5,
        Outcome.FLAGGED if flags else Outcome.COUNTED, 1.0, flags, "resolved", "1.0", "digest", count=count,
    )  # fmt: skip


def test_a_release_date_is_no_day_to_alarm_on() -> None:
    rows = [row(0, ()), row(1, ("DATE_UNCERTAIN",)), row(2, ("SNOW",)), row(3, ())]
    assert [found.scene_id for found in evidence(rows)] == ["scene-0", "scene-2", "scene-3"]
