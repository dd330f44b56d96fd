"""Discover: what a site's sources hold in a window of dates, and what of it is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.config import SourceConfig
from pipeline.errors import SourceError
from pipeline.imagery.scenes import scenes_from_items
from pipeline.model import Item, Ledger, LedgerEntry, Outcome, Scene
from pipeline.round.patience import Patience
from pipeline.round.progress import Progress
from pipeline.round.workspace import Workspace

LOCAL_KINDS = ("stac-static", "folder")  # sources that may hold an old archive as a whole
EVER = datetime(1972, 7, 23, tzinfo=UTC)  # launch of the first Landsat


@dataclass(frozen=True)
class RoundPlan:
    """What a round is about to do."""

    site: str
    since: datetime
    until: datetime
    new: tuple[Scene, ...]  # to acquire, in date order
    skipped: tuple[tuple[Scene, str], ...]  # with why
    items: tuple[Item, ...]  # everything that the sources listed, for failover
    preference: tuple[str, ...]  # source names, best first
    ledger: Ledger
    messages: tuple[str, ...] = ()
    first_use: bool = False
    patience: Patience = field(default_factory=Patience, compare=False)  # with sources that stop answering


def plan_round(
    ws: Workspace,
    site_name: str,
    *,
    today: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = None,
    progress: Progress,
) -> RoundPlan:
    """Search the sources and decide for each scene whether it is new.

    Parameters
    ----------
    ws : Workspace
    site_name : str
    today : datetime
        The round's date, UTC; a scheduled run passes its scheduled time, never the clock.
    since, until : datetime, optional
        Bounds of acquisition times, UTC. By default the last `lookback_days`, or on an empty store the past
        that a baseline asks for; of a folder always everything, for whoever drops an image of years ago today
        wants it counted.
    source : str, optional
        Only this source.
    progress : Progress

    Raises
    ------
    SourceError
        When no source could be searched.
    """
    settings = ws.settings_for(site_name)
    sources = ws.sources_of(site_name, source)
    first_use = not ws.store.observations(site_name) and not ws.archive.find(site_name)
    days = settings.counting.first_history_days if first_use and since is None else settings.lookback_days
    start, end = since or today - timedelta(days=days), until or today
    messages: list[str] = []
    if first_use and since is None:
        messages.append(
            f"Nothing is stored for {site_name} yet: a baseline needs a past, so this first round fetches "
            f"{days} days, from {start:%Y-%m-%d}. It can be interrupted and carries on where it was."
        )
        progress.message(messages[-1])
    dropped = EVER if since is None else start
    items, ledger = _search_all(ws, site_name, sources, start, end, progress, of_folders=dropped)
    if first_use and since is None and not items and all(config.kind in LOCAL_KINDS for config in sources):
        # An old archive on disk is a past too: take it whole instead of reporting an empty window.
        start = EVER
        messages.append("The source holds nothing that recent; its whole archive is taken instead.")
        progress.message(messages[-1])
        items, ledger = _search_all(ws, site_name, sources, start, end, progress, of_folders=start)
    for said in stale_sources(ws, site_name, sources, end, settings.stale_after_days):
        messages.append(said)
        progress.message(said)
    preference = tuple(config.name for config in sources)
    scenes, dedupe = scenes_from_items(items, preference)
    new, skipped = _split(ws, site_name, scenes)
    entries = tuple(LedgerEntry("discover", scene.scene_id, "skipped", why) for scene, why in skipped)
    return RoundPlan(
        site_name,
        start,
        end,
        new,
        skipped,
        items,
        preference,
        ledger + dedupe + Ledger(entries),
        tuple(messages),
        first_use,
    )


def stale_sources(
    ws: Workspace, site_name: str, sources: Sequence[SourceConfig], until: datetime, after_days: int
) -> list[str]:
    """Say for each source how long it has shown no new scene, when that is longer than `after_days`.

    Parameters
    ----------
    ws : Workspace
    site_name : str
    sources : sequence of SourceConfig
        That were asked.
    until : datetime
        End of the window that was searched, UTC; a search of the past says nothing of today.
    after_days : int
    """
    seen = {row.source: row for row in ws.store.freshness(site_name)}
    said = []
    for config in sources:
        row = seen.get(config.name)
        newest = row.newest_scene_at if row is not None and row.checked_at <= until else None
        days = (until - newest).days if newest is not None else 0
        if days > after_days:
            said.append(f"Source {config.name}: no new scene for {days} days; its newest is of {newest:%Y-%m-%d}.")
    return said


def _search_all(
    ws: Workspace,
    site_name: str,
    sources: Sequence[SourceConfig],
    since: datetime,
    until: datetime,
    progress: Progress,
    *,
    of_folders: datetime,
) -> tuple[tuple[Item, ...], Ledger]:
    """Search every source from `since`, folders from `of_folders`; only when all fail is that an error."""
    site = ws.site(site_name)
    items: list[Item] = []
    entries: list[LedgerEntry] = []
    errors: list[SourceError] = []
    progress.start("discover", len(sources))
    for config in sources:
        try:
            start = of_folders if config.kind == "folder" else since
            found = ws.reader(config.name).search(site, start, until)
        except SourceError as error:
            errors.append(error)
            entries.append(LedgerEntry("discover", config.name, "failed", str(error)))
            progress.message(f"Source {config.name} could not be searched: {error}")
        else:
            items.extend(found)
            newest = max((item.observed_at for item in found), default=None)
            ws.store.source_seen(config.name, site_name, newest_scene_at=newest, checked_at=until)
            entries.append(LedgerEntry("discover", config.name, "processed", f"{len(found)} items"))
        progress.advance()
    progress.done()
    if len(errors) == len(sources):
        raise errors[0]
    return tuple(items), Ledger(tuple(entries))


def _split(
    ws: Workspace, site_name: str, scenes: Sequence[Scene]
) -> tuple[tuple[Scene, ...], tuple[tuple[Scene, str], ...]]:
    """Part scenes into those to acquire and those to skip with why."""
    rows = {row.scene_id: row for row in ws.store.observations(site_name)}
    new: list[Scene] = []
    skipped: list[tuple[Scene, str]] = []
    for scene in sorted(scenes, key=lambda found: (found.observed_at, found.scene_id)):
        row = rows.get(scene.scene_id)
        if ws.archive.has(site_name, scene):
            skipped.append((scene, "already in the archive"))
        elif (
            row is not None
            and row.outcome is Outcome.FAILED
            and row.item_ids == tuple(item.item_id for item in scene.items)
            and row.processing == processing_of(scene)
            and not row.measures.get("transient")
        ):
            skipped.append((scene, f"failed before and unchanged since: {row.detail}"))
        else:
            new.append(scene)
    return tuple(new), tuple(skipped)


def processing_of(scene: Scene) -> str:
    """Return the processing versions of a scene's items with their time stamps, as one comparable text."""
    return "|".join(f"{item.processing}@{item.updated}" if item.updated else item.processing for item in scene.items)
