"""`railwatch serve`: Prefect's server and the runner of the deployments as two children, ended without a trace."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from flows.door import Door
from flows.orchestrator import prepare
from pipeline.errors import ConfigError, RailwatchError

START_TIMEOUT_S = 180.0  # first start migrates Prefect's database, 8 to 18 s on an idle machine
STOP_TIMEOUT_S = 20.0  # then children are killed
POLL_S = 0.2


def serve_until_stopped(
    here: Door, sites: list[str], *, host: str, port: int, cron: str, say: Callable[[str], object]
) -> int:
    """Serve until SIGTERM or SIGINT, or until a child ends by itself.

    Each child leads a process group of its own, so that at the end nothing of it is left.

    Returns
    -------
    int
        0 after a signal, 1 when a child ended by itself.

    Raises
    ------
    ConfigError
        When the port is taken.
    """
    port = _free(host, port)
    url = f"http://{_reachable(host)}:{port}"
    prepare(here.home, debug=here.debug)
    environment = {
        **os.environ,
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",  # without it the pages are blank on another port than 4200
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_RUNNER_SERVER_ENABLE": "false",
    }
    stop = threading.Event()
    former = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    children: list[subprocess.Popen[bytes]] = []
    try:
        server_command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
        server = _child(server_command, environment, quiet=not here.debug)
        children.append(server)
        say("Prefect's server is starting ...")
        if not _wait_until_up(url, server, stop):
            if stop.is_set():
                return 0
            raise RailwatchError(
                f"{url}: Prefect's server did not start; try another --port, or --debug to see what it says."
            )
        say(f"Prefect: {url}  (API {url}/api; set PREFECT_API_URL to it for workers and the prefect command)")
        runner = _child(
            [
                sys.executable,
                "-m",
                "flows.runner",
                str(here.config.resolve()),
                str(here.home.resolve()),
                cron,
                *sites,
            ],
            environment,
            quiet=False,
        )
        children.append(runner)
        say(f"Rounds for {', '.join(sites)} at '{cron}' UTC. Stop with Ctrl-C.")
        while not stop.wait(POLL_S):
            ended = next((child for child in children if child.poll() is not None), None)
            if ended is not None:
                what = "Prefect's server" if ended is server else "the runner of the rounds"
                say(f"railwatch: {what} ended by itself with exit code {ended.returncode}; start serve again.")
                return 1
        return 0
    finally:
        for child in reversed(children):  # the runner first: it says goodbye to the server
            _end(child)
        for number, handler in former.items():
            signal.signal(number, handler)
        if stop.is_set():
            say("Stopped.")


def _child(command: list[str], environment: dict[str, str], *, quiet: bool) -> subprocess.Popen[bytes]:
    """Start a process that leads its own group, so that a Ctrl-C in the terminal reaches it through us only."""
    return subprocess.Popen(  # noqa: S603  # our own interpreter and modules
        command,
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
    )


def _wait_until_up(url: str, server: subprocess.Popen[bytes], stop: threading.Event) -> bool:
    """Wait until the server answers; False when it ended, was stopped or took too long."""
    until = time.monotonic() + START_TIMEOUT_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our loopback
    while time.monotonic() < until and server.poll() is None and not stop.wait(POLL_S):
        try:
            with opener.open(f"{url}/api/health", timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            continue
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and everything in its group: asked first, killed when it does not listen."""
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_TIMEOUT_S)
    # What the child left behind is in its group; the group's number stays taken as long as anything is in it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _free(host: str, port: int) -> int:
    """Return the port when it is free, or any free one for 0.

    Raises
    ------
    ConfigError
        When it is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"serve cannot listen on {host} port {port} ({error.strerror}); choose another --port or --host."
            ) from error
        return int(probe.getsockname()[1])


def _reachable(host: str) -> str:
    """Return an address that a browser on this machine can open."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  # what the user asked for
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
