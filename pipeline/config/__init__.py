"""Configuration: settings, sites and sources from YAML, checked at the door."""

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
    "CountingSettings",
    "MaskConfig",
    "NotifySettings",
    "QualitySettings",
    "Settings",
    "SiteConfig",
    "SourceConfig",
    "ZoneConfig",
]
