"""Count and record: every archived chip that is new, or whose past has changed, becomes a row of the series.

The store is a pure function of the archive, the configuration and the method: a look is counted again when the
looks or known counts that stand behind it change, and never otherwise. So one go and look by look end alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.config import Settings
from pipeline.counting import count_look, method_for
from pipeline.errors import ArchiveError, ImageError
from pipeline.flags import canonical, worst
from pipeline.imagery.archive import ArchiveEntry
from pipeline.imagery.quality import look_at
from pipeline.model import Count, KnownCount, Ledger, LedgerEntry, Look, Observation, Outcome, Refusal, Scene, Site
from pipeline.round.discover import processing_of
from pipeline.round.history import (
    LookCache,
    history_digest,
    history_of,
    known_counts,
    known_until,
    usable_as_history,
)
from pipeline.round.progress import Progress
from pipeline.round.words import scenes_of
from pipeline.round.workspace import Workspace
from pipeline.store.identity import config_digest, observation_id

MOVED_BY = 0.05  # railcars; a smaller difference between two counts of one look is not worth a line


@dataclass(frozen=True)
class CountResult:
    """What counting did, and against an earlier method: what moved, appeared and went."""

    ledger: Ledger
    rows: tuple[Observation, ...] = ()
    moved: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Desk:
    """What every count of one run shares."""

    ws: Workspace
    site: Site
    settings: Settings
    digest: str
    looks: LookCache
    entries: dict[str, ArchiveEntry]


def count_site(
    ws: Workspace,
    site_name: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    scene_id: str | None = None,
    force: bool = False,
    progress: Progress,
) -> CountResult:
    """Count what is uncounted or out of date, in date order, and store each row as soon as it is made.

    Parameters
    ----------
    ws : Workspace
    site_name : str
    since, until : datetime, optional
        Only looks acquired in this window, UTC.
    scene_id : str, optional
        Only this scene, by scene id or by the id of one of its items.
    force : bool
        Count again even where nothing changed.
    progress : Progress
    """
    site, settings = ws.site(site_name), ws.settings_for(site_name)
    entries = {entry.scene.scene_id: entry for entry in ws.archive.find(site_name)}
    desk = _Desk(
        ws,
        site,
        settings,
        config_digest(site, settings),
        LookCache(lambda wanted: look_at(ws.archive.get(entries[wanted]), site, settings.quality)),
        entries,
    )
    before = {row.scene_id: row for row in ws.store.observations(site_name)}
    verdicts = ws.store.verdicts(site_name)
    scene_of = scenes_of(ws.store, site_name, verdicts)
    order = sorted(entries.values(), key=lambda entry: (entry.scene.observed_at, entry.scene.scene_id))
    earlier: list[Scene] = []
    rows: dict[str, Observation] = dict(before)
    fresh: list[Observation] = []
    progress.start("count", len(order))
    for entry in order:
        scene = entry.scene
        row = rows.get(scene.scene_id)
        wanted = (
            (since is None or since <= scene.observed_at)
            and (until is None or scene.observed_at <= until)
            and (scene_id is None or scene_id == scene.scene_id or scene_id in {item.item_id for item in scene.items})
        )
        if wanted:
            known = known_until(known_counts(site, list(rows.values()), verdicts, scene_of), scene)
            past = history_of(scene, earlier, settings.counting)
            stamp = history_digest([(s.scene_id, entries[s.scene_id].sha256) for s in past], known)
            if force or row is None or not _is_current(desk, entry, row, stamp):
                row = _count_one(desk, entry, past, known, stamp)
                ws.store.upsert_observations([row])
                fresh.append(row)
            rows[scene.scene_id] = row
        if row is not None and usable_as_history(row.outcome, row.flags):
            earlier.append(scene)
        progress.advance()
    progress.done()
    return _compare(fresh, before)


def _is_current(desk: _Desk, entry: ArchiveEntry, row: Observation, stamp: str) -> bool:
    """Tell whether a stored row is what counting would give again."""
    method, version = method_for(entry.scene.sensor, entry.grid.gsd_m)
    expected = observation_id(desk.site, entry.scene, method, version, desk.digest)
    return (
        row.observation_id == expected
        and row.history_digest == stamp
        and row.chip_sha256 == entry.sha256
        and row.outcome is not Outcome.FAILED
    )


def _count_one(
    desk: _Desk, entry: ArchiveEntry, past: Sequence[Scene], known: Sequence[KnownCount], stamp: str
) -> Observation:
    """Count one look; an unreadable chip is a failed row, an unusable one a rejected row."""
    method, version = method_for(entry.scene.sensor, entry.grid.gsd_m)
    try:
        look = desk.looks.get(entry.scene.scene_id)
        if worst(look.flags) == "reject":
            refusal = Refusal(look.flags, look.detail or "the look is not usable", method, version, {})
            return _row(desk, entry, look, refusal, stamp)
        history = [desk.looks.get(scene.scene_id) for scene in past]
        result = count_look(
            look,
            history,
            desk.site,
            known,
            desk.settings.counting,
            desk.settings.quality,
        )
        return _row(desk, entry, look, result, stamp)
    except (ArchiveError, ImageError) as error:
        return _row(desk, entry, None, Refusal((), str(error), method, version), stamp)


def _row(desk: _Desk, entry: ArchiveEntry, look: Look | None, result: Count | Refusal, stamp: str) -> Observation:
    """Build the series' row for one look."""
    scene = entry.scene
    flags = canonical((*(look.flags if look else ()), *result.flags))
    detail = ""
    if look is None:
        outcome, detail = Outcome.FAILED, result.detail if isinstance(result, Refusal) else ""
    elif isinstance(result, Refusal):
        outcome, detail = Outcome.REJECTED, result.detail
    else:
        outcome = Outcome.FLAGGED if worst(flags) == "reserve" else Outcome.COUNTED
    measures = {**(look.measures if look else {}), **result.measures}
    return Observation(
        observation_id=observation_id(desk.site, scene, result.method, result.method_version, desk.digest),
        site=desk.site.name,
        scene_id=scene.scene_id,
        observed_at=scene.observed_at,
        sensor=scene.sensor,
        platform=scene.platform,
        orbit=scene.orbit,
        gsd_m=entry.grid.gsd_m,
        outcome=outcome,
        clear_fraction=look.clear_fraction if look else None,
        flags=flags,
        method=result.method,
        method_version=result.method_version,
        config_digest=desk.digest,
        detail=detail,
        count=result if isinstance(result, Count) else None,
        item_ids=tuple(item.item_id for item in scene.items),
        source=scene.source,
        processing=processing_of(scene),
        chip_path=entry.path,
        chip_sha256=entry.sha256,
        history_digest=stamp,
        sun_elevation_deg=scene.sun_elevation_deg,
        measures=measures,
    )


def _compare(fresh: Sequence[Observation], before: dict[str, Observation]) -> CountResult:
    """Say what changed between the rows made now and those that stood before."""
    moved: list[str] = []
    appeared: list[str] = []
    gone: list[str] = []
    entries: list[LedgerEntry] = []
    for row in fresh:
        kind = {Outcome.REJECTED: "rejected", Outcome.FAILED: "failed"}.get(row.outcome, "processed")
        entries.append(LedgerEntry("count", row.scene_id, kind, row.detail))  # type: ignore[arg-type]
        old = before.get(row.scene_id)
        new_count, old_count = row.count, old.count if old else None
        if new_count and old_count:
            if abs(new_count.railcars - old_count.railcars) > MOVED_BY:
                moved.append(f"{row.scene_id}: {old_count.railcars:.1f} -> {new_count.railcars:.1f}")
        elif new_count:
            appeared.append(f"{row.scene_id}: {new_count.railcars:.1f}" + (f" (was {old.outcome})" if old else ""))
        elif old_count:
            gone.append(f"{row.scene_id}: was {old_count.railcars:.1f}, now {row.outcome}: {row.detail}")
    return CountResult(Ledger(tuple(entries)), tuple(fresh), tuple(moved), tuple(appeared), tuple(gone))
