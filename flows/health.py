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


def checks(here: Door) -> Iterator[Check]:
    """Try everything that a round needs, in its order; what depends on a failed check is left out."""
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
        yield from _sources(ws)


def _sources(ws: Workspace) -> Iterator[Check]:
    """Search each enabled source once and read the newest scene's window."""
    from pipeline.imagery.doctor import examine

    users = {source: name for name in ws.configuration.site_names() for source in ws.site_config(name).sources}
    for name in ws.configuration.source_names():
        config = ws.source(name)
        if name not in users:
            yield f"source {name}", True, "no site uses it"
            continue
        found = examine(config, ws.site(users[name]), base=ws.configuration.folder, now=now())
        told = "; ".join(f"{step.name} {step.seconds:.1f} s, {step.said}" for step in found.steps)
        says = " ".join(part for part in (told, found.advice) if part)
        yield f"source {name}", found.state != "failed", says
