"""Takes out of filter images what is common to the yard, and brings what is left to the noise of each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROUNDS = 6
CAR_SIDE = 1.0  # residuals above so many sigma, on the side of cars, lose their say in the zero
FREE_SIDE = 2.3
CORRELATED_PX = 6.0  # neighbouring pixels err alike: so many of them count as one against the prior
PRIOR_PX = 60.0  # pixels' worth of belief that an image's noise is that of the history
QUIET = 0.3  # cars fill less than half of a yard: this quantile of the energies is that of empty pixels
OUTSIDE_MIN = 0.25  # variance of the ground off the yard, least


@dataclass(frozen=True, eq=False)
class Images:
    """Q images of C channels in the history's noise units, and what of them can be seen."""

    values: FloatArray  # (Q, C, N)
    seen: BoolArray  # (Q, N)
    outside: FloatArray  # (Q, C, C) covariance of the ground off the yard, that of ordinary looks being 1
    wet: FloatArray  # (Q,) variance of wet patches on the yard's ground, relative change

    def pick(self, places: NDArray[np.intp]) -> Images:
        """Return some of the images."""
        return Images(self.values[places], self.seen[places], self.outside[places], self.wet[places])


@dataclass(frozen=True, eq=False)
class Filter:
    """What images of one yard are measured with."""

    terms: FloatArray  # (C, N, K) regressors of the spatial modes, noise units
    prior: FloatArray  # (C, K) standard deviation of each mode; large where nothing is known
    mean_car: FloatArray  # (C,) mean change of a pixel that cars fill
    changes: FloatArray  # (C, S) changes of single pixels that cars fill
    one_sided: float  # share of the cars' energy that lies in their mean, 0..1
    wetting: FloatArray  # (C, N) what a relative darkening of 1 by water changes, noise units


@dataclass(frozen=True, eq=False)
class Whitened:
    """Q images without their spatial modes, each in its own noise units."""

    signed: FloatArray  # (Q, N) matched filter for the mean car
    free: FloatArray  # (Q, C, N) all channels, white
    typical: FloatArray  # (Q,) root of the energy of a pixel that cars fill
    typical_signed: FloatArray  # (Q,) the matched filter's answer there
    beta: FloatArray  # (Q, C, K) modes
    unit: FloatArray  # (Q,) noise of the image over that of the history
    rest: FloatArray  # (Q, C, N) the images without their modes, in the history's noise units


def spatial_terms(axes: FloatArray, columns: FloatArray) -> FloatArray:
    """Return the regressors of the spatial modes for every channel, (C, N, K).

    Parameters
    ----------
    axes : array of shape (N, 2)
        Along and across, about -1..1.
    columns : array of shape (C, J, N)
        What errors of gain, season, moisture and registration look like in each channel.
    """
    u, v = axes[:, 0], axes[:, 1]
    smooth = np.stack([np.ones_like(u), u, v, u**2 - (u**2).mean(), u * v, v**2 - (v**2).mean(), u**3], axis=1)
    centred = columns - columns.mean(axis=2, keepdims=True)
    scaled = centred / np.maximum(centred.std(axis=2, keepdims=True), 1e-9)
    channels = columns.shape[0]
    return np.concatenate([np.broadcast_to(smooth, (channels, *smooth.shape)), scaled.transpose(0, 2, 1)], axis=2)


def whiten(images: Images, kit: Filter) -> Whitened:
    """Regress each image robustly on spatial terms, and whiten what is left by the image's own noise.

    The zero is that of the pixels without cars: pixels that stand out, and those that stand out on the side of cars
    sooner, lose their say, so that trains do not raise it. A full yard has no such pixels; there the prior, how
    large the modes were in the history, keeps the zero where it was. Noise is estimated anew in every image: rain
    on ballast makes patches in one spectral direction many times those of a dry day, and leaves the others alone.
    Trains too raise what the yard shows, and leaves what the ground beside it shows: noise is what both agree on,
    the parallel sum of both covariances. Patches of wet ballast are no part of either: what lies in their direction,
    which is another in every pixel as its ground is, counts for as little as they are strong.
    """
    number, channels, _ = images.values.shape
    size = kit.terms.shape[2]
    seen = images.seen
    filled = np.where(seen[:, None], images.values, 0.0)
    upper = np.triu_indices(size)
    outer = kit.terms[..., upper[0]] * kit.terms[..., upper[1]]
    matrix = np.empty((number, size, size))
    quiet = float(chi2.ppf(QUIET, channels))
    car_side = CAR_SIDE + (1 - kit.one_sided) * (FREE_SIDE - CAR_SIDE)
    weight: FloatArray = seen.astype(np.float64)
    beta = np.zeros((number, channels, size))
    cov: FloatArray = np.broadcast_to(np.eye(channels), (number, channels, channels)).copy()
    rest: FloatArray = filled
    signed, strength, white = rest[:, 0], rest[:, 0], rest
    damp: FloatArray = np.zeros_like(filled)
    for _ in range(ROUNDS):
        for channel in range(channels):
            say = weight / cov[:, channel, channel][:, None]
            penalty = np.diag(CORRELATED_PX / kit.prior[channel] ** 2)
            matrix[:, upper[0], upper[1]] = matrix[:, upper[1], upper[0]] = say @ outer[channel]
            matrix += penalty
            right = (say * (filled - damp)[:, channel]) @ kit.terms[channel]
            beta[:, channel] = np.linalg.solve(matrix, right[..., None])[..., 0]
        rest = np.where(seen[:, None], filled - _modes(beta, kit.terms), 0.0)
        dry = rest - damp
        moment = (dry * weight[:, None]) @ dry.transpose(0, 2, 1)
        inside = (moment + PRIOR_PX * np.eye(channels)) / (weight.sum(axis=1)[:, None, None] + PRIOR_PX)
        # Trimming makes the moments too small; the quiet quantile of the energies puts the scale right.
        energy = _energy(np.linalg.inv(inside), dry)
        inside *= np.clip(_quantile(energy, seen, QUIET) / quiet, 0.05, 50.0)[:, None, None]
        cov = 2.0 * np.linalg.inv(np.linalg.inv(inside) + np.linalg.inv(images.outside))
        shape = _Shape(cov, kit.wetting, images.wet)
        damp = shape.part(rest)
        white = shape.white(rest)
        energy = (white**2).sum(axis=1)
        mean = shape.white(np.broadcast_to(kit.mean_car[None, :, None], rest.shape))
        strength = np.sqrt(np.maximum((mean**2).sum(axis=1), 1e-12))
        signed = (mean * white).sum(axis=1) / strength
        weight = 1.0 / (1.0 + np.maximum(energy / channels - 1.5, 0.0) ** 2)
        weight /= 1.0 + (np.maximum(signed - car_side, 0.0) / 0.5) ** 2
        weight *= seen
    some = np.linspace(0, kit.wetting.shape[1] - 1, kit.changes.shape[1]).astype(np.intp)
    root = _Shape(cov, kit.wetting[:, some], images.wet).white(
        np.broadcast_to(kit.changes, (number, *kit.changes.shape))
    )
    typical = np.sqrt(np.median((root**2).sum(axis=1), axis=1))
    unit = np.exp(0.5 * np.log(np.linalg.eigvalsh(cov)).mean(axis=1))
    typical_signed = np.maximum(np.median(strength, axis=1), 0.3)
    return Whitened(signed, white, np.maximum(typical, 1.0), typical_signed, beta, unit, rest)


class _Shape:
    """Covariances (Q, C, C) common to an image's pixels, and one direction more in each pixel."""

    def __init__(self, cov: FloatArray, direction: FloatArray, variance: FloatArray) -> None:
        self.inverse = np.linalg.inv(np.linalg.cholesky(cov))
        self.direction, self.variance = direction, variance[:, None]
        self.along = self.inverse @ direction
        size = np.maximum((self.along**2).sum(axis=1), 1e-12)
        # Of a component along the direction a standard deviation of 1 is left.
        self.cut = (1.0 - 1.0 / np.sqrt(1.0 + self.variance * size)) / size
        self.share = self.variance / (1.0 + self.variance * size)

    def part(self, values: FloatArray) -> FloatArray:
        """Return the likeliest part of values (Q, C, N) that lies along each pixel's direction."""
        amount = (self.along * (self.inverse @ values)).sum(axis=1) * self.share
        return np.asarray(self.direction * amount[:, None])

    def white(self, values: FloatArray) -> FloatArray:
        """Return values (Q, C, N) with unit covariance."""
        plain = self.inverse @ values
        return np.asarray(plain - self.along * ((self.along * plain).sum(axis=1) * self.cut)[:, None])


def outside_covariance(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Return the covariance (L, C, C) of controls (L, C, M) in each look, robustly; the median look's scale is 1."""
    looks, channels, _ = values.shape
    out = np.broadcast_to(np.eye(channels), (looks, channels, channels)).copy()
    told = []
    for number in range(looks):
        part = values[number][:, seen[number]]
        if part.shape[1] < 12 * channels:
            continue
        part = part - np.median(part, axis=1, keepdims=True)
        spread = np.maximum(1.4826 * np.median(np.abs(part), axis=1, keepdims=True), 0.1)
        part = np.clip(part, -3 * spread, 3 * spread)
        out[number] = part @ part.T / part.shape[1]
        told.append(number)
    if told:
        out[told] /= np.median([np.trace(out[number]) / channels for number in told])
    return np.asarray(out + OUTSIDE_MIN * np.eye(channels))


def outside_typical(outside: FloatArray, kit: Filter) -> FloatArray:
    """Return the root of the energy (Q,) that a pixel with cars has over the noise of the ground off the yard."""
    root = _solve_root(outside, np.broadcast_to(kit.changes, (len(outside), *kit.changes.shape)))
    return np.asarray(np.sqrt(np.median((root**2).sum(axis=1), axis=1)))


def prior_of_modes(beta: FloatArray) -> FloatArray:
    """Return how large each mode (Q, C, K) was in the history: a robust spread about zero, with a floor, (C, K)."""
    return np.asarray(np.maximum(1.4826 * np.median(np.abs(beta), axis=0), 0.05))


def _solve_root(cov: FloatArray, values: FloatArray) -> FloatArray:
    """Return values (Q, C, N) whitened by covariances (Q, C, C)."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(cov)) @ values)


def _modes(beta: FloatArray, terms: FloatArray) -> FloatArray:
    """Return the images (Q, C, N) that modes (Q, C, K) of terms (C, N, K) make."""
    return np.asarray((beta.transpose(1, 0, 2) @ terms.transpose(0, 2, 1)).transpose(1, 0, 2))


def _energy(precision: NDArray[np.floating], values: FloatArray) -> FloatArray:
    """Return the energies (Q, N) of values (Q, C, N) under precisions (Q, C, C)."""
    return np.asarray((values * (precision @ values)).sum(axis=1))


def _quantile(values: FloatArray, seen: BoolArray, q: float) -> FloatArray:
    """Return a quantile (Q,) over visible pixels."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=1)
    place = np.clip((seen.sum(axis=1) - 1) * q, 0, None).astype(np.intp)
    out = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.where(np.isfinite(out), out, 0.0)
