"""Where railwatch keeps things when nobody says where."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder(given: str | Path | None = None) -> Path:
    """Return the home folder: what is given, else RAILWATCH_HOME, else the user's data folder."""
    chosen = str(given or "") or os.environ.get("RAILWATCH_HOME", "")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("railwatch", appauthor=False)
