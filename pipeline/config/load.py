"""Opens a configuration folder: settings, sites and sources by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Settings, SiteConfig, SourceConfig
from pipeline.config.sites import build_site
from pipeline.config.yamlfile import load_yaml, nearest
from pipeline.errors import ConfigError
from pipeline.model import Site


@dataclass(frozen=True)
class Configuration:
    """A configuration folder; files are read when asked for, so that one bad site does not stop another."""

    folder: Path
    settings: Settings

    def site_names(self) -> list[str]:
        """Return the names of all sites, sorted."""
        return sorted(path.parent.name for path in (self.folder / "sites").glob("*/site.yaml"))

    def source_names(self) -> list[str]:
        """Return the names of all sources, sorted."""
        return sorted(path.stem for path in (self.folder / "sources").glob("*.yaml"))

    def site_config(self, name: str) -> SiteConfig:
        """Return the checked site.yaml of a site.

        Raises
        ------
        ConfigError
            When there is no such site (with the nearest name) or its file is wrong.
        """
        if name not in self.site_names():
            raise ConfigError(f"no site '{name}' in {self.folder / 'sites'}{nearest(name, self.site_names())}")
        path = self.folder / "sites" / name / "site.yaml"
        config = load_yaml(path, SiteConfig)
        if config.name != name:
            raise ConfigError(f"{path}: key 'name' is '{config.name}' but the folder is '{name}'; make them equal.")
        return config

    def site(self, name: str) -> Site:
        """Return a site with its tracks, zones and published record."""
        return build_site(self.site_config(name), self.folder / "sites" / name)

    def source(self, name: str) -> SourceConfig:
        """Return the checked configuration of a source.

        Raises
        ------
        ConfigError
            When there is no such source (with the nearest name) or its file is wrong.
        """
        if name not in self.source_names():
            raise ConfigError(f"no source '{name}' in {self.folder / 'sources'}{nearest(name, self.source_names())}")
        path = self.folder / "sources" / f"{name}.yaml"
        config = load_yaml(path, SourceConfig)
        if config.name != name:
            raise ConfigError(
                f"{path}: key 'name' is '{config.name}' but the file is '{name}.yaml'; make them equal."
            )
        return config

    def settings_for(self, site_name: str) -> Settings:
        """Return the settings with what the site overrides."""
        site = self.site_config(site_name)
        changes = {key: getattr(site, key) for key in ("quality", "counting", "alarms") if getattr(site, key)}
        return self.settings.model_copy(update=changes)


def open_configuration(folder: Path) -> Configuration:
    """Open a configuration folder; a folder without settings.yaml uses the defaults.

    Raises
    ------
    ConfigError
        When the folder does not exist or has no sites.
    """
    if not (folder / "sites").is_dir():
        raise ConfigError(
            f"{folder}: no folder 'sites' in it; point --config to a configuration folder, such as config/."
        )
    path = folder / "settings.yaml"
    return Configuration(folder, load_yaml(path, Settings) if path.exists() else Settings())
