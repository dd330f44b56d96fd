"""Cars are counted in pictures that no simulator of ours drew: shapes under a sun, `relief_yard`."""

from __future__ import annotations

import pytest

from tests.support.fine_yards import judge
from tests.support.relief_yard import relief_scene


@pytest.mark.parametrize(("seed", "sky"), [(61, {}), (62, {"overcast": True}), (63, {"snow": True})])
def test_another_renderers_cars_are_counted(seed: int, sky: dict[str, bool]):
    scene = relief_scene(seed, 0.5, 34, length_m=300.0, **sky)
    row = judge(scene.look, scene.site, scene.truth)
    assert not row.refused
    assert abs(row.found - 34) <= 4
    assert row.low <= 34 <= row.high
    assert row.pairs >= 29, "and each where it stands"


def test_another_renderers_empty_yard_is_empty():
    scene = relief_scene(64, 0.5, 0, length_m=300.0)
    row = judge(scene.look, scene.site, scene.truth)
    assert row.found <= 1 and row.low == 0
