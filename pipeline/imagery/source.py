"""What every kind of source can do, and the door through which each is opened."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from pipeline.config.schema import SourceConfig
from pipeline.errors import SourceError
from pipeline.model import Chip, Item, Scene, Site


class SourceReader(Protocol):
    """A source that is open: it lists what it holds and reads the site's window of it."""

    @property
    def config(self) -> SourceConfig:
        """The configuration it was opened with."""
        ...

    def search(self, site: Site, since: datetime, until: datetime) -> tuple[Item, ...]:
        """List what was acquired over the site between `since` and `until` (UTC, inclusive), in date order.

        Raises
        ------
        SourceError
            When the list cannot be had whole; a part of a list is never returned.
        """
        ...

    def read(self, site: Site, scene: Scene) -> Chip:
        """Read the site's window of a scene as digital numbers.

        Raises
        ------
        ReadError
            When an asset cannot be read; names item and asset.
        HostileInputError
            When an item asks for something outside its source.
        """
        ...


def open_source(config: SourceConfig, *, base: Path) -> SourceReader:
    """Open a source of any kind.

    Parameters
    ----------
    config : SourceConfig
    base : Path
        Folder at which a relative `url` or `path` starts; the configuration folder.

    Raises
    ------
    SourceError
        When the source is disabled (with its reason) or its configuration cannot be used.
    """
    if not config.enabled:
        raise SourceError(f"source {config.name} is disabled: {config.disabled_reason or 'no reason is given'}")
    # Each kind's libraries are imported only when a source of the kind is opened: `--help` stays fast.
    if config.kind == "stac-api":
        from pipeline.imagery.stac import open_stac

        return open_stac(config)
    if config.kind == "stac-static":
        from pipeline.imagery.static import open_static

        return open_static(config, base=base)
    if config.kind == "folder":
        from pipeline.imagery.folder import open_folder

        return open_folder(config, base=base)
    if config.kind == "wayback":
        from pipeline.imagery.wayback import open_wayback

        return open_wayback(config)
    from pipeline.imagery.tiles import open_tiles

    return open_tiles(config, base=base)
