"""The shape of every configuration file: frozen, closed to unknown keys, with the meaning of each key."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Closed(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class QualitySettings(_Closed):
    """When a look is good enough to be counted."""

    min_clear_fraction: Fraction = 0.6  # of the track area; below it a look is rejected
    partly_clear_below: Fraction = 0.98  # below it a look is flagged
    cloud_dilate_m: float = Field(20.0, ge=0.0)  # the cloud mask is grown by this, metres
    max_shift_px: Positive = 3.0  # shift against the reference above which a look is rejected
    snow_ndsi: float = Field(0.35, ge=-1.0, le=1.0)  # median NDSI over the track area that means snow
    max_residual_sigma: Positive = 4.0  # off-yard residual against its own history, robust sigmas


class CountingSettings(_Closed):
    """What a count leans on."""

    history_days: int = Field(1095, ge=30)  # how far back a coarse look's baseline reaches
    history_max_looks: int = Field(80, ge=4)  # at most so many earlier looks, the nearest in season and time
    history_min_looks: int = Field(8, ge=3)  # fewer usable earlier looks: no number
    first_history_days: int = Field(760, ge=0)  # what a first run fetches before its first date, days


class AlarmSettings(_Closed):
    """How alarms are given."""

    budget_per_year: Positive = 0.5  # false alarms of tier alert that a quiet site may give a year
    watch_per_year: Positive = 2.0
    high_per_year: Positive = 0.1
    min_ratio: float = Field(2.0, ge=1.0)  # effect floor: seen over expected
    min_excess_cars: float = Field(10.0, ge=0.0)  # effect floor: seen minus expected
    baseline_days: int = Field(730, ge=60)
    guard_days: int = Field(28, ge=0)  # the newest days, kept out of the baseline
    min_baseline_looks: int = Field(8, ge=3)  # fewer informative looks: "cannot judge yet"
    new_regime_days: int = Field(180, ge=30)
    dwell_days: Positive = 4.0  # typical stay of a train; looks closer than this are not independent
    calibration_years: int = Field(600, ge=50)  # simulated quiet years behind each threshold
    calibration_seed: int = 20231005


class NotifySettings(_Closed):
    """Where word of new and changed surges goes; secrets come from the environment, never from here."""

    webhook_url_env: str = ""  # name of the environment variable that holds the address
    webhook_format: Literal["json", "slack"] = "json"
    smtp_host: str = ""
    smtp_port: int = Field(25, ge=1, le=65535)
    smtp_user_env: str = ""
    smtp_password_env: str = ""
    smtp_starttls: bool = False
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    min_tier: Literal["watch", "alert", "high"] = "alert"


class Settings(_Closed):
    """config/settings.yaml."""

    store_url: str = ""  # SQLAlchemy URL; "" is SQLite in the home folder
    archive_dir: str = "archive"  # below the home folder
    default_site: Name = "tumangang"
    lookback_days: int = Field(45, ge=1)  # each round looks so far back for scenes that arrive late
    stale_after_days: int = Field(12, ge=1)  # no new scene for so long is said
    read_threads: int = Field(8, ge=1, le=64)
    quality: QualitySettings = QualitySettings()
    counting: CountingSettings = CountingSettings()
    alarms: AlarmSettings = AlarmSettings()
    notify: NotifySettings = NotifySettings()


class ZoneConfig(_Closed):
    """A part of a site with a meaning of its own."""

    kind: Literal["apron", "canopy", "water", "ignore"]
    name: str = ""
    polygon: tuple[tuple[float, float], ...] = Field(min_length=3)  # longitude, latitude
    valid_from: date | None = None
    valid_to: date | None = None


class SiteConfig(_Closed):
    """config/sites/<site>/site.yaml."""

    name: Name
    title: str
    crs: str = Field(pattern=r"^EPSG:\d{4,6}$")
    bbox: tuple[float, float, float, float]  # west, south, east, north, WGS 84 degrees
    area: tuple[tuple[float, float], ...] | None = None  # longitude, latitude; None: the bbox
    sources: tuple[Name, ...] = Field(min_length=1)  # in order of preference
    zones: tuple[ZoneConfig, ...] = ()
    quality: QualitySettings | None = None  # overrides settings.yaml for this site
    counting: CountingSettings | None = None
    alarms: AlarmSettings | None = None
    notes: str = ""


class BandConfig(_Closed):
    """How one band is called in a source and how its digital numbers become values."""

    asset: str  # key of the asset in an item, or the file's name part in a folder
    index: int = Field(1, ge=1)
    scale: float | None = None  # used when the item declares none
    offset: float | None = None
    nodata: float | None = None
    # Radar whose numbers are amplitudes: key of the asset with the calibration annotation, "" where there is none.
    calibration: str | None = None


class MaskConfig(_Closed):
    """How a source says which pixels are clear."""

    band: str  # a key of `bands`
    kind: Literal["s2-scl", "landsat-qa", "none"]


class CollectionConfig(_Closed):
    """One collection of a STAC source."""

    id: str
    sensor: Literal["sentinel-2", "landsat", "sentinel-1", "vhr"]
    gsd_m: Positive
    bands: dict[str, BandConfig]
    mask: MaskConfig | None = None
    query: dict[str, str | float | int | tuple[str | float | int, ...]] = {}  # server-side, checked again here
    offset_rule: Literal["item", "esa-baseline-0400", "none"] = "item"
    processing: tuple[
        str, ...
    ] = ()  # properties that may hold the processing version, first found; (): the usual ones
    date_from: date | None = None
    date_to: date | None = None


class S3Config(_Closed):
    """How s3:// addresses of a source become https ones; keys come from the environment, never from here."""

    endpoint: str = ""  # "" is Amazon's, by region
    region: str = "us-west-2"
    requester_pays: bool = False  # the owner of the keys pays for the transfer
    path_style: bool = False  # https://endpoint/bucket/key instead of https://bucket.endpoint/key
    key_env: str = "AWS_ACCESS_KEY_ID"  # name of the environment variable
    secret_env: str = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  # a variable's name, not a secret


class SourceConfig(_Closed):
    """config/sources/<source>.yaml."""

    name: Name
    title: str
    kind: Literal["stac-api", "stac-static", "xyz", "wmts", "wayback", "folder"]
    enabled: bool = True
    disabled_reason: str = ""
    url: str = ""  # root of the API, static catalogue (file path or address), tile template or list of releases
    path: str = ""  # of a folder source
    allowed_hosts: tuple[str, ...] = ()  # hosts that hrefs may name, besides the host of `url`; *.example.org allowed
    allow_loopback: bool = False  # only for servers on this machine
    signing: Literal["none", "planetary-computer", "s3"] = "none"
    s3: S3Config = S3Config()  # for signing: s3
    bearer_env: str = ""  # environment variable with an access token, sent with pixel reads to `token_hosts` only
    token_hosts: tuple[str, ...] = ()
    alternate: str = ""  # key below an asset's `alternate` whose href is read instead, such as https
    collections: tuple[CollectionConfig, ...] = ()
    zoom: int | None = Field(None, ge=0, le=24)
    dates: tuple[date, ...] = ()  # releases of a dated tile source
    time_format: str = "%Y-%m-%d"  # of {time} in a tile template
    layer: str = ""  # of a WMTS
    gsd_m: Positive | None = None
    time_pattern: str = ""  # regular expression with a group `time` for file names of a folder
    page_limit: int = Field(100, ge=1, le=1000)
    max_items: int = Field(20000, ge=1)
    terms: str = ""  # terms of use, printed in the report
    attribution: str = ""
