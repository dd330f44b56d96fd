"""Where a round works: a configuration folder and a home folder with the store, the archive and the reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.config import Configuration, Settings, SiteConfig, SourceConfig, open_configuration
from pipeline.errors import ConfigError, StoreError
from pipeline.imagery.archive import Archive
from pipeline.imagery.source import SourceReader, open_source
from pipeline.model import Site
from pipeline.store import Store


@dataclass(frozen=True)
class Workspace:
    """An open configuration, store and archive."""

    configuration: Configuration
    home: Path
    store: Store
    archive: Archive

    @property
    def settings(self) -> Settings:
        """The settings of all sites."""
        return self.configuration.settings

    def settings_for(self, site_name: str) -> Settings:
        """Return the settings with what a site overrides."""
        return self.configuration.settings_for(site_name)

    def site(self, name: str) -> Site:
        """Return a site by name."""
        return self.configuration.site(name)

    def site_config(self, name: str) -> SiteConfig:
        """Return a site's own configuration."""
        return self.configuration.site_config(name)

    def source(self, name: str) -> SourceConfig:
        """Return a source's configuration."""
        return self.configuration.source(name)

    def reader(self, name: str) -> SourceReader:
        """Open a source; relative paths in it start at the configuration folder."""
        return open_source(self.source(name), base=self.configuration.folder)

    def sources_of(self, site_name: str, only: str | None = None) -> list[SourceConfig]:
        """Return a site's enabled sources in order of preference.

        Raises
        ------
        ConfigError
            When `only` is not a source of the site or is disabled, or when none is enabled.
        """
        names = list(self.site_config(site_name).sources)
        if only is not None:
            config = self.source(only)
            if not config.enabled:
                raise ConfigError(f"source '{only}' is disabled: {config.disabled_reason or 'no reason given'}.")
            return [config]
        enabled = [config for config in map(self.source, names) if config.enabled]
        if not enabled:
            raise ConfigError(f"site '{site_name}': none of its sources ({', '.join(names)}) is enabled.")
        return enabled

    @classmethod
    def open(cls, config_dir: Path, home: Path) -> Workspace:
        """Open a configuration folder and a home folder, making the latter when it is new.

        Raises
        ------
        ConfigError
            When the configuration is wrong.
        StoreError
            When the home folder or the store cannot be opened.
        """
        configuration = open_configuration(config_dir)
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{home}: the home folder cannot be made ({error.strerror}); choose another --home."
            ) from error
        home = home.resolve()
        archive_root = (home / configuration.settings.archive_dir).resolve()
        if not archive_root.is_relative_to(home):
            raise ConfigError(
                f"{configuration.folder / 'settings.yaml'}: key 'archive_dir' must stay below the home folder {home}."
            )
        url = configuration.settings.store_url or f"sqlite:///{home / 'railwatch.sqlite'}"
        return cls(configuration, home, Store.open(url), Archive(archive_root))

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        """Return the workspace itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()
