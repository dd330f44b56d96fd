"""A throw-away PostgreSQL of Debian, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "hunter2"  # noqa: S105  # of a server that lives for one test session, on loopback


def _binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def _server() -> Iterator[tuple[Path, int, list[str]]]:
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed; the gate needs it (Debian: postgresql)")
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="railwatch-pg-"))
    become: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    (folder / "pw").write_text(PASSWORD)
    (folder / "pw").chmod(0o644)
    data, port = folder / "data", _free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "rail", "-A", "scram-sha-256"]
    run = {"check": True, "cwd": folder, "env": environment, "stdout": subprocess.DEVNULL}
    subprocess.run([*become, *initdb, f"--pwfile={folder / 'pw'}", "-E", "UTF8", "--no-sync"], **run)  # type: ignore[call-overload]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    control = [*become, str(binaries / "pg_ctl"), "-D", str(data), "-w", "-s"]
    subprocess.run([*control, "-o", options, "-l", str(folder / "log"), "start"], **run)  # type: ignore[call-overload]
    try:
        yield binaries, port, []
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(_server: tuple[Path, int, list[str]]) -> str:
    """Return the address of an empty database."""
    import psycopg

    _, port, made = _server
    name = f"rw{len(made)}"
    made.append(name)
    address = f"rail:{PASSWORD}@127.0.0.1:{port}"
    with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql+psycopg://{address}/{name}"
