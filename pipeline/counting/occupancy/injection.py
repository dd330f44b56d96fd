"""Injection: railcars of known number stood into a site's real archived looks, and counted like any other look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta as beta_distribution

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting import count_look
from pipeline.counting.occupancy.ballast import ballast_ground
from pipeline.counting.occupancy.bench import sun_of
from pipeline.counting.occupancy.geometry import yard_of
from pipeline.counting.occupancy.target import BAND_INDEX
from pipeline.model import Count, KnownCount, Look, Refusal, Site
from pipeline.simulate.coarse_cars import SHADE, changes_by_cars
from pipeline.simulate.yard import place_cars

NUMBERS = (0, 5, 10, 20, 40, 80, 120)
SUN_CLASSES = (("low", -90.0, 35.0), ("mid", 35.0, 52.0), ("high", 52.0, 90.0))  # degrees (SCIENCE section 3)
FALSE_ALARM = 0.01
POWER = 0.95
MIN_LEVELS = 3  # fewer injected numbers that could be counted: no slope


@dataclass(frozen=True)
class Injected:
    """One injection and what became of it."""

    scene_id: str
    sun_elevation_deg: float
    railcars: int  # put in
    before: float  # calibrated number of the look as it is, not cut at zero; NaN when refused
    after: float  # the same with the cars; NaN when refused
    threshold: float  # number above which the look is said to bear cars, at a false alarm of `FALSE_ALARM`
    count: Count | Refusal
    index: int = 0  # of the look among those offered
    seed: int = 0

    @property
    def counted(self) -> bool:
        """True when the look was counted with and without the cars."""
        return bool(np.isfinite(self.before) and np.isfinite(self.after))

    @property
    def found(self) -> bool:
        """True when the look with the cars is said to bear cars."""
        return self.counted and self.after > self.threshold


@dataclass(frozen=True)
class Rate:
    """A share with its exact binomial interval (Clopper and Pearson 1934, 90 %)."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        """Share, NaN without trials."""
        return self.hits / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Central 90 % interval."""
        return binomial_interval(self.hits, self.trials)


@dataclass(frozen=True)
class Recovery:
    """What injections of one sun class say."""

    sun: str  # low, mid, high or all
    looks: int
    refused: int  # trials that were not counted, with or without the cars
    slope: float  # recovered over injected; NaN with too few
    slope_sd: float
    coverage: Rate  # trials whose 90 % interval holds the number put in, where the yard is empty of itself
    alarms: Rate  # looks as they are that are said to bear cars; in a yard without cars, false alarms
    power: Mapping[int, Rate]  # injected number to the share found
    detection_limit: float  # smallest number found with 95 % power, and all larger ones too; NaN: none
    stated_limit: float  # median of the detection limits that the counts themselves state; NaN: none


def binomial_interval(hits: int, trials: int, level: float = 0.90) -> tuple[float, float]:
    """Return the exact binomial interval of Clopper and Pearson (doi 10.1093/biomet/26.4.404)."""
    if trials == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta_distribution.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(beta_distribution.ppf(1 - tail, hits + 1, trials - hits))
    return low, high


def inject(
    look: Look,
    site: Site,
    railcars: int,
    rng: np.random.Generator,
    *,
    shade: Sequence[float] = SHADE,
    shift_px: tuple[float, float] = (0.0, 0.0),
) -> Look:
    """Return a look with railcars rendered into its pixels, shadows for its own sun.

    Parameters
    ----------
    look : Look
        Reflectance; stays as it is.
    site : Site
    railcars : int
        How many are added to what stands there; 0 returns the look itself.
    rng : numpy.random.Generator
        Places, kinds and paints.
    shade : sequence of float
        Share of light left in shadow, order of `kinds.BANDS`.
    shift_px : (float, float)
        (columns, rows) by which the image lies off: the cars lie off with it.

    Raises
    ------
    ValueError
        When the tracks do not hold so many cars.
    """
    if railcars == 0:
        return look
    cars = place_cars(site.tracks_on(look.scene.observed_at.date()), railcars, rng)
    column, row = shift_px
    gsd = look.grid.gsd_m
    change = changes_by_cars(cars, look.grid, sun_of(look, site), shade=shade, shift_m=(column * gsd, -row * gsd))
    values, ground = look.values.copy(), _ground_under(look, site)
    for place, band in enumerate(look.bands):
        if band in BAND_INDEX:
            number = BAND_INDEX[band]
            values[place] = look.values[place] - change.lost[number] * ground[place] + change.paint[number]
    return replace(look, values=values)


def _ground_under(look: Look, site: Site) -> NDArray[np.float32]:
    """Return the look's reflectance with that of the ballast alone in the pixels near tracks, (B, rows, columns)."""
    yard = yard_of(site, look.grid, look.scene.observed_at.astimezone(UTC).date())
    if yard is None:
        return look.values
    places = np.flatnonzero([band in BAND_INDEX for band in look.bands])
    flat = look.values.reshape(len(look.bands), -1).copy()
    here = flat[np.ix_(places, yard.index)].astype(np.float64)
    seen = np.asarray(np.isfinite(here).all(axis=0), dtype=np.bool_)
    bands = tuple(look.bands[place] for place in places)
    flat[np.ix_(places, yard.index[seen])] = ballast_ground(here, yard, bands, seen)[:, seen]
    return flat.reshape(look.values.shape)


def run_injection(
    looks: Sequence[Look],
    site: Site,
    known: Sequence[KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
    *,
    numbers: Sequence[int] = NUMBERS,
    per_class: int = 20,
    seed: int = 1,
    since: datetime | None = None,
) -> Iterator[Injected]:
    """Inject known numbers of railcars into a site's looks and count them against the same history.

    Parameters
    ----------
    looks : sequence of Look
        Usable looks of one sensor, oldest first, not registered.
    site : Site
    known : sequence of KnownCount
    settings : CountingSettings
    quality : QualitySettings
    numbers : sequence of int
        Railcars to inject; 0 is always counted too.
    per_class : int
        Looks of each sun class that receive injections, spread over the archive.
    seed : int
    since : datetime, optional
        Earlier looks stand behind the others and receive none.

    Yields
    ------
    Injected
        In order of look and number; numbers that the tracks cannot hold are left out.
    """
    for index in _chosen(looks, site, settings, per_class, since):
        look, history = looks[index], looks[:index]
        sun = sun_of(look, site)[0]
        told = [entry for entry in known if entry.observed_at <= look.scene.observed_at]
        plain = count_look(look, history, site, told, settings, quality)
        before = _raw(plain)
        shift = (plain.measures.get("shift_col_px", 0.0), plain.measures.get("shift_row_px", 0.0))
        for number in numbers:
            if number == 0:
                yield Injected(look.scene.scene_id, sun, 0, before, before, _threshold(plain), plain, index, seed)
                continue
            try:
                filled = inject(look, site, number, np.random.default_rng([seed, index, number]), shift_px=shift)
            except ValueError:
                break
            answer = count_look(filled, history, site, told, settings, quality)
            # The threshold is the look's own: cars put in may not move it.
            yield Injected(
                look.scene.scene_id, sun, number, before, _raw(answer), _threshold(plain), answer, index, seed
            )


def trials_of(
    looks: Sequence[Look],
    site: Site,
    settings: CountingSettings,
    numbers: Sequence[int],
    per_class: int,
    since: datetime | None = None,
) -> int:
    """Return how many trials `run_injection` makes at most."""
    return len(_chosen(looks, site, settings, per_class, since)) * len(numbers)


def _chosen(
    looks: Sequence[Look], site: Site, settings: CountingSettings, per_class: int, since: datetime | None
) -> list[int]:
    """Return the looks that receive cars: of each sun class as many, spread over the archive."""
    classes: dict[str, list[int]] = {}
    for index in range(settings.history_min_looks, len(looks)):
        if since is None or looks[index].scene.observed_at >= since:
            classes.setdefault(sun_class(sun_of(looks[index], site)[0]), []).append(index)
    chosen: list[int] = []
    for members in classes.values():
        spread = np.unique(np.linspace(0, len(members) - 1, min(per_class, len(members))).round().astype(int))
        chosen += [members[int(place)] for place in spread]
    return sorted(chosen)


def sun_class(elevation_deg: float) -> str:
    """Return low, mid or high."""
    return next(name for name, low, high in SUN_CLASSES if low <= elevation_deg < high or high == 90.0)


def summarise(injections: Sequence[Injected]) -> tuple[Recovery, ...]:
    """Return what injections say, all together and for each sun class that has any."""
    groups = [("all", list(injections))]
    groups += [
        (name, [one for one in injections if sun_class(one.sun_elevation_deg) == name]) for name, _, _ in SUN_CLASSES
    ]
    return tuple(_recovery(name, group) for name, group in groups if group)


def _recovery(name: str, group: Sequence[Injected]) -> Recovery:
    good = [one for one in group if one.counted]
    bare = [one for one in good if one.railcars == 0]
    filled = [one for one in good if one.railcars > 0]
    n = np.array([one.railcars for one in filled], dtype=np.float64)
    rise = np.array([one.after - one.before for one in filled])
    slope, slope_sd = float("nan"), float("nan")
    if len(set(n.tolist())) >= MIN_LEVELS:
        slope, slope_sd = slope_through_origin(n, rise)
    numbers = sorted({one.railcars for one in filled})
    power = {
        m: Rate(sum(one.found for one in filled if one.railcars == m), sum(one.railcars == m for one in filled))
        for m in numbers
    }
    limit = float("nan")
    for m in reversed(numbers):
        if power[m].value < POWER:
            break
        limit = float(m)
    inside = [one for one in good if isinstance(one.count, Count) and one.count.low <= one.railcars <= one.count.high]
    limits = [one.count.detection_limit for one in bare if isinstance(one.count, Count)]
    return Recovery(
        name, len({one.scene_id for one in group}), sum(not one.counted for one in group), slope, slope_sd,
        Rate(len(inside), len(good)), Rate(sum(one.found for one in bare), len(bare)), power, limit,
        float(np.median(limits)) if limits else float("nan"),
    )  # fmt: skip


def slope_through_origin(injected: NDArray[np.float64], recovered: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope of recovered over injected and its standard error.

    Least squares through the origin with weights 1/n², since errors grow with the number: the mean ratio.
    """
    ratio = recovered / injected
    weight = injected / injected.sum()
    slope = float((weight * ratio).sum())
    effective = 1.0 / float((weight**2).sum())
    variance = float((weight * (ratio - slope) ** 2).sum())
    return slope, float(np.sqrt(variance / max(effective - 1.0, 1.0)))


def _raw(answer: Count | Refusal) -> float:
    """Return the number that scale and zero turn into railcars, before it is cut at zero."""
    if isinstance(answer, Refusal):
        return float("nan")
    return (answer.measures["uncalibrated"] - answer.measures["zero"]) / answer.measures["scale"]


def _threshold(answer: Count | Refusal) -> float:
    return float("inf") if isinstance(answer, Refusal) else answer.measures["alarm_threshold"]
