"""The back-test: own day only, overlap of intervals, lag of the alarm, and the command that prints it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from support.store_samples import count, observation, surge
from typer.testing import CliRunner

from flows.cli import app
from pipeline.config import open_configuration
from pipeline.model import Observation, Outcome, Site, Surge, Tier
from pipeline.store import Store
from pipeline.traffic.backtest import backtest

CONFIG = Path(__file__).resolve().parents[3] / "config"


def at(day: str, hour: int = 2) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)


def look(day: str, railcars: float, half: float = 6.0, method: str = "resolved") -> Observation:
    seen = replace(count(), railcars=railcars, low=max(0.0, railcars - half), high=railcars + half, method=method)
    row = observation(0, site="tumangang", observation_id=f"look-{day}", scene_id=f"scene-{day}", flags=())
    return replace(row, observed_at=at(day), count=replace(seen, flags=()), outcome=Outcome.COUNTED)


def alarm(first: str, ended: str | None = None, peak: float = 70.0) -> Surge:
    return surge(
        f"surge-{first}",
        site="tumangang",
        tier=Tier.HIGH,
        first_alarm_at=at(first),
        peak_at=at(first),
        peak_railcars=peak,
        ended_at=at(ended) if ended else None,
    )


@pytest.fixture(scope="module")
def site() -> Site:
    return open_configuration(CONFIG).site("tumangang")


def test_a_look_a_day_away_is_never_compared(site: Site) -> None:
    found = backtest(site, [look("2023-10-04", 70), look("2023-10-06", 70)], [])
    check = next(c for c in found.counts if c.published.row.start == date(2023, 10, 5))
    assert check.looks == 0 and check.agrees is None and check.nearest_days == -1


@pytest.mark.parametrize(("railcars", "agrees"), [(70.0, True), (90.0, False), (55.0, False)])
def test_agreement_is_an_overlap_of_intervals(site: Site, railcars: float, agrees: bool) -> None:
    found = backtest(site, [look("2023-10-05", railcars)], [])
    check = next(c for c in found.counts if c.published.row.start == date(2023, 10, 5))
    assert check.agrees is agrees and check.ours == railcars
    assert (found.compared, found.agreeing) == (1, int(agrees))


def test_bounds_have_one_open_end_and_spans_take_every_look(site: Site) -> None:
    looks = [look("2024-10-21", 180), look("2022-11-30", 1, 2), look("2021-05-01", 12), look("2021-06-01", 45)]
    found = {c.published.row.start: c for c in backtest(site, looks, []).counts}
    assert found[date(2024, 10, 21)].agrees is True  # at least 8
    assert found[date(2022, 11, 30)].agrees is False  # at least 8, and we saw at most 3
    level = found[date(2018, 10, 1)]  # at most about 20, over five years
    assert (level.looks, level.agreeing, level.ours) == (3, 2, 45.0)


def test_a_look_that_is_calibrated_with_the_row_proves_nothing(site: Site) -> None:
    found = backtest(site, [look("2024-06-17", 250, 30, "occupancy")], [])
    check = next(c for c in found.counts if c.published.row.start == date(2024, 6, 17))
    assert check.agrees is True and check.leaned_on
    assert (found.compared, found.agreeing) == (0, 0)


def test_lag_is_counted_from_the_published_day(site: Site) -> None:
    looks = [look("2019-01-01", 5), look("2025-01-01", 5)]
    early = backtest(site, looks, [alarm("2023-10-01", "2023-11-01"), alarm("2024-06-20")])
    assert [check.lag_days for check in early.alarms] == [-4.0, 3.0]
    none = backtest(site, looks, [alarm("2023-01-01", "2023-02-01"), alarm("2024-12-20")])
    assert [check.lag_days for check in none.alarms] == [None, None]
    assert "with an alarm of ours: 0." in " ".join(none.summary())
    passing = backtest(site, looks, [alarm("2020-03-01", "2020-04-01", peak=60.0), alarm("2020-06-01", peak=18.0)])
    assert [s.surge_id for s in passing.unexplained] == ["surge-2020-03-01"]


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    runner = CliRunner()
    options = ["--config", str(CONFIG), "--home", str(home), "backtest", "tumangang"]
    empty = runner.invoke(app, options)
    assert empty.exit_code == 0 and "nothing to hold against the record" in empty.output
    with Store.open(f"sqlite:///{home / 'railwatch.sqlite'}") as store:
        store.upsert_observations([look("2023-10-05", 70), look("2024-01-05", 8)])
        store.save_judgement("tumangang", [alarm("2023-10-05")], [], {})
    told = runner.invoke(app, options)
    assert told.exit_code == 0, told.output
    line = next(line for line in told.output.splitlines() if line.startswith("2023-10-05 "))
    assert line.split()[1:7] == ["73", "(65-81)", "primary", "70", "(64-76)", "yes"]
    path = tmp_path / "backtest.json"
    assert runner.invoke(app, [*options, "--format", "json", "--out", str(path)]).exit_code == 0
    record = json.loads(path.read_text())
    assert (record["compared"], record["agreeing"]) == (1, 1)
    assert record["alarms"][0]["lag_days"] == 0 and record["alarms"][0]["source"].startswith("https://")
