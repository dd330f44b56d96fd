"""Prefect's settings for railwatch, set before Prefect is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def prepare(home: Path, *, debug: bool = False) -> None:
    """Point Prefect to the home folder, offline and quiet; what the user's environment sets stays as it is.

    Must run before `prefect` is imported. Prefect's own database is never the record of truth.
    """
    wanted = {
        "PREFECT_HOME": str(home.resolve() / "prefect"),
        # The ephemeral API starts in 7 to 19 s on busy cores; Prefect's own 20 s are hit.
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # nothing leaves this machine but image requests
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",  # its shutdown is noisy
        "PREFECT_LOGGING_LEVEL": "INFO" if debug else "CRITICAL",  # our own sentences are enough
        # The ephemeral server's SQLAlchemy says that it was cancelled when it is ended; nobody can help that.
        "PREFECT_LOGGING_ROOT_LEVEL": "WARNING" if debug else "CRITICAL",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_FLOWS_ENABLE_RESOURCE_METRICS": "false",
    }
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


@contextmanager
def attended() -> Iterator[None]:
    """Run flows without heartbeat: its thread costs each flow a second at the end, and a person is watching."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
