"""The simulated archive, written while somebody watches."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import RailwatchError
from pipeline.round.progress import Progress
from pipeline.simulate.archive import write_archive


def simulate_dir(folder: Path, years: int, seed: int, progress: Progress) -> None:
    """Write a simulated archive with its configuration and truth.

    Parameters
    ----------
    folder : Path
        New, empty, or one that an interrupted run began.
    years : int
    seed : int
    progress : Progress

    Raises
    ------
    RailwatchError
        When the folder holds other things or cannot be written.
    """
    ours = {"catalogue", "config", "truth.csv", "truth.part", "accidents.json", "home"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = sorted(entry.name for entry in folder.iterdir() if entry.name not in ours)
        if strange:
            raise RailwatchError(f"{folder} already holds {strange[0]}; name a new or empty folder.")
        for done, total in write_archive(folder, years, seed):
            if done == 1:
                progress.start("simulate", total)
            progress.advance()
    except OSError as error:
        raise RailwatchError(f"{error.filename or folder} cannot be written ({error.strerror}).") from error
    progress.done()
