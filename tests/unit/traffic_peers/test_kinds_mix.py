"""The mix of kinds: a change is told once, at its rate, and quiet mixes are left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from support.store_samples import count, observation

from pipeline.config import AlarmSettings, open_configuration
from pipeline.model import Observation, Outcome, RailcarKind, Tier
from pipeline.traffic.kinds import KINDS, KindChange, counts_by_kind, kind_changes
from pipeline.traffic.published import published_observations

CONFIG = Path(__file__).resolve().parents[3] / "config"
SETTINGS = AlarmSettings()
FIRST = datetime(2021, 1, 1, 2, tzinfo=UTC)
BOXES = {RailcarKind.BOX: 0.7, RailcarKind.ORE: 0.15, RailcarKind.TANK: 0.1, RailcarKind.LOCOMOTIVE: 0.05}
ORES = {RailcarKind.ORE: 0.65, RailcarKind.TANK: 0.25, RailcarKind.BOX: 0.1}


def looks(
    days: range, mix: dict[RailcarKind, float], seed: int, cars: int = 60, concentration: float = 25.0
) -> list[Observation]:
    """Draw looks of a yard whose mix varies from look to look."""
    rng = np.random.default_rng(seed)
    share = np.array([mix.get(kind, 0.0) for kind in KINDS]) + 1e-3
    out = []
    for number, day in enumerate(days):
        drawn = rng.multinomial(rng.poisson(cars), rng.dirichlet(concentration * share / share.sum()))
        kinds = {kind.value: float(n) for kind, n in zip(KINDS, drawn, strict=True) if n}
        row = observation(number, site="yard", observation_id=f"{seed}-{day}", scene_id=f"{seed}-{day}", flags=())
        at = FIRST + timedelta(days=day)
        out.append(replace(row, observed_at=at, outcome=Outcome.COUNTED, count=replace(count(), by_kind=kinds)))
    return out


def loud(found: tuple[KindChange, ...], since: int = 0) -> list[KindChange]:
    """Return the changes above tier `watch` from a day on; quiet mixes may give a `watch` twice a year."""
    return [c for c in found if c.tier is not Tier.WATCH and c.observed_at >= FIRST + timedelta(days=since)]


def test_ore_and_tank_instead_of_box_is_told_once_at_its_look() -> None:
    rows = looks(range(0, 700, 15), BOXES, 1) + looks(range(705, 780, 15), ORES, 2)
    found = kind_changes(rows, SETTINGS)
    told = loud(found, 705)
    assert len(told) == 1 and told[0].observed_at == FIRST + timedelta(days=705)
    assert "ore car" in told[0].sentence and "box car" in told[0].sentence and "years" in told[0].sentence
    # The past does not move: what was told stays told, whatever comes later and in whatever order.
    later = looks(range(800, 860, 15), BOXES, 3)
    assert kind_changes([*later, *rows[::-1]], SETTINGS)[: len(found)] == found


def test_a_mix_that_stays_becomes_the_usual_one() -> None:
    rows = looks(range(0, 700, 15), BOXES, 1) + looks(range(705, 1000, 15), ORES, 2)
    found = loud(kind_changes(rows, SETTINGS), 705)
    assert [change.regime for change in found] == [False, True]
    assert "is the usual one now" in found[1].sentence
    assert (found[1].observed_at - found[0].observed_at).days >= SETTINGS.new_regime_days
    back = loud(kind_changes(rows + looks(range(1005, 1070, 15), BOXES, 4), SETTINGS), 1005)
    assert len(back) == 1 and not back[0].regime and back[0].usual["ore car"] > 0.4


def test_quiet_mixes_keep_to_the_rate() -> None:
    # Five yards over nearly three judged years whose mixes vary much: told at most twice a year, as `watch` promises.
    years = 0.0
    found: list[KindChange] = []
    for seed in range(5):
        found += kind_changes(looks(range(0, 1100, 12), BOXES, 100 + seed, 40, 4.0), SETTINGS)
        years += (1100 - 130) / 365.25  # the first look is judged when eight older ones lie before the guard
    alerts = sum(change.tier is not Tier.WATCH for change in found)
    assert 0 < len(found) <= 2.0 * years + 2 * np.sqrt(2.0 * years)
    assert alerts <= 0.5 * years + 2 * np.sqrt(0.5 * years)


def test_few_cars_few_looks_and_unknown_kinds_say_nothing() -> None:
    assert kind_changes([], SETTINGS) == ()
    assert kind_changes(looks(range(0, 60, 15), BOXES, 1) + looks(range(100, 130, 15), ORES, 2), SETTINGS) == ()
    assert kind_changes(looks(range(0, 900, 15), BOXES, 1, cars=4), SETTINGS) == ()
    row = looks(range(1), BOXES, 1)[0]
    coarse = replace(row, count=replace(count(), by_kind={}))
    assert counts_by_kind([coarse]) == ()
    assert counts_by_kind([replace(row, flags=("DATE_UNCERTAIN",))]) == ()
    assert len(counts_by_kind([row])) == 1


def test_published_counts_by_kind_are_read() -> None:
    rows = published_observations(open_configuration(CONFIG).site("tumangang"))
    by_day = {kinds.observed_at.date().isoformat(): kinds.railcars for kinds in counts_by_kind(rows)}
    assert list(by_day) == ["2024-06-17"]
    seen = by_day["2024-06-17"]
    assert (seen["ore car"], seen["box car"], seen["tank car"]) == (175, 14, 66)
    assert (seen["locomotive"], seen["maintenance-of-way"]) == (6, 3)
