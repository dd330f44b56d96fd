"""Tries each source as a round would: search, sign, read one window; says what it took and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, RailwatchError, ReadError
from pipeline.imagery.hosts import is_remote, shorten
from pipeline.imagery.remote import Meter, Web
from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import SourceReader, open_source
from pipeline.imagery.stac import StacSource
from pipeline.imagery.static import StaticSource
from pipeline.imagery.tiles import TileSource
from pipeline.imagery.wayback import WaybackSource
from pipeline.model import Scene, Site

State = Literal["ok", "failed", "disabled", "empty"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str  # open, search, sign, read
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
    pixel_bytes: int = 0  # of the window that was read, unpacked
    network_bytes: int = 0  # that search and read fetched
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
    trial = _Trial(config, clock)
    try:
        trial.walk(site, base, now, days)
    except RailwatchError as error:
        trial.end(False, str(error))
        trial.state, trial.advice = "failed", _advice(trial.step, config, error)
    return Examination(
        config.name,
        config.kind,
        trial.state,
        tuple(trial.steps),
        trial.advice,
        trial.newest,
        trial.items,
        trial.pixel_bytes,
        trial.meter.bytes,
        config.terms,
    )


class _Trial:
    """One source being tried; what is known when it fails is kept."""

    def __init__(self, config: SourceConfig, clock: Callable[[], float]) -> None:
        self.config, self.clock = config, clock
        self.steps: list[Step] = []
        self.step, self.started = "open", clock()
        self.meter, self.requests, self.bytes = Meter(), 0, 0
        self.newest: datetime | None = None
        self.items = self.pixel_bytes = 0
        self.state: State = "ok"
        self.advice = ""

    def begin(self, step: str) -> None:
        """Start the clock of a step."""
        self.step, self.started = step, self.clock()
        self.requests, self.bytes = self.meter.requests, self.meter.bytes

    def end(self, ok: bool, said: str) -> None:
        """Note a step with what it took."""
        asked, sent = self.meter.requests - self.requests, self.meter.bytes - self.bytes
        took = f", {asked} requests, {sent / 1024:.0f} KB" if ok and asked else ""
        self.steps.append(Step(self.step, ok, self.clock() - self.started, said + took))

    def walk(self, site: Site, base: Path, now: datetime, days: int) -> None:
        """Open, search, sign and read."""
        config = self.config
        reader: SourceReader = _once(open_source(config, base=base))
        web = reader.web if isinstance(reader, StacSource | StaticSource) else None
        if web is not None:
            self.meter = web.meter
        elif isinstance(reader, TileSource | WaybackSource):
            self.meter = reader.meter
        self.begin("search")
        items = reader.search(site, now - timedelta(days=days), now)
        if not items and config.kind in ("folder", "stac-static", "xyz", "wmts", "wayback"):
            items = reader.search(site, datetime(1972, 7, 23, tzinfo=now.tzinfo), now)
        unsure = sum(item.date_uncertain for item in items)
        self.end(True, f"{len(items)} items" + (f", {unsure} of them without a certain date" if unsure else ""))
        scenes, _ = scenes_from_items(items, (config.name,))
        self.items, self.newest = len(items), max((scene.observed_at for scene in scenes), default=None)
        if not scenes:
            self.state = "empty"
            self.advice = (
                f"nothing found in the {days} days before {now:%Y-%m-%d}; check the site's area and the source's "
                "collections, or wait for the next pass."
            )
            return
        scene = max(scenes, key=lambda found: (found.observed_at, found.scene_id))
        if web is not None and config.signing != "none":
            self.begin("sign")
            self.end(True, _signed(web, scene))
        self.begin("read")
        chip = reader.read(site, scene)
        share, self.pixel_bytes = float(chip.valid.mean()), chip.values.nbytes
        self.end(True, f"{scene.scene_id}: {self.pixel_bytes / 1024:.0f} KB of pixels, {share:.0%} valid")
        if share == 0:
            self.advice = "the newest scene does not reach the site; this is normal at a swath's edge."


def _once(reader: SourceReader) -> SourceReader:
    """Return a reader that gives up after its first try: who waits for an answer wants to know, not to persevere."""
    if isinstance(reader, StacSource):
        return replace(reader, attempts=1, web=replace(reader.web, attempts=1))
    if isinstance(reader, StaticSource):
        return replace(reader, web=replace(reader.web, attempts=1))
    return reader


def _signed(web: Web, scene: Scene) -> str:
    """Sign the first remote link of a scene and return its address without the signature."""
    for asset in scene.items[0].assets:
        if is_remote(asset.href):
            return shorten(web.gate.check_url(web.signer.sign(asset.href, fresh=True)))
    raise ReadError(f"{scene.scene_id}: item {scene.items[0].item_id} has no link to sign.")


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
    if step == "sign":
        return (
            f"links of {config.name} are signed by '{config.signing}': check the network, and the keys in the "
            "environment if you set any."
        )
    if step == "search":
        return (
            f"check the folder named in sources/{config.name}.yaml."
            if config.kind == "folder"
            else f"check the network and 'url' in sources/{config.name}.yaml; the round asks the next one meanwhile."
        )
    return "the newest scene cannot be read: it becomes a `failed` row and the next source is tried for it."
