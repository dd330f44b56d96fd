"""Configuration: settings, sites and sources from YAML, checked at the door."""

from pipeline.config.load import Configuration, open_configuration
from pipeline.config.schema import (
    AlarmSettings,
    BandConfig,
    CollectionConfig,
    CountingSettings,
    MaskConfig,
    NotifySettings,
    QualitySettings,
    Settings,
    SiteConfig,
    SourceConfig,
    ZoneConfig,
)

__all__ = [
    "AlarmSettings",
    "BandConfig",
    "CollectionConfig",
    "Configuration",
    "CountingSettings",
    "MaskConfig",
    "NotifySettings",
    "QualitySettings",
    "Settings",
    "SiteConfig",
    "SourceConfig",
    "ZoneConfig",
    "open_configuration",
]
