"""What a round would do: new scenes, skipped ones, and archived ones that would be counted again, with why."""

from __future__ import annotations

from datetime import datetime

from pipeline.counting import method_for
from pipeline.model import Outcome
from pipeline.round.discover import plan_round
from pipeline.round.progress import Progress
from pipeline.round.workspace import Workspace
from pipeline.store.identity import config_digest, observation_id


def dry_lines(
    ws: Workspace,
    site: str,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    today: datetime,
    progress: Progress,
) -> list[str]:
    """Return one line for each scene: `new`, `skip` or `recount`, and why."""
    plan = plan_round(ws, site, today=today, since=since, until=until, source=source, progress=progress)
    lines = [f"new      {scene.scene_id}  {scene.observed_at:%Y-%m-%d}  from {scene.source}" for scene in plan.new]
    lines += [f"skip     {scene.scene_id}  {why}" for scene, why in plan.skipped]
    again = recounts(ws, site)
    lines += [f"recount  {scene_id}  {why}" for scene_id, why in again]
    total = (
        f"{site}: {len(plan.new)} new, {len(plan.skipped)} skipped, {len(again)} to count again; nothing was done."
    )
    return [*lines, total]


def recounts(ws: Workspace, site_name: str) -> list[tuple[str, str]]:
    """Return archived scenes whose stored row is not what counting would give now, with why.

    Looks that would move only because their past changed are not among them: that is known once the new scenes
    are there.
    """
    site = ws.site(site_name)
    digest = config_digest(site, ws.settings_for(site_name))
    rows = {row.scene_id: row for row in ws.store.observations(site_name)}
    found: list[tuple[str, str]] = []
    for entry in ws.archive.find(site_name):
        scene = entry.scene
        row = rows.get(scene.scene_id)
        method, version = method_for(scene.sensor, entry.grid.gsd_m)
        if row is None:
            why = "archived, never counted"
        elif row.outcome is Outcome.FAILED:
            why = f"failed before: {row.detail}"
        elif (row.method, row.method_version) != (method, version):
            why = f"method {row.method} {row.method_version} is now {method} {version}"
        elif row.config_digest != digest:
            why = "the configuration that counts depend on has changed"
        elif row.observation_id != observation_id(site, scene, method, version, digest):
            why = "the scene was processed again"
        else:
            continue
        found.append((scene.scene_id, why))
    return sorted(found)
