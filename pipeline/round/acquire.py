"""Acquire: a scene's window is read and archived; what cannot be read becomes a failed row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed

from pipeline.config import Settings
from pipeline.errors import ReadError
from pipeline.imagery.scenes import scenes_from_items
from pipeline.model import Ledger, LedgerEntry, Observation, Outcome, Scene
from pipeline.round.discover import RoundPlan, processing_of
from pipeline.round.progress import Progress
from pipeline.round.workspace import Workspace
from pipeline.store.identity import config_digest, observation_id

METHOD = "none"  # a failed look was never counted
METHOD_VERSION = "0"


def acquire_scene(ws: Workspace, plan: RoundPlan, scene: Scene) -> Ledger:
    """Read one scene into the archive, from the next source when the preferred one cannot be read.

    A source that could not deliver several scenes in a row is left out where another has the pass. A scene that no
    source can deliver is stored as a `failed` row that names item and asset.

    Returns
    -------
    Ledger
    """
    site = ws.site(plan.site)
    lost = plan.patience.lost
    tried: list[str] = []
    errors: list[ReadError] = []
    candidate: Scene | None = scene
    why = ""
    if scene.source in lost:
        elsewhere = _from_another_source(plan, scene.scene_id, sorted(lost))
        if elsewhere is not None:
            candidate, why = elsewhere, f", after {scene.source} stopped answering"
            tried = sorted(lost)
    while candidate is not None:
        try:
            ws.archive.put(ws.reader(candidate.source).read(site, candidate))
        except ReadError as error:
            errors.append(error)
            tried.append(candidate.source)
            if error.transient:
                plan.patience.failed(candidate.source)
            candidate = _from_another_source(plan, scene.scene_id, tried)
            if candidate is None and why:  # no other has it: the one that was left out after all
                candidate, why = scene, ""
        else:
            plan.patience.delivered(candidate.source)
            why = f", after {errors[0]}" if errors else why
            return Ledger((LedgerEntry("acquire", scene.scene_id, "processed", f"from {candidate.source}{why}"),))
    detail = " ".join(dict.fromkeys(str(error) for error in errors))
    ws.store.upsert_observations(
        [_failed_row(ws, plan.site, scene, detail, transient=any(e.transient for e in errors))]
    )
    return Ledger((LedgerEntry("acquire", scene.scene_id, "failed", detail),))


def acquire_all(ws: Workspace, plan: RoundPlan, settings: Settings, progress: Progress) -> Ledger:
    """Read every new scene of a plan with `read_threads` threads."""
    ledger = Ledger()
    progress.start("acquire", len(plan.new))
    with ThreadPoolExecutor(settings.read_threads, thread_name_prefix="acquire") as pool:
        futures = [pool.submit(acquire_scene, ws, plan, scene) for scene in plan.new]
        try:
            for future in as_completed(futures):
                ledger += future.result()
                progress.advance()
        except BaseException:
            # Ctrl-C or a full disk: what is archived stays, what is not yet started is left for the next round.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.done()
    return ledger


def _from_another_source(plan: RoundPlan, scene_id: str, tried: list[str]) -> Scene | None:
    """Return the same pass as another source lists it."""
    rest = [item for item in plan.items if item.source not in tried]
    scenes, _ = scenes_from_items(rest, plan.preference)
    return next((scene for scene in scenes if scene.scene_id == scene_id), None)


def _failed_row(ws: Workspace, site_name: str, scene: Scene, detail: str, *, transient: bool) -> Observation:
    site, settings = ws.site(site_name), ws.settings_for(site_name)
    digest = config_digest(site, settings)
    return Observation(
        observation_id=observation_id(site, scene, METHOD, METHOD_VERSION, digest),
        site=site_name,
        scene_id=scene.scene_id,
        observed_at=scene.observed_at,
        sensor=scene.sensor,
        platform=scene.platform,
        orbit=scene.orbit,
        gsd_m=scene.gsd_m,
        outcome=Outcome.FAILED,
        clear_fraction=None,
        flags=(),
        method=METHOD,
        method_version=METHOD_VERSION,
        config_digest=digest,
        detail=detail,
        item_ids=tuple(item.item_id for item in scene.items),
        source=scene.source,
        processing=processing_of(scene),
        sun_elevation_deg=scene.sun_elevation_deg,
        measures={"transient": 1.0} if transient else {},
    )
