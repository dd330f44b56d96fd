"""Where the rails are taken to lie: each peak of a doubtful vote is tried, another than the first must convince."""

from __future__ import annotations

import numpy as np
import pytest
from resolved_world import yard_scene

from pipeline.counting.resolved import rails, see
from pipeline.counting.resolved.artifact import load_model
from pipeline.simulate.fine import fine_look


def _votes(**heights: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return one track's vote with peaks at the given places: `right_4=9` is 9 for four half metres to the right."""
    odds = np.zeros((1, len(rails.PLACES_M)))
    for name, height in heights.items():
        side, steps = name.split("_")
        odds[0, rails.SHIFTS + int(steps) * (1 if side == "left" else -1)] = height
    return {"t1": (np.zeros(1, dtype=int), odds)}


def test_a_vote_for_near_the_lines_is_believed():
    assert len(rails._common_shifts(_votes(left_1=9.0, right_4=7.0), {"t1": 1.0})) == 1


def test_a_vote_for_far_off_lets_every_other_peak_be_tried():
    shifts = rails._common_shifts(_votes(left_4=19.0, right_1=9.0), {"t1": 1.0})
    assert shifts[0] == pytest.approx(2.0, abs=0.25)
    assert shifts[1:] == [-0.5]


def test_where_nothing_else_has_a_peak_the_image_is_tried_as_it_lies(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rails, "COMMON_SD_M", 1e6)  # the prior alone would make a peak there
    falling = _votes(left_4=19.0, left_3=15.0, left_2=12.0, left_1=9.0, left_0=7.0, right_1=5.0, right_2=3.0)
    assert rails._common_shifts(falling, {"t1": 1.0})[1:] == [0.0]


@pytest.mark.parametrize(("gain", "shift_m"), [(50.0, 2.0), (150.0, 0.0)])
def test_another_place_must_show_about_a_car_more(gain: float, shift_m: float, monkeypatch: pytest.MonkeyPatch):
    scene = yard_scene(6)

    def answers(tones: list, *_rest: object) -> rails.Rails:
        return rails.Rails(
            tuple(
                {tone.strip.track.track_id: np.full(len(tone.strip.stations), at) for tone in tones}
                for at in (2.0, 0.0)
            ),
            evidence=1.0,
        )

    shown = iter([40.0, 40.0 + gain])
    monkeypatch.setattr(see, "find_rails", answers)
    monkeypatch.setattr(see, "_shown", lambda *_: next(shown))
    sight = see.see(fine_look(scene), scene.site.tracks, load_model("fine"))
    assert sight is not None and sight.shift_m == pytest.approx(shift_m)


def test_where_the_other_peaks_are_far_too_the_image_is_tried_as_it_lies(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rails, "COMMON_SD_M", 1e6)
    valley = _votes(
        left_4=19.0, left_3=15.0, left_2=12.0, left_1=9.0, left_0=7.0, right_1=5.0, right_3=8.0, right_4=12.0
    )
    assert rails._common_shifts(valley, {"t1": 1.0})[1:] == [-2.0, 0.0]


def test_stretches_that_are_too_short_tell_nothing_of_rails():
    seen = np.full((rails.LEAST_ASKED, len(rails.PLACES_M)), 0.7)
    assert rails._evidence([seen[1:]]) is None
    assert rails._evidence([seen[1:], seen]) == pytest.approx(0.7)
