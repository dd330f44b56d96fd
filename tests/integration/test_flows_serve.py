"""`railwatch serve`: one command, a round that runs from its deployment, and no child left at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chromium import ARGS
from support.flow_world import LOOKS, SITE, write_world
from support.missing import missing
from support.served import ROOT, Served, start

from pipeline.store import Store

PATIENCE_S = 150


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = start(write_world(tmp_path / "world"), tmp_path / "home")
    try:
        yield made
    finally:
        made.kill()


def until(condition: Any, what: str) -> Any:
    """Wait until a condition gives something, and return it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    pytest.fail(f"waited {PATIENCE_S} s for {what}")


def see_in_browser(address: str, text: str) -> None:
    """Open a page of Prefect's own UI in Chromium and wait until it shows a text."""
    from playwright.sync_api import expect, sync_playwright

    program = shutil.which("chromium")
    if program is None:
        missing("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=90_000)
        picture = os.environ.get("RAILWATCH_TEST_PICTURES")
        if picture:
            page.screenshot(path=str(Path(picture) / "serve.png"))
        browser.close()


def test_serve_runs_rounds_and_ends_without_a_trace(served: Served) -> None:
    def deployment() -> Any:
        return next(iter(served.ask("/deployments/filter", {})), None)

    made = until(deployment, "the deployment")
    assert made["name"] == SITE
    assert made["parameters"]["site"] == SITE
    assert made["schedules"][0]["schedule"]["cron"] == "30 6 * * *"
    assert b'<div id="app"' in urllib.request.urlopen(served.url, timeout=30).read()  # noqa: S310

    see_in_browser(f"{served.url}/deployments", SITE)
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
