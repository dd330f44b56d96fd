"""A frozen run: the same scene gives the same cars as when the counter was trained, or says which were lost.

After a new training, look at the changes that this test prints, then freeze the run again with
`python tests/unit/counting_resolved/test_resolved_reference.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from shapely.geometry import mapping, shape

sys.path.insert(0, str(Path(__file__).parent))
from resolved_world import counted, yard_scene

from pipeline.counting.resolved.score import changes

FROZEN = Path(__file__).parents[2] / "data" / "resolved" / "reference.geojson"
CARS, SEED = 40, 21


def current() -> dict[str, object]:
    """Count the reference scene and return its cars as GeoJSON in the site's metres."""
    count = counted(yard_scene(CARS, seed=SEED, tracks=6))
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": mapping(car.polygon),
                "properties": {"track": car.track_id, "kind": str(car.kind.value), "position_m": car.position_m},
            }
            for car in count.railcar_list
        ],
    }


def test_no_car_of_the_frozen_run_is_lost_new_or_moved():
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))["features"]
    now = json.loads(json.dumps(current()))["features"]
    what = changes([shape(f["geometry"]) for f in frozen], [shape(f["geometry"]) for f in now])
    assert not (what.lost or what.appeared or what.moved), str(what)
    kinds = [[f["properties"]["kind"] for f in features] for features in (frozen, now)]
    assert kinds[0] == kinds[1]


if __name__ == "__main__":
    FROZEN.parent.mkdir(parents=True, exist_ok=True)
    FROZEN.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
