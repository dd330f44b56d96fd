"""Rows of trailers and lanes are refused: rails, cars and doubt are weighed together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from resolved_world import CLEAR, counted, tell, yard_scene
from shapely.geometry import box

from pipeline.counting.resolved import clear
from pipeline.counting.resolved.artifact import load_model
from pipeline.counting.resolved.clear import CLEAR_LEAST, RAILS_LEAST, clarity, unclear
from pipeline.counting.resolved.measure import measure
from pipeline.counting.resolved.see import see
from pipeline.model import Railcar, RailcarKind, Refusal
from pipeline.simulate.fine import fine_look


def scored(*scores: float) -> list[tuple[Railcar, np.ndarray]]:
    """Return cars of given scores."""
    shape = box(0, 0, 13, 3)
    return [(Railcar(shape, "t1", 20.0 * k, 14.0, RailcarKind.BOX, s), np.ones(7) / 7) for k, s in enumerate(scores)]


def test_clarity_grows_with_rails_and_certainty_and_shrinks_with_doubt():
    plain = clarity(scored(0.98, 0.97), 0.9, 0.1)
    assert clarity(scored(0.98, 0.97), 1.2, 0.1) > plain
    assert clarity(scored(0.8, 0.7), 0.9, 0.1) < plain
    assert clarity(scored(0.98, 0.97), 0.9, 0.4) < plain
    assert np.isfinite(clarity(scored(0.0, 1.0), 0.9, 0.1))


def test_what_was_measured_along_rows_of_trailers_is_refused_and_faint_rails_under_sure_cars_are_not():
    # The line with most cars of all look-alikes, and the yard of another renderer with the faintest rails at 0.5 m.
    trailers = {"rails": 0.58, "clarity": clarity(scored(0.92, 0.97, 0.91), 0.58, 0.49)}
    assert "may be no railcars on rails" in unclear(trailers, 0.3, "Row")
    faint = {"rails": 0.60, "clarity": clarity(scored(0.996, 0.997), 0.60, 0.12)}
    assert unclear(faint, 0.5, "Yard") == ""


def test_coarser_pixels_ask_for_less_and_unmeasured_figures_for_nothing():
    between = {"rails": RAILS_LEAST[1], "clarity": CLEAR_LEAST[1]}
    assert unclear(between, 1.0, "Yard") == unclear(between, 1.5, "Yard") == ""
    assert "no rails along the lines of Yard" in unclear(between, 0.5, "Yard")
    assert unclear({}, 0.5, "Yard") == ""


def test_a_look_that_is_not_clear_is_refused_and_says_how_clear_it_is(monkeypatch: pytest.MonkeyPatch):
    scene = yard_scene(20, seed=74)
    monkeypatch.setattr(clear, "CLEAR_LEAST", (20.0, 20.0, 20.0))
    result = tell(fine_look(scene), scene.site)
    assert isinstance(result, Refusal)
    assert result.flags == ("OUT_OF_DISTRIBUTION",)
    assert "what may be no railcars on rails" in result.detail
    assert 2 < result.measures["clarity"] < 20


def test_a_yard_says_how_clear_it_is():
    assert counted(yard_scene(20, seed=74)).measures["clarity"] > CLEAR_LEAST[0]
    assert "clarity" not in counted(yard_scene(0, seed=75)).measures


def test_coarse_pixels_lean_towards_cars_but_not_towards_occupied_metres():
    scene = yard_scene(20, seed=76, conditions=replace(CLEAR, gsd_m=1.2, contrast=0.5))
    model, look = load_model("fine"), fine_look(scene)
    leaning, plain = (see(look, scene.site.tracks, one) for one in (model, replace(model, lean=0.0)))
    assert leaning is not None and plain is not None
    assert leaning.lean > 0.5 and plain.lean == 0.0
    cuts = [sight.cut(model.weights) for sight in (leaning, plain)]
    expected = [sum(cut.mean for cut in one) for one in cuts]
    assert expected[0] > expected[1]
    metres = [measure(sight, one).occupied_m for sight, one in zip((leaning, plain), cuts, strict=True)]
    assert metres[0] == pytest.approx(metres[1])
