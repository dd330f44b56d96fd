"""Lessons as batches of one fixed shape: tracks in pieces, turned, shifted and lit anew each time they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.inputs import COLUMNS, INPUTS, cells
from pipeline.counting.resolved.lessons import END_DOUBT_M, SPARE, Lesson, Row
from pipeline.counting.resolved.network import GAP
from pipeline.counting.resolved.strips import STEP_M

CELLS = 4608  # of a batch, with the gaps between its tracks
PIECE = 220  # cells of a track that are shown at a time, at most
LEAST = 700  # cells of room for which a part of a look is taken
LOOKS = 24  # of a batch at most
END_M = 0.5  # up to which a station counts as a car's end
NOT_END_M = 0.8  # from which it does not
ALIGNED_M = 0.8  # of the rails, up to which cars are learnt
SUN_KNOWN = 0.5  # share of the lessons whose sun is told: a stranger's file has none
ASIDE = 0.15  # share of the tracks shown half a metre beside their rails

Array = NDArray[np.float32]


Piece = dict[str, NDArray[Any]]  # of a track, by the names of `Batch`


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step of training sees; weights are 0 where nothing is to be learnt."""

    x: Array  # (CELLS, INPUTS)
    valid: Array  # (CELLS,)
    look: Array  # (LOOKS, CELLS)
    occupied: Array  # (2 CELLS,)
    occupied_weight: Array
    boundary: Array
    boundary_weight: Array
    kind: NDArray[np.int32]  # (2 CELLS,), 0 where the weight is 0
    kind_weight: Array


def batches(lessons: Sequence[Lesson], rng: np.random.Generator, kind_share: NDArray[np.float64]) -> Iterator[Batch]:
    """Go through the lessons once, in a random order, as full batches.

    Parameters
    ----------
    lessons : sequence of Lesson
    rng : numpy.random.Generator
    kind_share : array, (kinds,)
        Weight of each kind in the loss.
    """
    waiting: list[list[Piece]] = []
    filled = 0
    for index in rng.permutation(len(lessons)):
        pieces = shown(lessons[int(index)], rng, kind_share)
        whole = sum(len(piece["x"]) + GAP for piece in pieces)
        full = filled + whole > CELLS or len(waiting) == LOOKS
        if full and filled + LEAST > CELLS:
            yield _stacked(waiting)
            waiting, filled, full = [], 0, False
        kept = _fitting(pieces, CELLS - filled, rng)
        waiting.append(kept)
        filled += sum(len(piece["x"]) + GAP for piece in kept)
        if full:
            yield _stacked(waiting)
            waiting, filled = [], 0
    if waiting:
        yield _stacked(waiting)


@dataclass(frozen=True, slots=True)
class Way:
    """How a lesson is shown this time."""

    mirrored: bool = False
    turned: bool = False
    sun_known: bool = True
    gain: float = 1.0
    lift: float = 0.0
    noise: float = 0.0


def shown(
    lesson: Lesson, rng: np.random.Generator, kind_share: NDArray[np.float64], *, plain: bool = False
) -> list[Piece]:
    """Return a lesson's pieces of track as it is shown this time; `plain` leaves it as it is."""
    way = Way() if plain else _drawn_way(rng)
    out: list[Piece] = []
    for row in lesson.rows:
        columns = int(rng.choice([-1, 1])) if not plain and rng.random() < ASIDE else 0
        out += _pieces(row, lesson.told, columns, kind_share, rng, way)
    return out


def _drawn_way(rng: np.random.Generator) -> Way:
    mirrored, turned = (rng.random() < 0.5 for _ in range(2))
    known = bool(rng.random() < SUN_KNOWN)
    gain, lift = float(np.exp(rng.normal(0, 0.12))), float(rng.normal(0, 0.1))
    noise = 0.0 if rng.random() < 0.7 else float(rng.uniform(0, 0.08))
    return Way(mirrored, turned, known, gain, lift, noise)


def _fitting(pieces: list[Piece], room: int, rng: np.random.Generator) -> list[Piece]:
    """Return as many of a look's pieces as a batch has room for, some at random when not all."""
    kept = list(pieces)
    while sum(len(piece["x"]) + GAP for piece in kept) > room:
        kept.pop(int(rng.integers(len(kept))))
    return kept


def _pieces(
    row: Row,
    told: Array,
    columns: int,
    kind_share: NDArray[np.float64],
    rng: np.random.Generator,
    way: Way,
) -> list[Piece]:
    window = slice(SPARE + columns, SPARE + columns + COLUMNS)
    values = row.values[:, window].astype(np.float32)
    seen = row.seen[:, window]
    values[..., 0] = np.where(seen, way.gain * values[..., 0] + way.lift, 0)
    values[..., 1:] *= way.gain
    if way.noise:
        values += way.noise * rng.standard_normal(values.shape, dtype=np.float32) * seen[..., None] * (values != 0)
    rails = row.rails_m - columns * STEP_M
    sun = row.sun if way.sun_known else np.zeros_like(row.sun)
    if way.mirrored:
        values, seen, rails = values[:, ::-1], seen[:, ::-1], -rails
        sun = sun * np.array([1, -1, 1, 1], np.float32)
    learnt = row.covered & (np.abs(rails) < ALIGNED_M)
    data: Piece = {
        "values": values,
        "seen": seen,
        "sun": sun,
        "covered": row.covered,
        "occupied": row.inside.astype(np.float32),
        "occupied_weight": (learnt & ((row.away > END_DOUBT_M) | ~row.inside)).astype(np.float32),
        "boundary": (row.away <= END_M).astype(np.float32),
        "boundary_weight": (learnt & ((row.away <= END_M) | (row.away > NOT_END_M))).astype(np.float32),
        "kind": np.maximum(row.kind, 0).astype(np.int32),
        "kind_weight": np.where(learnt & (row.kind >= 0), kind_share[row.kind], 0).astype(np.float32),
    }
    if way.turned:
        data = {name: value[::-1] for name, value in data.items()}
        data["sun"] = np.asarray(data["sun"] * np.array([1, 1, -1, 1], np.float32))
    n = len(values)
    parts = int(np.ceil(n / (2 * PIECE)))
    size = int(np.ceil(n / parts / 2)) * 2
    pieces = []
    told = told.copy()
    told[4] = way.gain * told[4] + way.lift
    for begin in range(0, n - 8, size):
        part = {name: value[begin : begin + size] for name, value in data.items()}
        length = len(part["values"]) // 2 * 2
        part = {name: value[:length] for name, value in part.items()}
        x = cells(part.pop("values"), part.pop("seen"), part.pop("sun"), told)
        part["x"] = x
        part["valid"] = np.asarray(part.pop("covered").reshape(-1, 2).all(axis=1), dtype=np.float32)
        pieces.append(part)
    return pieces


def _stacked(looks: Sequence[Sequence[Piece]]) -> Batch:
    of_cell = {"x": (CELLS, INPUTS), "valid": (CELLS,)}
    names = [name for name in Batch.__slots__ if name != "look"]
    arrays: Piece = {
        name: np.zeros(of_cell.get(name, (2 * CELLS,)), np.int32 if name == "kind" else np.float32) for name in names
    }
    look = np.zeros((LOOKS, CELLS), dtype=np.float32)
    at = 0
    for index, pieces in enumerate(looks):
        for piece in pieces:
            size = len(piece["x"])
            look[index, at : at + size] = 1
            for name in names:
                begin, length = (at, size) if name in of_cell else (2 * at, 2 * size)
                arrays[name][begin : begin + length] = piece[name]
            at += size + GAP
    return Batch(look=look, **arrays)
