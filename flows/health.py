"""What can be wrong with an installation, checked one by one: each check says what it found and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from flows.door import Door, now
from pipeline.errors import RailwatchError
from pipeline.round.workspace import Workspace

Check = tuple[str, bool, str]
LIBRARIES = ("rasterio", "numpy", "scikit-image", "prefect", "geopandas", "sqlalchemy", "shapely", "pyproj")
LEAST_FREE_GB = 2.0


def checks(here: Door, only: str | None = None) -> Iterator[Check]:
    """Try everything that a round needs, in its order; what depends on a failed check is left out.

    Parameters
    ----------
    here : Door
    only : str, optional
        Try no other source than this.

    Raises
    ------
    ConfigError
        When there is no source `only`.
    """
    for library in LIBRARIES:
        try:
            found = version(library)
        except PackageNotFoundError:
            yield library, False, "not installed; install railwatch again"
        else:
            yield library, True, found
    try:
        ws = here.workspace()
    except RailwatchError as error:
        yield "configuration and store", False, str(error)
        return
    with ws:
        yield "configuration", True, f"{here.config}: {len(ws.configuration.site_names())} sites"
        yield "store", True, ws.store.address
        free = shutil.disk_usage(ws.home).free / 1e9
        yield (
            "space",
            free >= LEAST_FREE_GB,
            f"{free:.1f} GB free in {ws.home}"
            + ("" if free >= LEAST_FREE_GB else "; make room or choose another --home"),
        )
        for name in ws.configuration.site_names():
            try:
                site = ws.site(name)
            except RailwatchError as error:
                yield f"site {name}", False, str(error)
            else:
                provisional = sum(track.provisional for track in site.tracks)
                note = f", {provisional} of them provisional" if provisional else ""
                yield f"site {name}", True, f"{len(site.tracks)} tracks{note}"
        yield from _sources(ws, only)


def _sources(ws: Workspace, only: str | None) -> Iterator[Check]:
    """Search each source once, sign a link of the newest scene and read its window."""
    from pipeline.imagery.doctor import examine

    users = {source: name for name in ws.configuration.site_names() for source in ws.site_config(name).sources}
    for name in [only] if only is not None else ws.configuration.source_names():
        config, user = ws.source(name), users.get(name)
        site = ws.site(user or ws.settings.default_site)
        found = examine(config, site, base=ws.configuration.folder, now=now())
        told = "; ".join(
            f"{step.name} {step.seconds:.1f} s, {step.said}" if step.ok else f"{step.name} failed: {step.said}"
            for step in found.steps
        )
        newest = f"newest scene {found.newest:%Y-%m-%d}" if found.newest else ""
        unused = "" if user or found.state == "disabled" else "(no site uses it)"
        says = " ".join(part for part in (told, newest and f"({newest})", found.advice, unused) if part)
        yield f"source {name}", found.state != "failed" or user is None, says
