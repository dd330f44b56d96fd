"""Rounds over a small archive: with Prefect and without, once and twice, in one go and look by look."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.flow_world import CORRUPT, FIRST, LOOKS, SITE, item_id, write_world

from pipeline.errors import ConfigError, ReadError
from pipeline.imagery.static import StaticSource
from pipeline.model import Chip, Outcome, Scene, Site
from pipeline.round.progress import Silent
from pipeline.round.workspace import Workspace

ROOT = Path(__file__).parents[2]
TODAY = FIRST + timedelta(days=60)
LAST = FIRST + timedelta(days=5 * (LOOKS - 1), hours=1)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run Prefect's ephemeral API once for all tests."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    home = {PREFECT_HOME: tmp_path_factory.mktemp("prefect"), PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(home), prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the archive once; return its configuration folder."""
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def direct_dump(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Walk the whole archive without Prefect and return the store's content."""
    return direct(archive, tmp_path_factory.mktemp("direct"), FIRST, LAST)


def direct(config: Path, home: Path, since: datetime, until: datetime) -> str:
    from flows.walk import Direct, Window, walk

    with Workspace.open(config, home) as ws:
        walk(ws, SITE, today=TODAY, window=Window(since, until), progress=Silent(), engine=Direct())
        return ws.store.dump()


def dump(config: Path, home: Path) -> str:
    with Workspace.open(config, home) as ws:
        return ws.store.dump()


def test_direct_leaves_a_row_for_every_look(archive: Path, tmp_path: Path) -> None:
    from flows.walk import Direct, Window, walk

    with Workspace.open(archive, tmp_path) as ws:
        window = Window(FIRST, LAST)
        first = walk(ws, SITE, today=TODAY, window=window, progress=Silent(), engine=Direct(), workers=2)
        rows = ws.store.observations(SITE)
        assert len(rows) == LOOKS
        assert [row.outcome is Outcome.FAILED for row in rows] == [number == CORRUPT for number in range(LOOKS)]
        assert item_id(CORRUPT) in rows[CORRUPT].detail
        assert "red" in rows[CORRUPT].detail
        assert first.exit_code == 3
        assert first.report_path is not None
        content = ws.store.dump()
        again = walk(ws, SITE, today=TODAY + timedelta(days=1), window=window, progress=Silent(), engine=Direct())
        assert ws.store.dump() == content
        assert not again.plan.new


def test_look_by_look_ends_like_one_go(archive: Path, tmp_path: Path, direct_dump: str) -> None:
    for number in range(LOOKS):
        until = FIRST + timedelta(days=5 * number, hours=1)
        content = direct(archive, tmp_path, FIRST, until)
    assert content == direct_dump


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_ends_like_the_direct_walk(archive: Path, tmp_path: Path, direct_dump: str) -> None:
    from prefect.client.orchestration import get_client

    from flows.backfill import backfill

    result = backfill(str(archive), str(tmp_path), SITE, FIRST.isoformat(), LAST.isoformat(), workers=3)
    assert result.exit_code == 3
    assert dump(archive, tmp_path) == direct_dump

    async def artifact() -> str:
        async with get_client() as client:
            found = await client.read_latest_artifacts()
        return str(next(entry.data for entry in found if entry.key == f"round-{SITE}"))

    markdown = asyncio.run(artifact())
    assert "| acquire | failed | 1 |" in markdown
    assert ".html)" in markdown


@pytest.mark.usefixtures("prefect_server")
def test_the_monitor_takes_its_date_from_the_schedule(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flows.monitor as module

    class Scheduled:
        scheduled_start_time = TODAY

    monkeypatch.setattr(module, "flow_run", Scheduled)
    result = module.monitor(str(archive), str(tmp_path), SITE)
    assert result.plan.until == TODAY
    assert result.plan.first_use
    assert len(result.plan.new) == LOOKS


@pytest.mark.usefixtures("prefect_server")
def test_only_the_network_is_tried_again(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import tasks
    from flows.backfill import backfill

    monkeypatch.setattr(tasks, "BACKOFF_S", 0)
    read = StaticSource.read
    tries: dict[str, int] = {}

    def flaky(self: StaticSource, site: Site, scene: Scene) -> Chip:
        tries[scene.scene_id] = tries.get(scene.scene_id, 0) + 1
        if "20230309" in scene.scene_id and tries[scene.scene_id] == 1:
            raise ReadError(f"{scene.scene_id}: the server went away", transient=True)
        return read(self, site, scene)

    monkeypatch.setattr(StaticSource, "read", flaky)
    backfill(str(archive), str(tmp_path), SITE, FIRST.isoformat(), LAST.isoformat())
    assert tries.pop("S2B_20230309_R103") == 2
    assert set(tries.values()) == {1}  # the corrupt file is not tried again
    with Workspace.open(archive, tmp_path) as ws:
        outcomes = {row.scene_id: row.outcome for row in ws.store.observations(SITE)}
    assert outcomes["S2B_20230309_R103"] is not Outcome.FAILED


@pytest.mark.usefixtures("prefect_server")
def test_an_error_leaves_a_flow_as_it_is(archive: Path, tmp_path: Path) -> None:
    from flows.monitor import monitor

    with pytest.raises(ConfigError, match="no site 'nowhere'"):
        monitor(str(archive), str(tmp_path), "nowhere")


@pytest.mark.usefixtures("prefect_server")
def test_recount_says_what_moved_and_asks_no_source(archive: Path, tmp_path: Path) -> None:
    from flows.recount import recount

    direct(archive, tmp_path / "home", FIRST, LAST)
    config = tmp_path / "config"
    shutil.copytree(archive, config)
    (config / "sources" / "simulated.yaml").unlink()
    (config / "sources" / "simulated.yaml").write_text(
        (archive / "sources" / "simulated.yaml").read_text().replace("../catalogue", "/gone")
    )
    before = dump(archive, tmp_path / "home")
    counts = recount(str(config), str(tmp_path / "home"), SITE)
    assert len(counts.rows) == LOOKS - 1
    assert (counts.moved, counts.appeared, counts.gone) == ((), (), ())
    assert dump(archive, tmp_path / "home") == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_backfill_carries_on(
    archive: Path, tmp_path: Path, direct_dump: str, number: signal.Signals
) -> None:
    window = ["--since", f"{FIRST:%Y-%m-%d}", "--until", f"{LAST:%Y-%m-%d}"]
    command = [sys.executable, "-m", "flows.cli", "--config", str(archive), "--home", str(tmp_path), "backfill", SITE]
    # On a busy machine the round must not end before this process has seen its second picture.
    process = subprocess.Popen(
        ["nice", "-n", "19", *command, *window, "--direct", "--workers", "1"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and len(list(tmp_path.glob("archive/**/*.tif"))) < 2:
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=240)
    assert process.returncode in (-signal.SIGKILL, 1)
    assert ("interrupted" in said) is (number is signal.SIGINT)
    assert dump(archive, tmp_path) != direct_dump
    done = subprocess.run([*command, *window, "--direct"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "red.tif" in done.stderr
    assert dump(archive, tmp_path) == direct_dump
