"""The parts of resolved counting by themselves: strips, the cut, the network, the artifact, matching."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from shapely.affinity import translate
from shapely.geometry import LineString, box

from pipeline.counting.resolved import places
from pipeline.counting.resolved.artifact import FOLDER, RANGES, load_model, write_model
from pipeline.counting.resolved.calibrate import Row as CalibrationRow
from pipeline.counting.resolved.calibrate import fit_spread
from pipeline.counting.resolved.inputs import INPUTS
from pipeline.counting.resolved.network import GAP, initial, judge
from pipeline.counting.resolved.plan import Plan, Schedule
from pipeline.counting.resolved.score import changes, match
from pipeline.counting.resolved.segment import STEP_M, Weights, cut_tracks, length_prior
from pipeline.counting.resolved.spread import Doubts, likelihood, sides_of
from pipeline.counting.resolved.strips import CENTRE, normalise, unroll
from pipeline.counting.resolved.teach import train
from pipeline.errors import ImageError
from pipeline.model import Grid, Look, Scene, Track


def evidence(length_m: float, cars: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    s = np.arange(STEP_M / 2, length_m, STEP_M)
    occupied = np.full(len(s), -4.0)
    boundary = np.full(len(s), -4.0)
    for a, b in cars:
        occupied[(s > a) & (s < b)] = 4.0
        boundary[(np.abs(s - a) < 0.6) | (np.abs(s - b) < 0.6)] = 4.0
    return occupied, boundary, np.ones(len(s), dtype=bool)


def test_coupled_and_loose_cars_are_cut_apart():
    cars = [(20.0, 34.0), (34.0, 48.0), (48.0, 60.0), (75.0, 92.0)]
    (cut,) = cut_tracks(*([part] for part in evidence(120.0, cars)), Weights())
    assert cut.cars == pytest.approx(np.array(cars), abs=0.6)
    assert cut.mean == pytest.approx(4, abs=0.05)


def test_no_car_where_the_track_is_hidden():
    occupied, boundary, covered = evidence(100.0, [(20.0, 34.0), (60.0, 74.0)])
    covered[40:56] = False
    (cut,) = cut_tracks([occupied], [boundary], [covered], Weights())
    assert cut.cars == pytest.approx(np.array([(60.0, 74.0)]), abs=0.6)


def test_mean_and_variance_are_those_of_all_cuts():
    """Against every cut of a short track, listed one by one."""
    rng = np.random.default_rng(3)
    n = 62
    occupied, boundary = rng.normal(0, 2, n), rng.normal(0, 2, n)
    weights = Weights(0.1, 0.6, -1.0)
    (cut,) = cut_tracks([occupied], [boundary], [np.ones(n, bool)], weights)
    steps, prior = length_prior()
    total = np.concatenate([[0.0], np.cumsum(weights.occupied * np.clip(occupied, -9, 9))])
    b = weights.boundary * np.clip(boundary, -9, 9)
    ends = np.concatenate([[b[0]], np.maximum(b[:-1], b[1:]), [b[-1]]])
    found: list[tuple[int, float]] = []

    def walk(s: int, cars: int, score: float) -> None:
        found.append((cars, score))  # nothing but empty track from here on
        for begin in range(s, n):
            for length, log in zip(steps, prior, strict=True):
                end = begin + int(length)
                if end <= n:
                    gain = total[end] - total[begin] + ends[begin] + ends[end]
                    walk(end, cars + 1, score + gain + log + weights.entry)

    walk(0, 0, 0.0)
    cars = np.array([c for c, _ in found], dtype=float)
    score = np.array([v for _, v in found])
    share = np.exp(score - score.max())
    share /= share.sum()
    assert cut.mean == pytest.approx(float((share * cars).sum()), rel=1e-6)
    assert cut.variance == pytest.approx(float((share * cars**2).sum() - (share * cars).sum() ** 2), rel=1e-5)


def some_network(seed: int = 3) -> dict[str, np.ndarray]:
    """A network whose every part says something: nothing is left at the zero that training begins with."""
    rng = np.random.default_rng(seed)
    drawn = initial(INPUTS, 16, rng)
    return {name: value + 0.1 * rng.standard_normal(value.shape).astype(np.float32) for name, value in drawn.items()}


def test_the_network_says_the_same_in_numpy_and_in_the_library_that_trains_it():
    jnp = pytest.importorskip("jax.numpy")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, INPUTS)).astype(np.float32)
    valid = (rng.random(90) < 0.9).astype(np.float32)
    look = np.zeros((2, 90), np.float32)
    look[0, :40], look[1, 40:] = 1, 1
    here, there = judge(some_network(), x, valid, look), judge(some_network(), x, valid, look, jnp)
    for name in ("occupied", "boundary", "kind"):
        assert getattr(here, name) == pytest.approx(np.asarray(getattr(there, name)), abs=2e-4)


def test_a_track_is_judged_alike_wherever_it_lies_in_a_batch():
    """Neither a neighbour over the gap nor the order of the tracks changes it; another track of its look does."""
    rng = np.random.default_rng(2)
    one, other = (rng.normal(size=(60, INPUTS)).astype(np.float32) for _ in range(2))
    gap = np.zeros((GAP, INPUTS), np.float32)
    valid = np.concatenate([np.ones(60), np.zeros(GAP), np.ones(60)]).astype(np.float32)
    apart = np.zeros((2, len(valid)), np.float32)
    apart[0, :60], apart[1, 60 + GAP :] = 1, 1
    alone = judge(some_network(), one, np.ones(60, np.float32), np.ones((1, 60), np.float32)).occupied
    behind = judge(some_network(), np.concatenate([other, gap, one]), valid, apart).occupied[2 * (60 + GAP) :]
    assert behind == pytest.approx(alone, abs=1e-4)
    together = judge(some_network(), np.concatenate([other, gap, one]), valid, np.ones((1, len(valid)), np.float32))
    assert np.abs(together.occupied[2 * (60 + GAP) :] - alone).max() > 1e-3


def test_strips_follow_the_track_and_the_shift():
    """A bright line 1 m to the left of a diagonal track is found 1 m to the left; with the shift, in the middle."""
    grid = Grid("EPSG:32652", (0.5, 0, 0, 0, -0.5, 100), 200, 200)
    x, y = grid.to_xy(np.arange(200)[None, :] + 0.5, np.arange(200)[:, None] + 0.5)
    left = (y - x) / np.sqrt(2)
    values = np.exp(-0.5 * ((left - 1.0) / 0.4) ** 2)[None].astype(np.float32)
    scene = Scene("S", "t", "vhr", "T", None, 0.5, ())  # type: ignore[arg-type]
    look = Look("s", scene, grid, ("pan",), values, np.ones((200, 200), bool), 1.0)
    track = Track("d", "Diagonal", LineString([(20, 20), (80, 80)]), "yard")
    (strip,) = unroll(look, [track])
    assert int(np.argmax(strip.values[0].mean(axis=0))) == CENTRE + 2
    (strip,) = unroll(look, [track], {"d": np.full(len(strip.stations), 1.0)})
    assert int(np.argmax(strip.values[0].mean(axis=0))) == CENTRE


def test_tones_do_not_know_the_scale():
    rng = np.random.default_rng(5)
    grid = Grid("EPSG:32652", (0.5, 0, 0, 0, -0.5, 40), 200, 80)
    values = rng.uniform(0, 1, (3, 80, 200)).astype(np.float32)
    scene = Scene("S", "t", "vhr", "T", None, 0.5, ())  # type: ignore[arg-type]
    track = Track("a", "A", LineString([(5, 20), (95, 20)]), "yard")
    tones = []
    for scale in (1.0, 5000.0):
        look = Look("s", scene, grid, ("red", "green", "blue"), values * scale, np.ones((80, 200), bool), 1.0)
        tones.append(normalise(unroll(look, [track]), look.bands, 0.5)[0][0])
    assert tones[0].grey == pytest.approx(tones[1].grey, abs=1e-3)


def test_artifact_is_small_whole_and_carries_its_card():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_500_000
    for name in RANGES:
        model = load_model(name)
        card = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        assert card["scenes"]["training"] >= 100
        assert "simulated" in card["limits"]
        assert set(model.prior) == {"occupied", "boundary"}


def test_a_changed_or_missing_artifact_is_named(tmp_path: Path):
    with pytest.raises(ImageError, match=r"fine.npz|fine.json.* railwatch train"):
        load_model("fine", tmp_path)
    for suffix in (".npz", ".json"):
        (tmp_path / f"fine{suffix}").write_bytes((FOLDER / f"fine{suffix}").read_bytes())
    content = bytearray((tmp_path / "fine.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "fine.npz").write_bytes(bytes(content))
    with pytest.raises(ImageError, match="does not match its card"):
        load_model("fine", tmp_path / "")


def test_training_twice_gives_the_same_bytes(tmp_path: Path):
    pytest.importorskip("optax")
    plan = Plan("fine", (0.9, 1.1), 4, 2, 1, 3, 7, Schedule(3, width=8), Schedule(2, width=8), passes=1)
    for name in ("one", "two"):
        train(tmp_path / name, (plan,))
    for file in ("fine.npz", "fine.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    first, second = load_model("fine", tmp_path / "one").networks
    assert first["stem"].shape == second["stem"].shape == (3, INPUTS, 8)
    assert 0 < np.abs(first["stem"] - second["stem"]).max() < 0.1, "the second goes on from the first"


def test_written_arrays_do_not_depend_on_the_clock(tmp_path: Path):
    card = json.loads((FOLDER / "fine.json").read_text(encoding="utf-8"))
    rails = places.initial(np.random.default_rng(1), 8)
    params = {"network": some_network(), "second": some_network(4), "places": rails}
    a = write_model(tmp_path / "a", "fine", params, card).read_bytes()
    assert a == write_model(tmp_path / "b", "fine", params, card).read_bytes()
    text = (tmp_path / "a" / "fine.md").read_text(encoding="utf-8")
    assert f"Taught on {card['scenes']['training']} simulated" in text


def test_matching_and_changes():
    cars = [box(20 * k, 0, 20 * k + 13, 3) for k in range(5)]
    moved = [translate(cars[0], 0.2), *cars[1:4], translate(cars[4], 0, 40)]
    assert match(moved, cars).f1 == pytest.approx(0.8)
    what = changes(cars, moved)
    assert (len(what.lost), len(what.appeared), len(what.moved)) == (1, 1, 1)
    assert str(what) == "1 lost, 1 appeared, 1 moved (by up to 0.20 m)"
    assert match([], []).f1 == 1.0
    assert match([cars[0]], [translate(cars[0], 0, 1.2)]).f1 == 0.0  # IoU 0.43: beside the car is not on it


TERMS = {
    "gsd_m": [0.5, 1.5],
    "own": [1.0, 2.0],
    "undecided": [0.1, 0.2],
    "apart": [0.3, 0.3],
    "share": [0.0, 0.05],
    "floor": [0.04, 0.16],
    "missed": [0.5, 1.0],
}


def test_spread_grows_with_doubt_and_likelihood_is_flat_where_hidden():
    def spread(gsd_m: float, **doubts: float) -> float:
        below, above = sides_of(TERMS, gsd_m, Doubts(**doubts), np.array([50.0]))
        assert below == above
        return float(below[0])

    assert spread(0.5) == pytest.approx(0.2)
    assert spread(1.5, variance=4.0) > spread(1.0, variance=4.0) > spread(0.5, variance=4.0) > spread(0.5)
    assert spread(0.5, undecided=3.0) == pytest.approx(np.sqrt(0.1 * 9 + 0.04))
    assert spread(0.5, apart=-3.0) == pytest.approx(np.sqrt(0.3 * 9 + 0.04))
    values = likelihood(10, (np.full(41, 1.0), np.full(41, 1.0)), 12.0)
    assert values[10] == values[21] == 1.0
    assert values[5] < 1e-3
    assert values[30] < 1e-3


def test_cars_that_all_cuts_expect_besides_widen_the_interval_upwards_only():
    below, above = sides_of(TERMS, 0.5, Doubts(missed=4.0), np.array([50.0]))
    assert float(below[0]) == pytest.approx(0.2)
    assert float(above[0]) == pytest.approx(np.sqrt(0.5 * 16 + 0.04))
    values = likelihood(10, (np.full(41, 1.0), np.full(41, 3.0)), 0.0)
    assert values[10] == 1.0
    assert values[13] == pytest.approx(values[9]) == pytest.approx(np.exp(-0.5), rel=1e-5)


def test_upward_errors_of_calibration_scenes_set_the_term_upwards():
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(300):
        missed = float(rng.uniform(0, 8))
        overlooked = abs(rng.normal(0, missed)) if rng.random() < 0.5 else 0.0
        rows.append(CalibrationRow(1.0, 50 + overlooked, 50 + abs(rng.normal(0, 0.3)), Doubts(missed=missed)))
    spread = fit_spread(rows, (0.5, 1.5))
    below, above = sides_of(spread, 1.0, Doubts(missed=6.0), np.array([50.0]))
    assert above[0] > 3 * below[0]
    assert below[0] < 1.5
