"""`railwatch serve`: one command, a round that runs from its deployment, and no child left at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.flow_world import LOOKS, SITE, write_world

from pipeline.store import Store

ROOT = Path(__file__).parents[2]
PATIENCE_S = 150
MARK = "RAILWATCH_TEST_MARK"


class Served:
    """A running `railwatch serve` with its address."""

    def __init__(self, process: subprocess.Popen[str], mark: str, home: Path) -> None:
        self.process, self.mark, self.home = process, mark, home
        self.said: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line)
            if "Stop with Ctrl-C" in line:
                break
        found = re.search(r"http://127\.0\.0\.1:\d+", "".join(self.said))
        assert found, "".join(self.said)
        self.url = found.group()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api{path}", data, {"content-type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def processes(self) -> list[int]:
        """Return every living process that descends from this serve, whoever its parent is now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if f"{MARK}={self.mark}".encode() in environment and state != "Z":
                found.append(int(folder.name))
        return found


def start(config: Path, home: Path) -> Served:
    mark = uuid.uuid4().hex
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "--config", str(config), "--home", str(home), "serve", "--port", "0"],
        cwd=ROOT,
        env={**environment, MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
    )
    return Served(process, mark, home)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = start(write_world(tmp_path / "world"), tmp_path / "home")
    try:
        yield made
    finally:
        for number in made.processes():
            os.kill(number, signal.SIGKILL)
        made.process.wait(30)
        if made.process.stdout is not None:
            made.process.stdout.close()


def until(condition: Any, what: str) -> Any:
    """Wait until a condition gives something, and return it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    pytest.fail(f"waited {PATIENCE_S} s for {what}")


def test_serve_runs_rounds_and_ends_without_a_trace(served: Served) -> None:
    def deployment() -> Any:
        return next(iter(served.ask("/deployments/filter", {})), None)

    made = until(deployment, "the deployment")
    assert made["name"] == SITE
    assert made["parameters"]["site"] == SITE
    assert made["schedules"][0]["schedule"]["cron"] == "30 6 * * *"
    assert b'<div id="app"' in urllib.request.urlopen(served.url, timeout=30).read()  # noqa: S310

    run = served.ask(f"/deployments/{made['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})

    def final() -> Any:
        state = served.ask(f"/flow_runs/{run['id']}")["state"]
        return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    state = until(final, "the round")
    assert state["type"] == "COMPLETED", state
    with Store.open(f"sqlite:///{served.home / 'railwatch.sqlite'}") as store:
        assert len(store.observations(SITE)) == LOOKS
        record = store.last_round(SITE)
    assert record is not None
    assert record.exit_code == 3
    assert record.started_at.isoformat()[:16] == run["expected_start_time"][:16]
    assert len(served.processes()) >= 3
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    assert served.processes() == []
    assert (served.home / "prefect").is_dir()


def test_a_child_that_dies_ends_serve_with_a_sentence(served: Served) -> None:
    others = [number for number in served.processes() if number != served.process.pid]
    os.kill(min(others), signal.SIGKILL)  # the server started first
    assert served.process.wait(60) == 1
    assert served.processes() == []
    assert served.process.stdout is not None
    assert "ended by itself" in served.process.stdout.read()


def test_a_taken_port_is_said_at_once(tmp_path: Path) -> None:
    import socket

    config = write_world(tmp_path / "world", looks=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "flows.cli", "--config", str(config), "--home", str(tmp_path / "home")]
        done = subprocess.run(
            [*command, "serve", "--port", port], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert done.stderr.count("\n") == 1
