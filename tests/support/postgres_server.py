"""A throw-away PostgreSQL of Debian, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "hunter2"  # noqa: S105  # of a server that lives for one test session, on loopback


def postgres_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server(binaries: Path) -> Iterator[str]:
    """Run a server and give the `user:password@host:port` of its owner."""
    folder = Path(tempfile.mkdtemp(prefix="railwatch-pg-"))
    become: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    (folder / "pw").write_text(PASSWORD)
    (folder / "pw").chmod(0o644)
    data, port = folder / "data", free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*become, str(binaries / program), "-D", str(data), *arguments],
            check=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )

    try:
        run("initdb", "-U", "rail", "-A", "scram-sha-256", f"--pwfile={folder / 'pw'}", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        run("pg_ctl", "-w", "-s", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"rail:{PASSWORD}@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
