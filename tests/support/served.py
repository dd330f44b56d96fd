"""A running `railwatch serve`, for tests that talk to it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "RAILWATCH_TEST_MARK"


class Served:
    """A running `railwatch serve` with its address."""

    def __init__(self, process: subprocess.Popen[str], mark: str, config: Path, home: Path) -> None:
        self.process, self.mark, self.config, self.home = process, mark, config, home
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

    def environment(self) -> dict[str, str]:
        """Return an environment for commands that use this server."""
        return {
            **clean(),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_HOME": str(self.home / "prefect"),
            "DO_NOT_TRACK": "1",
        }

    def kill(self) -> None:
        """End whatever is still there."""
        for number in self.processes():
            os.kill(number, signal.SIGKILL)
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()

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


def clean() -> dict[str, str]:
    """Return this process's environment without a word of Prefect's."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}


def start(config: Path, home: Path) -> Served:
    mark = uuid.uuid4().hex
    environment = clean()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "--config", str(config), "--home", str(home), "serve", "--port", "0"],
        cwd=ROOT,
        env={**environment, MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
    )
    return Served(process, mark, config, home)
