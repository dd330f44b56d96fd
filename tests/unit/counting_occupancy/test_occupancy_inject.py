"""Injection over an archive: trials are stored and repeatable, the command says what was found."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support.flow_world import FIRST, SITE, write_world

from flows import cli
from flows.commands.inject import as_json, as_lines
from pipeline.errors import RailwatchError
from pipeline.round.acquire import acquire_all
from pipeline.round.count import count_site
from pipeline.round.discover import plan_round
from pipeline.round.inject import inject_site
from pipeline.round.progress import Silent
from pipeline.round.workspace import Workspace

LOOKS = 12  # one is corrupt, and eight earlier ones must stand behind a count


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Give the configuration and home folders of an archive that has been counted."""
    config, home = write_world(tmp_path_factory.mktemp("inject"), LOOKS), tmp_path_factory.mktemp("home")
    with Workspace.open(config, home) as ws:
        until = FIRST + timedelta(days=5 * LOOKS)
        plan = plan_round(ws, SITE, today=until, since=FIRST, until=until, progress=Silent())
        acquire_all(ws, plan, ws.settings_for(SITE), Silent())
        count_site(ws, SITE, progress=Silent())
    return config, home


def test_trials_are_stored_and_repeatable(walked: tuple[Path, Path]) -> None:
    with Workspace.open(*walked) as ws:
        first = inject_site(ws, SITE, numbers=(0, 20, 60), per_class=1, progress=Silent())
        stored = ws.store.injections(SITE)
        again = inject_site(ws, SITE, numbers=(0, 20, 60), per_class=1, progress=Silent())
        assert ws.store.injections(SITE) == stored
        rows = {row.scene_id: row for row in ws.store.observations(SITE)}
    assert [trial.after for trial in again.trials] == [trial.after for trial in first.trials]
    assert len(stored) == len(first.trials) == 3
    assert {trial.injected for trial in stored} == {0.0, 20.0, 60.0}
    assert all(trial.observation_id == rows[trial.scene_id].observation_id for trial in stored)
    found = {(trial.scene_id, trial.injected): trial for trial in stored}
    for scene_id in {trial.scene_id for trial in stored}:
        assert found[scene_id, 60.0].detected and not found[scene_id, 0.0].detected
        assert found[scene_id, 60.0].railcars > found[scene_id, 20.0].railcars > found[scene_id, 0.0].railcars
    whole = first.recoveries[0]
    assert whole.sun == "all" and 0.6 < first.trials[-1].after / 60 < 1.5
    assert whole.power[60].value == 1.0 and whole.alarms.hits == 0


def test_later_looks_do_not_touch_trials(walked: tuple[Path, Path]) -> None:
    until = FIRST + timedelta(days=5 * 9)
    with Workspace.open(*walked) as ws:
        whole = inject_site(ws, SITE, numbers=(0, 40), per_class=3, progress=Silent())
        early = inject_site(ws, SITE, numbers=(0, 40), per_class=3, until=until, progress=Silent())
    assert 0 < len(early.trials) < len(whole.trials)
    assert [trial.after for trial in early.trials] == [trial.after for trial in whole.trials[: len(early.trials)]]


def test_too_few_looks_are_named(walked: tuple[Path, Path]) -> None:
    with Workspace.open(*walked) as ws, pytest.raises(RailwatchError, match="usable looks of landsat"):
        inject_site(ws, SITE, sensor="landsat", progress=Silent())


def test_the_command_prints_a_table_and_json(
    walked: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, home = walked
    hook = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", hook)
    call = ["railwatch", "--config", str(config), "--home", str(home), "inject", SITE, "--looks", "1"]
    monkeypatch.setattr(sys, "argv", [*call, "--format", "json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    said = json.loads(capsys.readouterr().out)
    assert said["site"] == SITE and said["by_sun"][0]["sun"] == "all"
    assert said["by_sun"][0]["power"]["120"]["trials"] == 1
    assert set(said["by_sun"][0]["alarms"]) == {"hits", "trials", "low", "high"}


def test_lines_say_the_same_as_json(walked: tuple[Path, Path]) -> None:
    with Workspace.open(*walked) as ws:
        report = inject_site(ws, SITE, numbers=(0, 20), per_class=1, progress=Silent())
    text, values = "\n".join(as_lines(report)), as_json(report)
    assert "20: " in text and "detection limit" in text
    assert values["trials"] == 2 and values["by_sun"][0]["slope"] is None  # one number is no slope
