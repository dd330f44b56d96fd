"""Work pools: a backfill that is fetched by a worker, and the project's own prefect.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.flow_world import FIRST, LOOKS, SITE, write_world
from support.served import ROOT, Served, start

from pipeline.store import Store


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = start(write_world(tmp_path / "world"), tmp_path / "home")
    try:
        yield made
    finally:
        made.kill()


def test_a_worker_fetches_and_this_process_counts(served: Served, tmp_path: Path) -> None:
    environment = served.environment()
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540, check=False
        )

    arguments = ("--since", f"{FIRST:%Y-%m-%d}", "--until", f"{FIRST:%Y}-06-30", "--work-pool", "yards")
    railwatch = [sys.executable, "-m", "flows.cli", "--config", str(served.config), "--home", str(served.home)]
    missing = run(*railwatch, "backfill", SITE, *arguments)
    assert missing.returncode == 2
    assert "prefect work-pool create yards" in missing.stderr

    for name in ("yards", "railwatch"):  # what `prefect work-pool create NAME --type process` asks
        served.ask("/work_pools/", {"name": name, "type": "process"})
    worker = subprocess.Popen(
        [*prefect, "worker", "start", "--pool", "yards"],
        cwd=tmp_path,  # not the project's folder: a worker only needs railwatch installed
        env={
            **environment,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = run(*railwatch, "backfill", SITE, *arguments)
    finally:
        worker.terminate()
        worker.wait(60)
    assert done.returncode == 3, done.stderr
    assert f"{LOOKS - 1} fetched" in done.stdout
    assert "red.tif" in done.stderr  # what failed elsewhere is listed here
    runs = served.ask("/flow_runs/filter", {"flows": {"name": {"any_": ["fetch-window"]}}})
    assert [entry["state_type"] for entry in runs] == ["COMPLETED", "COMPLETED"]
    with Store.open(f"sqlite:///{served.home / 'railwatch.sqlite'}") as store:
        assert len(store.observations(SITE)) == LOOKS

    deployed = run(*prefect, "deploy", "--all")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    wanted = {entry["name"] for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    names = [entry["name"] for entry in served.ask("/deployments/filter", {})]
    assert wanted < set(names)


def test_a_pool_without_a_server_is_refused(tmp_path: Path) -> None:
    config = write_world(tmp_path / "world", looks=1)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    command = [sys.executable, "-m", "flows.cli", "--config", str(config), "--home", str(tmp_path / "home")]
    window = ["--since", "2023-01-01", "--until", "2023-06-30", "--work-pool", "yards"]
    done = subprocess.run(
        [*command, "backfill", SITE, *window],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "PREFECT_API_URL" in done.stderr
