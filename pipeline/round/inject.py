"""Injection over a site's archive: what the counter finds of railcars that were put into its own real looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.counting.occupancy import METHOD, METHOD_VERSION
from pipeline.counting.occupancy.injection import NUMBERS, Injected, Recovery, run_injection, summarise, trials_of
from pipeline.errors import RailwatchError
from pipeline.imagery.quality import look_at
from pipeline.model import Count, Look, Observation
from pipeline.round.history import known_counts, usable_as_history
from pipeline.round.progress import Progress
from pipeline.round.workspace import Workspace
from pipeline.store import InjectionResult


@dataclass(frozen=True)
class InjectionReport:
    """What injections into one sensor's looks of a site showed."""

    site: str
    sensor: str
    looks: int  # usable looks of the sensor in the archive
    seed: int
    trials: tuple[Injected, ...]
    recoveries: tuple[Recovery, ...]  # all looks, then each sun class that has any


def inject_site(
    ws: Workspace,
    site_name: str,
    *,
    sensor: str = "sentinel-2",
    since: datetime | None = None,
    until: datetime | None = None,
    numbers: Sequence[int] = NUMBERS,
    per_class: int = 20,
    seed: int = 1,
    progress: Progress,
) -> InjectionReport:
    """Put known numbers of railcars into a site's archived looks, count them, and store every trial.

    Parameters
    ----------
    ws : Workspace
    site_name : str
    sensor : str
        Sensor whose looks are counted by occupancy: sentinel-2 or landsat.
    since, until : datetime, optional
        Only looks acquired in this window receive railcars, UTC; earlier ones still stand behind them.
    numbers : sequence of int
        Railcars to put in; 0 is the look as it is.
    per_class : int
        Looks of each sun class that receive them.
    seed : int
        Equal seeds give equal trials.
    progress : Progress

    Raises
    ------
    RailwatchError
        When the archive holds too few counted looks of the sensor.
    """
    site, settings = ws.site(site_name), ws.settings_for(site_name)
    rows = {
        row.scene_id: row
        for row in ws.store.observations(site_name)
        if row.sensor == sensor and row.method == METHOD and usable_as_history(row.outcome, row.flags)
    }
    order = sorted(ws.archive.find(site_name), key=lambda entry: (entry.scene.observed_at, entry.scene.scene_id))
    looks: list[Look] = [
        look_at(ws.archive.get(entry), site, settings.quality)
        for entry in order
        if entry.scene.scene_id in rows and (until is None or entry.scene.observed_at <= until)
    ]
    least = settings.counting.history_min_looks
    if len(looks) <= least:
        raise RailwatchError(
            f"{site_name}: only {len(looks)} usable looks of {sensor} are archived and counted, and {least + 1} are "
            f"needed; run `railwatch backfill {site_name} --since DATE --until DATE` first."
        )
    known = known_counts(site, ws.store.observations(site_name), ws.store.verdicts(site_name))
    progress.start("inject", trials_of(looks, site, settings.counting, numbers, per_class, since))
    trials: list[Injected] = []
    for trial in run_injection(
        looks, site, known, settings.counting, settings.quality,
        numbers=numbers, per_class=per_class, seed=seed, since=since,
    ):  # fmt: skip
        trials.append(trial)
        ws.store.save_injections([_stored(trial, rows[trial.scene_id])])
        progress.advance()
    progress.done()
    return InjectionReport(site_name, sensor, len(looks), seed, tuple(trials), summarise(trials))


def _stored(trial: Injected, row: Observation) -> InjectionResult:
    """Return a trial as the store keeps it, beside the row of its look."""
    count = trial.count if isinstance(trial.count, Count) else None
    return InjectionResult(
        row.site, row.observation_id, row.scene_id, row.observed_at, float(trial.railcars), trial.seed,
        METHOD, METHOD_VERSION, row.config_digest, trial.found,
        count.railcars if count else None, count.low if count else None, count.high if count else None,
    )  # fmt: skip
