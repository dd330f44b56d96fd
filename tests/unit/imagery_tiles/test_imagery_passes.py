"""Next passes: known repeats, learnt repeats, gaps, satellites that are gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from pipeline.imagery.passes import next_passes
from pipeline.model import Observation, Outcome
from pipeline.round.report import _passes as expected_passes

START = datetime(2023, 1, 3, 2, 21, 30, tzinfo=UTC)


def series(platform: str, orbit: str, cycle: float, number: int, *, lost: float = 0.0, first: datetime = START):
    rng = np.random.default_rng(5)
    return [
        (platform, orbit, first + timedelta(days=cycle * k, seconds=float(rng.normal(0, 8))))
        for k in range(number)
        if k in (0, number - 1) or rng.random() >= lost
    ]


def test_sentinel_2_comes_back_after_ten_days_however_many_looks_are_lost() -> None:
    seen = series("S2A", "R103", 10, 20, lost=0.5)
    now = seen[-1][2] + timedelta(days=1)
    found = next_passes(seen, now, days=25)
    assert [p.platform for p in found] == ["S2A", "S2A"]
    for k, one in enumerate(found, 1):
        assert abs((one.at - START - timedelta(days=10 * (19 + k))).total_seconds()) < 30


def test_two_tiles_of_one_pass_are_one_and_orbits_stay_apart() -> None:
    seen = series("S2A", "R103", 10, 6) + series("S2A", "R003", 10, 6, first=START + timedelta(days=3))
    seen += [(p, o, t + timedelta(seconds=14)) for p, o, t in seen]
    found = next_passes(seen, START + timedelta(days=54), days=10)
    assert [(p.orbit, p.seen) for p in found] == [("R103", 6), ("R003", 6)]


def test_an_unknown_platform_s_repeat_is_learnt() -> None:
    seen = series("XS7", "", 7, 9, lost=0.3)
    found = next_passes(seen, seen[-1][2], days=8)
    assert len(found) == 1
    assert found[0].cycle_days == 7
    assert next_passes(seen[:1], seen[0][2]) == ()


def test_irregular_times_foretell_nothing() -> None:
    rng = np.random.default_rng(1)
    seen = [("WV3", "", START + timedelta(days=float(d))) for d in np.cumsum(rng.uniform(1, 20, 12))]
    assert next_passes(seen, START + timedelta(days=400)) == ()
    assert next_passes(seen, seen[-1][2]) == ()


def test_a_satellite_that_is_gone_is_not_expected() -> None:
    seen = series("S1B", "R061", 12, 10)
    assert next_passes(seen, seen[-1][2] + timedelta(days=3)) != ()
    assert next_passes(seen, seen[-1][2] + timedelta(days=200)) == ()


def test_only_what_lies_before_now_is_used_and_order_does_not_matter() -> None:
    seen = series("L9", "P114", 16, 8)
    now = seen[4][2] + timedelta(days=1)
    assert next_passes(seen, now) == next_passes(seen[:5][::-1], now)


def test_the_report_tells_the_passes_with_their_basis() -> None:
    def look(number: int, sensor: str) -> Observation:
        return Observation(
            f"{sensor}{number}", "yard", f"{sensor}{number}", START + timedelta(days=10 * number), sensor, "S2A",
            "R103", 10.0, Outcome.REJECTED, None, (), "occupancy", "1", "digest",
        )  # fmt: skip

    rows = [look(number, "sentinel-2") for number in range(6)] + [look(3, "vhr"), look(4, "tiles")]
    (one,) = expected_passes(rows, START + timedelta(days=51))
    assert (one.platform, one.orbit) == ("S2A", "R103")
    assert one.expected_at == START + timedelta(days=60)
    assert one.basis == "repeats every 10 days, 6 passes seen"
