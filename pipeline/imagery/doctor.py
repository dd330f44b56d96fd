"""Tries each source as a round would: search, read one window; says how long it took and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, RailwatchError, ReadError
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import SourceReader, open_source
from pipeline.model import Site

State = Literal["ok", "failed", "disabled", "empty"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str  # open, search, read
    ok: bool
    seconds: float
    said: str  # what came of it, one sentence


@dataclass(frozen=True, slots=True)
class Examination:
    """What became of one source."""

    source: str
    kind: str
    state: State
    steps: tuple[Step, ...]
    advice: str  # what to do, "" when nothing is to be done
    newest: datetime | None = None  # newest scene found, UTC
    items: int = 0
    pixel_bytes: int = 0  # of the window that was read
    terms: str = ""


def examine(
    config: SourceConfig,
    site: Site,
    *,
    base: Path,
    now: datetime,
    days: int = 60,
    clock: Callable[[], float] = time.perf_counter,
) -> Examination:
    """Try one source on a site.

    Parameters
    ----------
    config : SourceConfig
        A disabled source is reported, not asked.
    site : Site
    base : Path
        Folder at which relative paths of the source start.
    now : datetime
        UTC; the search covers the `days` before it. Sources that may hold an old archive are searched whole
        when nothing is that recent.
    days : int
    clock : callable
        Seconds; durations are for people and never enter a result.
    """
    if not config.enabled:
        why = config.disabled_reason or "no reason is given"
        return Examination(config.name, config.kind, "disabled", (), f"disabled: {why}", terms=config.terms)
    steps: list[Step] = []

    def fail(name: str, started: float, error: RailwatchError, **known: object) -> Examination:
        steps.append(Step(name, False, clock() - started, str(error)))
        return Examination(
            config.name, config.kind, "failed", tuple(steps), _advice(name, config, error), terms=config.terms,
            **known,  # type: ignore[arg-type]
        )  # fmt: skip

    started = clock()
    try:
        reader: SourceReader = open_source(config, base=base)
    except RailwatchError as error:
        return fail("open", started, error)
    started = clock()
    try:
        items = reader.search(site, now - timedelta(days=days), now)
        if not items and config.kind in ("folder", "stac-static", "xyz", "wmts"):
            items = reader.search(site, datetime(1972, 7, 23, tzinfo=now.tzinfo), now)
    except RailwatchError as error:
        return fail("search", started, error)
    steps.append(Step("search", True, clock() - started, f"{len(items)} items"))
    scenes, _ = scenes_from_items(items, (config.name,))
    newest = max((scene.observed_at for scene in scenes), default=None)
    if not scenes:
        return Examination(
            config.name, config.kind, "empty", tuple(steps),
            f"nothing found in the {days} days before {now:%Y-%m-%d}; check the site's area and the source's "
            "collections, or wait for the next pass.", terms=config.terms,
        )  # fmt: skip
    scene = max(scenes, key=lambda found: (found.observed_at, found.scene_id))
    started = clock()
    try:
        chip = reader.read(site, scene)
    except RailwatchError as error:
        return fail("read", started, error, newest=newest, items=len(items))
    share = float(chip.valid.mean())
    said = f"{scene.scene_id}: {chip.values.nbytes / 1024:.0f} KB of pixels, {share:.0%} valid"
    steps.append(Step("read", True, clock() - started, said))
    advice = "" if share > 0 else "the newest scene does not reach the site; this is normal at a swath's edge."
    return Examination(
        config.name, config.kind, "ok", tuple(steps), advice, newest, len(items), chip.values.nbytes, config.terms
    )


def examine_all(
    configs: Sequence[SourceConfig], site: Site, *, base: Path, now: datetime, days: int = 60
) -> tuple[Examination, ...]:
    """Try every source in turn; one that fails does not stop the next."""
    return tuple(examine(config, site, base=base, now=now, days=days) for config in configs)


def _advice(step: str, config: SourceConfig, error: RailwatchError) -> str:
    """Say what a person can do about a failure."""
    if isinstance(error, HostileInputError):
        return (
            "the source sends its reader to a place that is not its own: if you trust that place add the host to "
            f"'allowed_hosts' in sources/{config.name}.yaml, else leave it out."
        )
    if step == "open":
        return f"correct sources/{config.name}.yaml."
    if isinstance(error, ReadError) and error.transient:
        return "the server or the network is at fault: try again later; the round takes the next source meanwhile."
    if step == "search":
        return (
            f"check the folder named in sources/{config.name}.yaml."
            if config.kind == "folder"
            else f"check the network and 'url' in sources/{config.name}.yaml; the round asks the next one meanwhile."
        )
    return "the newest scene cannot be read: it becomes a `failed` row and the next source is tried for it."
