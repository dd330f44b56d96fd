"""Looks by scene id, from the archive, for pictures and for the review desk."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import ArchiveError, ImageError
from pipeline.imagery.quality import look_at
from pipeline.model import Look
from pipeline.round.workspace import Workspace


def look_finder(ws: Workspace, site_name: str) -> Callable[[str], Look | None]:
    """Return a function that gives the look of a scene, None when its chip is missing or broken.

    A picture that cannot be drawn must not stop a report; the failed row already says what is wrong.
    """
    site, quality = ws.site(site_name), ws.settings_for(site_name).quality
    entries = {entry.scene.scene_id: entry for entry in ws.archive.find(site_name)}

    def find(scene_id: str) -> Look | None:
        entry = entries.get(scene_id)
        if entry is None:
            return None
        try:
            return look_at(ws.archive.get(entry), site, quality)
        except (ArchiveError, ImageError):
            return None

    return find
