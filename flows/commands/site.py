"""Commands that prepare a site: its tracks, and a picture to check them by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.door import SiteArgument, door, site_name


def import_tracks(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="SITE", help="Name of the site.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="GeoJSON in WGS 84 with OpenStreetMap's tags.")],
) -> None:
    """Take railway lines of OpenStreetMap as a site's tracks: clipped to its area; yard, siding and main are kept.

    Example:
      railwatch site import-tracks tumangang export.geojson
    """
    from pipeline.config import open_configuration
    from pipeline.config.osm import import_osm_tracks

    configuration = open_configuration(door(context).config)
    target = configuration.folder / "sites" / configuration.site_config(site).name / "tracks.geojson"
    taken = import_osm_tracks(configuration.site(site), file, target)
    kept = ", ".join(f"{number} {use}" for use, number in taken.kept.items())
    typer.echo(f"{taken.path}: {sum(taken.kept.values())} tracks ({kept}), {taken.metres / 1000:.1f} km.")
    for why, number in taken.left_out.items():
        typer.echo(f"  left out {number}: {why}")
    typer.echo(f"Look at them with `railwatch site check {site}`.")


def check(
    context: typer.Context,
    site: SiteArgument = None,
    scene: Annotated[str | None, typer.Option("--scene", metavar="ID", help="This scene, not the newest.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where the PNG goes.")] = None,
) -> None:
    """Draw a site's tracks over its newest archived image as a PNG, and print its path.

    Example:
      railwatch site check tumangang
    """
    from pipeline.errors import ArchiveError
    from pipeline.imagery.quality import look_at
    from pipeline.report.drawing import draw_site_check

    with door(context).workspace() as ws:
        name = site_name(ws, site)
        rows = {row.scene_id: row for row in ws.store.observations(name)}
        entries = sorted(ws.archive.find(name), key=lambda entry: (entry.scene.observed_at, entry.scene.scene_id))
        if scene is not None:
            entries = [entry for entry in entries if scene == entry.scene.scene_id]
        if not entries:
            wanted = f"image of scene '{scene}'" if scene else "image"
            raise ArchiveError(f"{name}: no archived {wanted}; `railwatch run {name}` fetches images first.")

        def clear(index: int) -> float:
            row = rows.get(entries[index].scene.scene_id)
            return row.clear_fraction or 0.0 if row else 0.0

        # The newest image on which most of the tracks can be seen; the newest of all when none is clear.
        seen = [index for index in range(len(entries)) if clear(index) >= 0.9]
        chosen = entries[seen[-1] if seen else -1]
        look = look_at(ws.archive.get(chosen), ws.site(name), ws.settings_for(name).quality)
        path = out or ws.home / "reports" / f"{name}-tracks.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw_site_check(look, ws.site(name)))
    typer.echo(str(path))
