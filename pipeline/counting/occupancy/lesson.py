"""What a yard's own past teaches: railcars stood into it, how it answers to them, and numbers read from looks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.bench import Bench, Day, Series, added, cars_of, filter_of
from pipeline.counting.occupancy.density import Density, Features, fit_density, pixel_features
from pipeline.counting.occupancy.response import (
    SPARSE_LEVELS,
    Rendered,
    Response,
    carried_over,
    fit_response,
    slopes_of,
)
from pipeline.counting.occupancy.spatial import Images, outside_typical, whiten
from pipeline.counting.occupancy.target import CAR_AREA_M2

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

HOSTS = 8  # history looks into which simulated cars are stood
ALIKE = 0.15  # logarithm of the ratio of sensitivities below which hosts are equally good
HOST_SHARE = 0.6  # of the history, from the emptiest on, that may bear simulated cars
OCCUPIED = 0.3  # pixels of a host that look filled more surely than this tell nothing about simulated cars
YARD_FOLLOWS = 0.5  # power of the murk beside the yard by which the yard's own noise grows
MURK_RANGE = (0.4, 4.0)  # by which the noise of a look that bears simulated cars is scaled
ZERO_QUANTILE = 0.25  # of the hosts: those with trains of their own show too high a zero
TRAIN = 0.25  # share of a train's amplitude from which a filled pixel of a bare host is believed to bear a car
SPARSE_CARS = 20.0  # a sample of n cars has the say of 1 / (n + SPARSE_CARS): few cars are the rule


@dataclass(frozen=True, eq=False)
class Lesson:
    """What railcars stood into a series' own past teach about reading its looks."""

    density: Density
    hosts: NDArray[np.intp]  # history looks that bore them
    free: BoolArray  # (H, N) pixels of the hosts where nothing else stands
    murk: FloatArray  # (L,) how much less than on ordinary days cars stand out, by the ground beside the yard
    ordinary: float  # variance of smoothed images of the history, noise units


@dataclass(frozen=True, eq=False)
class Reading:
    """Numbers read from Q images under one sun."""

    x: FloatArray  # (Q,) railcars before scale and zero
    density: FloatArray  # (Q, N) railcars of each pixel, not calibrated
    unit: FloatArray  # (Q,) noise of the image over that of the history
    typical: FloatArray  # (Q,)
    modes: FloatArray  # (Q, C, K) what was common to the yard


def learn(bench: Bench, series: Series, day: Day) -> tuple[Lesson, Response]:
    """Stand known numbers of railcars into the series' past and learn to read them.

    Parameters
    ----------
    bench : Bench
    series : Series
    day : Day
        Of the look to be counted, whose noise decides which history looks bear the cars.
    """
    kit, smooth, seen = filter_of(bench, series, day), series.yard.smooth, bench.images.seen
    share = seen[:-1].mean(axis=1)
    history = np.flatnonzero(share > 0.9 * share.max())
    shown = pixel_features(whiten(bench.images.pick(history), kit), seen[history], smooth)
    # A full yard looks noisy itself; how noisy the day is, the ground beside the yard tells.
    clear = outside_typical(bench.images.outside, kit)
    murk = np.median(clear[history]) / clear
    at = _hosts(shown, np.log(murk[history] / murk[-1]))
    hosts = history[at]
    lesson = Lesson(
        Density(np.zeros(0)), hosts, shown.filled[at] < OCCUPIED, murk, float(np.median(shown.quiet))
    )  # fmt: skip
    plain = _as_murky(bench, lesson, hosts, day)
    bare = pixel_features(whiten(plain, kit), plain.seen, smooth, lesson.ordinary)
    cars = cars_of(series, day.sun)
    number, target, stood = _stand(bench, series, lesson, cars, day)
    answer = pixel_features(whiten(stood, kit), stood.seen, smooth, lesson.ordinary)
    host = np.arange(len(number)) % len(hosts)
    empty_say = seen[hosts] * (1.0 - bare.filled * (bare.amplitude > TRAIN)) / SPARSE_CARS
    density = fit_density(
        np.concatenate([answer.values, bare.values]),
        np.concatenate([target, np.zeros_like(bare.filled)]),
        np.concatenate([stood.seen * lesson.free[host] / (number + SPARSE_CARS)[:, None], empty_say]),
    )
    lesson = replace(lesson, density=density)
    return lesson, fit_response(number, *_rise(lesson, number, answer, bare))


def respond(bench: Bench, series: Series, lesson: Lesson, mine: Response, day: Day) -> Response:
    """Return how the yard answers on another day: the answer `mine` times what fewer cars change by.

    The same cars stand there on both days, so that the chance of how they stand cancels.
    """
    cars = tuple(one for one in cars_of(series, day.sun) if one.railcars in SPARSE_LEVELS)
    if not cars:
        return mine
    number, rise, zero = _rises(bench, series, lesson, cars, day)
    return replace(mine, mean=carried_over(mine, slopes_of(number, rise)), zero=zero)


def _rises(
    bench: Bench, series: Series, lesson: Lesson, cars: tuple[Rendered, ...], day: Day
) -> tuple[FloatArray, FloatArray, float]:
    """Return numbers of cars, what the sum rises by them on a day, and the sum of an empty yard."""
    kit, smooth = filter_of(bench, series, day), series.yard.smooth
    number, _, stood = _stand(bench, series, lesson, cars, day)
    answer = pixel_features(whiten(stood, kit), stood.seen, smooth, lesson.ordinary)
    hosts = _as_murky(bench, lesson, lesson.hosts, day)
    bare = pixel_features(whiten(hosts, kit), hosts.seen, smooth, lesson.ordinary)
    return (number, *_rise(lesson, number, answer, bare))


def read(
    bench: Bench, series: Series, lesson: Lesson, response: Response, day: Day, wanted: NDArray[np.intp]
) -> Reading:
    """Read numbers of railcars from looks of the series.

    Parameters
    ----------
    bench : Bench
    series : Series
    lesson : Lesson
    response : Response
        On `day`.
    day : Day
        Like that of the looks to be read.
    wanted : array of int
        Indices of looks.
    """
    mine = bench.images.pick(wanted)
    white = whiten(mine, filter_of(bench, series, day))
    found = lesson.density.railcars(pixel_features(white, mine.seen, series.yard.smooth, lesson.ordinary).values)
    share = np.maximum(mine.seen @ _where_cars_show(series, day), 0.1)
    return Reading(response.railcars(found.sum(axis=1) / share), found, white.unit, white.typical, white.beta)


def _where_cars_show(series: Series, day: Day) -> FloatArray:
    """Return each pixel's share (N,) of what railcars change: a hidden pixel beside the tracks hides few."""
    shown = np.mean([one.lost.mean(axis=0, dtype=np.float64) for one in cars_of(series, day.sun)], axis=0)
    return np.asarray(shown / max(float(shown.sum()), 1e-9))


def _stand(
    bench: Bench, series: Series, lesson: Lesson, cars: tuple[Rendered, ...], day: Day
) -> tuple[FloatArray, FloatArray, Images]:
    """Return numbers (Q,), cars of each pixel (Q, N) and images of hosts with cars stood into them."""
    number = np.array([one.railcars for one in cars], dtype=np.float64)
    stood = _as_murky(bench, lesson, lesson.hosts[np.arange(len(number)) % len(lesson.hosts)], day)
    area = CAR_AREA_M2 / series.yard.grid.gsd_m**2
    target = np.stack([one.roof for one in cars]).astype(np.float64) / area
    return number, target, replace(stood, values=stood.values + added(bench, series, cars, day.ground))


def _as_murky(bench: Bench, lesson: Lesson, places: NDArray[np.intp], day: Day) -> Images:
    """Return history looks with their noise brought to that of a day.

    The yard follows the ground beside it only in part: ballast dries and does not grow.
    """
    some = bench.images.pick(places)
    murk = float(np.exp(np.log(lesson.murk[day.places]).mean()))
    factor = np.clip(murk / lesson.murk[places], *MURK_RANGE)[:, None, None]
    wet = np.broadcast_to(bench.images.wet[day.places].mean(), some.wet.shape)
    return replace(some, values=some.values * factor**YARD_FOLLOWS, outside=some.outside * factor**2, wet=wet)


def _rise(lesson: Lesson, number: FloatArray, answer: Features, bare: Features) -> tuple[FloatArray, float]:
    """Return what the sum rises by (Q,) and the sum of an empty yard."""
    host = np.arange(len(number)) % len(lesson.hosts)
    before = lesson.density.railcars(bare.values)
    rise = (lesson.density.railcars(answer.values) - before[host]).sum(axis=1)
    # The zero is that of pixels where no train stands, so that a yard that is never empty has one too.
    say = 1.0 - bare.filled * (bare.amplitude > TRAIN)
    each = (before * say).sum(axis=1) / np.maximum(say.sum(axis=1), 1.0) * before.shape[1]
    return rise, float(np.quantile(each, ZERO_QUANTILE))


def _hosts(shown: Features, unlike: FloatArray) -> NDArray[np.intp]:
    """Return history looks to stand cars into: of the emptier part, those as noisy as the look to be read."""
    order = np.argsort(shown.filled.sum(axis=1), kind="stable")
    emptier = order[: max(int(HOST_SHARE * len(order)), min(HOSTS, len(order)))]
    near = emptier[np.argsort(np.maximum(np.abs(unlike[emptier]), ALIKE), kind="stable")]
    return np.asarray(np.sort(near[:HOSTS]))
