"""The judge from looks to surges: promises that hold whatever the numbers."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.traffic_world import START, Rise, Yard, a_series, a_site, an_observation

from pipeline.config import AlarmSettings
from pipeline.errors import SeriesError
from pipeline.model import COUNT_MAX, Observation, Outcome, Surge, SurgeStatus, Tier, Verdict
from pipeline.traffic import Judgement, judge

SURGE_DAY = 700.0


@pytest.fixture(scope="module")
def rows() -> tuple[Observation, ...]:
    """Two and a half years with a surge to 73 that lasts three weeks."""
    return a_series(Yard(looks_a_year=70.0), 2.5, 11, [Rise(SURGE_DAY, 73.0, 21.0)])


@pytest.fixture(scope="module")
def whole(rows: tuple[Observation, ...], alarms: AlarmSettings, calibrations: Path) -> Judgement:
    return judge(a_site(), rows, alarms, cache_dir=calibrations)


def _surge(found: Judgement) -> Surge:
    at = START + timedelta(days=SURGE_DAY)
    near = [s for s in found.surges if at <= s.first_alarm_at < at + timedelta(days=21)]
    assert len(near) == 1, [s.sentence for s in found.surges]
    return near[0]


def _quiet(days: float = 500.0, step: float = 5.0, seed: int = 5) -> list[Observation]:
    rng = np.random.default_rng(seed)
    return [
        an_observation(START + timedelta(days=float(d)), int(rng.integers(0, 12)) * int(rng.random() < 0.6))
        for d in np.arange(0, days, step)
    ]


def _then(rows: Sequence[Observation], counts: Sequence[float], **more: Any) -> list[Observation]:
    last = rows[-1].observed_at
    return [*rows, *(an_observation(last + timedelta(days=5.0 * (i + 1)), n, **more) for i, n in enumerate(counts))]


def test_a_large_surge_is_high_on_its_first_look_and_told_in_the_agreed_form(
    rows: tuple[Observation, ...], whole: Judgement
):
    surge = _surge(whole)
    during = [r for r in rows if r.observed_at >= START + timedelta(days=SURGE_DAY)]
    assert surge.tier is Tier.HIGH
    assert surge.first_alarm_at == during[0].observed_at
    assert surge.onset_earliest < surge.onset_latest <= surge.first_alarm_at
    assert surge.status is SurgeStatus.ENDED and surge.ended_at is not None
    assert surge.ratio == pytest.approx(surge.peak_railcars / max(surge.expected, 1.0))
    pieces = (
        ": saw ", "Expected ", "(90 %: ", "Ratio ", "Such a look is expected less than once in ", "Highest in ",
        "Onset between ", "Confirmed by the next clear look: yes", "Back to normal on ",
    )  # fmt: skip
    for piece in pieces:
        assert piece in surge.sentence, surge.sentence


def test_no_rate_below_what_was_checked_is_stated(whole: Judgement):
    years = whole.calibration.simulated_quiet_years
    assert years > 40
    assert min(a.rate_per_year for a in whole.alarms) >= 1.0 / years
    assert min(s.alarm_rate_per_year for s in whole.surges) >= 1.0 / years
    assert f"in {int(years) + 1} years" not in " ".join(s.sentence for s in whole.surges)


def test_the_order_of_rows_and_repeats_leave_no_trace(
    rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    mixed = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert judge(a_site(), [*mixed, rows[7]], alarms, cache_dir=calibrations) == whole


def test_without_a_cache_the_calibration_is_the_same(
    rows: tuple[Observation, ...], alarms: AlarmSettings, calibrations: Path
):
    few = rows[:40]
    kept = judge(a_site(), few, alarms, cache_dir=calibrations)
    assert kept.calibration.digest
    assert judge(a_site(), few, alarms) == kept


@pytest.mark.parametrize("cut", [1, 9, 30, 77, 120, 133, 138, 141, 150, 170])
def test_going_on_from_a_saved_state_gives_the_same_bit_for_bit(
    cut: int, rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    assert cut < len(rows)
    before = judge(a_site(), rows[:cut], alarms, cache_dir=calibrations)
    state = json.loads(json.dumps(before.state, allow_nan=False))
    after = judge(a_site(), rows, alarms, given=before.alarms, state=state, cache_dir=calibrations)
    assert after == whole
    assert json.dumps(after.state, sort_keys=True) == json.dumps(whole.state, sort_keys=True)


def test_what_is_said_of_a_date_needs_no_later_look(
    rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    for cut in (60, 139, 160):
        part = judge(a_site(), rows[:cut], alarms, cache_dir=calibrations)
        until = rows[cut - 1].observed_at
        assert part.alarms == tuple(a for a in whole.alarms if a.observed_at <= until)
        assert part.baselines == tuple(b for b in whole.baselines if b.observed_at <= until)


def test_living_through_it_look_by_look_is_the_same(
    rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    state, given = None, ()
    for cut in range(1, len(rows) + 1):
        lived = judge(a_site(), rows[:cut], alarms, given=given, state=state, cache_dir=calibrations)
        state, given = lived.state, lived.alarms
        assert lived.changes == ()
    assert lived == whole


def test_a_damaged_or_foreign_state_is_not_believed(
    rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    for spoil in ({"window": {}}, {"stream": None}, {"engine": {"sums": ["<f8", [9], ""]}}):
        bad = {**whole.state, **spoil}
        again = judge(a_site(), rows, alarms, state=bad, cache_dir=calibrations)
        assert again.surges == whole.surges and again.alarms == whole.alarms
    assert judge(a_site(), rows, alarms, state=b"\x00", cache_dir=calibrations).surges == whole.surges


def test_a_late_look_is_told_and_given_alarms_stay(
    rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    surge = _surge(whole)
    late = [r for r in rows if surge.onset_latest <= r.observed_at <= surge.peak_at]
    without = [r for r in rows if r not in late]
    before = judge(a_site(), without, alarms, cache_dir=calibrations)
    after = judge(a_site(), rows, alarms, given=before.alarms, state=before.state, cache_dir=calibrations)
    assert set(before.alarms) <= set(after.alarms)
    assert after.surges == whole.surges
    assert late[0].scene_id in " ".join(after.changes)
    assert "already judged" in after.changes[0]
    # and a second time nothing is news
    again = judge(a_site(), rows, alarms, given=after.alarms, state=after.state, cache_dir=calibrations)
    assert again.alarms == after.alarms
    assert not any("already judged" in said for said in again.changes)


def test_an_alarm_that_would_not_be_given_today_stays_and_is_said(
    rows: tuple[Observation, ...], whole: Judgement, alarms: AlarmSettings, calibrations: Path
):
    surge = _surge(whole)
    corrected = [
        Verdict(f"v{i}", "yard", "count", name, "correct", "A. Analyst", "Trucks.", surge.peak_at, railcars=4.0)
        for i, name in enumerate(surge.observation_ids)
    ]
    after = judge(
        a_site(), rows, alarms, verdicts=corrected, given=whole.alarms, state=whole.state, cache_dir=calibrations
    )
    assert set(whole.alarms) <= set(after.alarms)
    assert surge.surge_id not in {s.surge_id for s in after.surges}
    assert any("stays on record" in said and f"{surge.first_alarm_at:%Y-%m-%d}" in said for said in after.changes)
    assert any("no longer found" in said for said in after.changes)


@pytest.mark.parametrize("number", [-1.0, float("nan"), float("inf"), 1e9])
def test_an_impossible_correction_is_named(number: float, alarms: AlarmSettings):
    row = an_observation(START, 4)
    word = Verdict("v", "yard", "count", row.observation_id, "correct", "A. Analyst", "", START, railcars=number)
    with pytest.raises(SeriesError, match=f"{row.observation_id}.*A. Analyst"):
        judge(a_site(), [row], alarms, verdicts=[word])


def test_words_confirm_and_reject_and_are_taken_back(alarms: AlarmSettings, calibrations: Path):
    rows = _then(_quiet(), [73])

    def with_words(*decisions: str) -> Judgement:
        words = [
            Verdict(f"v{i}", "yard", "surge", surge_id, decision, "A. Analyst", "", START + timedelta(days=i))
            for i, decision in enumerate(decisions)
        ]
        return judge(a_site(), rows, alarms, verdicts=words, cache_dir=calibrations)

    plain = judge(a_site(), rows, alarms, cache_dir=calibrations)
    surge_id = plain.surges[-1].surge_id
    assert plain.surges[-1].status is SurgeStatus.PROVISIONAL
    assert "not seen yet" in plain.surges[-1].sentence
    confirmed = with_words("confirm").surges[-1]
    assert (confirmed.status, confirmed.verdict) == (SurgeStatus.CONFIRMED, "confirm")
    rejected = with_words("confirm", "reject").surges[-1]
    assert (rejected.status, rejected.verdict) == (SurgeStatus.PROVISIONAL, "reject")
    assert with_words("confirm", "note", "undo").surges == plain.surges
    assert with_words("reject").state == plain.state, "a word on a surge moves no number"


def test_the_next_look_or_a_second_sensor_confirms(alarms: AlarmSettings, calibrations: Path):
    quiet = _quiet()
    one = judge(a_site(), _then(quiet, [73]), alarms, cache_dir=calibrations).surges[-1]
    two = judge(a_site(), _then(quiet, [73, 70]), alarms, cache_dir=calibrations).surges[-1]
    assert (one.status, two.status) == (SurgeStatus.PROVISIONAL, SurgeStatus.CONFIRMED)
    first = _then(quiet, [73])
    second = an_observation(first[-1].observed_at + timedelta(hours=3), 71, sensor="vhr")
    both = judge(a_site(), [*first, second], alarms, cache_dir=calibrations).surges[-1]
    assert both.status is SurgeStatus.CONFIRMED and "second sensor" in both.sentence
    gone = judge(a_site(), _then(quiet, [73, 2]), alarms, cache_dir=calibrations).surges[-1]
    assert gone.status is SurgeStatus.PROVISIONAL and "Confirmed by the next clear look: no" in gone.sentence


def test_an_episode_ends_with_two_looks_inside_the_band_and_lasting_traffic_is_a_new_regime(
    alarms: AlarmSettings, calibrations: Path
):
    quiet = _quiet()
    short = judge(a_site(), _then(quiet, [73, 70, 5, 4]), alarms, cache_dir=calibrations)
    assert short.surges[-1].status is SurgeStatus.ENDED
    assert short.surges[-1].ended_at == _then(quiet, [73, 70, 5, 4])[-1].observed_at
    level = [60 + (i % 5) for i in range(90)]
    rows = _then(quiet, level)
    long = judge(a_site(), rows, alarms, cache_dir=calibrations)
    first = long.surges[-1]
    assert first.status is SurgeStatus.NEW_REGIME and first.tier is Tier.HIGH
    assert long.baselines[-1].expected > 40, "the baseline follows the new regime"
    assert sum(s.first_alarm_at >= rows[len(quiet)].observed_at for s in long.surges) == 1


def test_a_surge_that_has_ended_lends_nothing_to_the_next_look(alarms: AlarmSettings, calibrations: Path):
    rows = _then(_quiet(), [73, 70, 5, 4, 9, 8])
    found = judge(a_site(), rows, alarms, cache_dir=calibrations)
    assert len([s for s in found.surges if s.first_alarm_at >= rows[-6].observed_at]) == 1


def test_a_loose_upper_limit_narrows_the_onset_of_a_surge_that_it_excludes(alarms: AlarmSettings, calibrations: Path):
    quiet = _quiet()
    loose = _then(quiet, [0], limit=30)
    for size, known in ((90, loose[-1]), (40, quiet[-1])):
        surge = judge(a_site(), _then(loose, [size]), alarms, cache_dir=calibrations).surges[-1]
        assert surge.onset_earliest <= known.observed_at < surge.onset_latest
        assert (surge.onset_earliest == loose[-1].observed_at) == (known is loose[-1])


def test_the_baseline_is_frozen_while_an_episode_is_open(alarms: AlarmSettings, calibrations: Path):
    quiet = _quiet()
    rows = _then(quiet, [60] * 20)
    found = judge(a_site(), rows, alarms, cache_dir=calibrations)
    expected = [b.expected for b in found.baselines if b.observed_at > quiet[-1].observed_at]
    assert max(expected) - min(expected) < 1e-6


def test_upper_limits_calm_and_never_alarm(alarms: AlarmSettings, calibrations: Path):
    quiet = _quiet()
    for limit in (20, 60, 200):
        found = judge(a_site(), _then(quiet, [0] * 6, limit=limit), alarms, cache_dir=calibrations)
        assert not [a for a in found.alarms if a.observed_at > quiet[-1].observed_at]
    surged = _then(quiet, [73, 70])
    loose = judge(a_site(), _then(surged, [0, 0, 0], limit=150), alarms, cache_dir=calibrations)
    assert loose.surges[-1].ended_at is None, "at most 150 does not say that 70 are gone"
    tight = judge(a_site(), _then(surged, [0, 0, 0], limit=10), alarms, cache_dir=calibrations)
    assert tight.surges[-1].status is SurgeStatus.ENDED


def test_looks_that_may_be_of_an_empty_yard_never_alarm(alarms: AlarmSettings, calibrations: Path):
    rows = _then(_quiet(), [60.0] * 8)
    spread = np.exp(-0.5 * ((np.arange(COUNT_MAX + 1) - 60.0) / 8.0) ** 2)
    spread[0] = 0.4  # as a shadow over an empty yard may look
    for i in range(len(rows) - 8, len(rows)):
        count = rows[i].count
        assert count is not None
        unsure = replace(count, likelihood=tuple(float(v) for v in spread), low=0.0)
        rows[i] = replace(rows[i], count=unsure)
    last = rows[-9].observed_at
    found = judge(a_site(), rows, alarms, cache_dir=calibrations)
    assert not [alarm for alarm in found.alarms if alarm.observed_at > last]


def test_the_effect_floor_holds(alarms: AlarmSettings, calibrations: Path):
    # A yard that always holds 40 to 42: 55 is far outside, and less than twice as many.
    rows = [an_observation(START + timedelta(days=5.0 * i), 40 + i % 3, 1.0) for i in range(100)]
    found = judge(a_site(), _then(rows, [55, 56, 55, 57], sd=1.0), alarms, cache_dir=calibrations)
    assert found.surges == ()
    empty = [an_observation(START + timedelta(days=5.0 * i), 0, 0.0) for i in range(100)]
    assert judge(a_site(), _then(empty, [6, 7, 6], sd=0.0), alarms, cache_dir=calibrations).surges == ()
    assert judge(a_site(), _then(empty, [40], sd=0.0), alarms, cache_dir=calibrations).surges[-1].tier is Tier.HIGH


def test_a_canopy_is_a_break_and_no_end_of_traffic(alarms: AlarmSettings, calibrations: Path):
    quiet = _quiet()
    surged = _then(quiet, [70, 75, 72])
    after = _then(surged, [8, 6, 9, 7])
    built: date = after[len(surged)].observed_at.date()
    plain = judge(a_site(), after, alarms, cache_dir=calibrations)
    under = judge(a_site(canopy=built), after, alarms, cache_dir=calibrations)
    assert plain.surges[-1].status is SurgeStatus.ENDED
    assert under.surges[-1].ended_at is None, "fewer cars are seen because fewer can be seen"
    seen = [b.expected for b in under.baselines]
    assert len(seen) == len(plain.baselines), "a break does not blind the judge"


def test_a_break_lets_the_new_number_become_the_baseline_soon(alarms: AlarmSettings, calibrations: Path):
    rows = [an_observation(START + timedelta(days=5.0 * i), 50 + i % 4) for i in range(100)]
    rows = _then(rows, [20 + i % 4 for i in range(30)])
    built = rows[100].observed_at.date()
    plain = judge(a_site(), rows, alarms, cache_dir=calibrations).baselines[-1]
    broken = judge(a_site(canopy=built), rows, alarms, cache_dir=calibrations).baselines[-1]
    assert abs(broken.expected - 21.5) < 6 < abs(plain.expected - 21.5)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [an_observation(START, 4)],
        [replace(r, outcome=Outcome.REJECTED, count=None, flags=("CLOUDY",)) for r in _quiet(300)],
    ],
    ids=["empty", "one look", "all unseen"],
)
def test_too_little_is_said_and_nothing_is_claimed(rows: list[Observation], alarms: AlarmSettings):
    found = judge(a_site(), rows, alarms)
    assert found.cannot_judge.startswith("cannot judge yet: needs 20 informative looks")
    assert found.surges == () and found.alarms == () and found.baselines == ()
    json.dumps(found.state, allow_nan=False)
    assert judge(a_site(), rows, alarms, state=found.state) == found


def test_a_yard_that_was_always_empty_is_judged(alarms: AlarmSettings, calibrations: Path):
    rows = [an_observation(START + timedelta(days=5.0 * i), 0) for i in range(120)]
    found = judge(a_site(), rows, alarms, cache_dir=calibrations)
    assert found.cannot_judge == "" and found.surges == ()
    assert 0 < found.baselines[-1].expected < 3


def test_looks_of_equal_time_are_one_state(alarms: AlarmSettings, calibrations: Path):
    rows = _quiet()
    twins = [replace(r, observation_id=f"twin {i}", scene_id=f"twin {i}") for i, r in enumerate(rows)]
    found = judge(a_site(), [*rows, *twins], alarms, cache_dir=calibrations)
    assert found.baselines[-1].looks == judge(a_site(), rows, alarms, cache_dir=calibrations).baselines[-1].looks


def test_looks_that_are_never_judged_are_named(alarms: AlarmSettings):
    rows = [replace(r, outcome=Outcome.FLAGGED, flags=("TRACKS_OVERGROWN",)) for r in _quiet(300)]
    found = judge(a_site(), rows, alarms)
    assert found.surges == ()
    assert found.cannot_judge.endswith(f"counted but never judged: {len(rows)} TRACKS_OVERGROWN).")
