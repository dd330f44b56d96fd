"""Cars are counted in pictures that no simulator of ours drew: shapes under a sun, `relief_yard`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from shapely.geometry import LineString
from support.fine_yards import judge
from support.relief_yard import relief_scene

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting import count_look
from pipeline.model import Refusal, Track


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


def test_lines_that_follow_no_rails_are_refused():
    scene = relief_scene(65, 0.5, 34, length_m=300.0)
    aside = replace(scene.site, tracks=tuple(turned(track) for track in scene.site.tracks[:3]))
    refusal = count_look(scene.look, (), aside, (), CountingSettings(), QualitySettings())
    assert isinstance(refusal, Refusal)
    assert refusal.flags == ("OUT_OF_DISTRIBUTION",)
    assert "no rails along the lines of relief" in refusal.detail


def turned(track: Track) -> Track:
    """Return a line across the grass at a slant, away from the yard."""
    x0, y0 = track.line.coords[0][0], track.line.coords[0][1]
    return replace(track, line=LineString([(x0 + 60, y0 - 20), (x0 + 260, y0 - 8)]))
