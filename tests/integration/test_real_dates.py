"""Real Sentinel-2 dates over a forest without rails, from a public catalogue to a report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from support.real_cube import SITE, load_cube
from support.real_round import real_catalogue

from pipeline.model import Outcome, Tier
from pipeline.round.progress import Silent
from pipeline.round.run import run_round
from pipeline.round.workspace import Workspace


def test_every_real_date_is_a_row_that_explains_itself(tmp_path: Path) -> None:
    cube = load_cube()
    days = np.sort(cube.days)
    since = datetime.fromisoformat(f"{days[0]}T00:00:00").replace(tzinfo=UTC)
    until = datetime.fromisoformat(f"{days[-1]}T23:59:59").replace(tzinfo=UTC)
    home = tmp_path / "home"
    with real_catalogue(cube, tmp_path / "served") as (config, files), Workspace.open(config, home) as ws:
        result = run_round(ws, SITE, today=until, since=since, until=until, progress=Silent())
        rows = ws.store.observations(SITE)
        content = ws.store.dump()
        files.requests.clear()
        again = run_round(ws, SITE, today=until, since=since, until=until, progress=Silent())
        assert ws.store.dump() == content
    assert not [path for path, _ in files.requests if path.endswith(".tif")], "the second round reads no pixel"
    assert not again.plan.new
    assert len(rows) == len(days)
    assert not [row for row in rows if row.outcome is Outcome.FAILED]
    for row in rows:
        if row.outcome is Outcome.REJECTED:
            assert row.detail
            assert row.flags
        else:
            assert row.count is not None
            assert row.count.low <= row.count.railcars <= row.count.high
    counted = [row for row in rows if row.count is not None]
    assert len(counted) >= 2, "most other clear dates lie after a felling, and say so"
    felled = [row for row in rows if "where the ground beside the tracks has changed as well" in row.detail]
    assert felled
    assert {row.flags for row in felled} == {("OFF_YARD_RESIDUAL",)}
    assert all("TRACKS_OVERGROWN" in row.flags for row in counted), "the invented tracks lie under trees"
    assert result.judgement is not None
    assert not [surge for surge in result.judgement.surges if surge.tier is Tier.HIGH]
    assert result.report_path is not None
    assert result.report_path.is_relative_to(home)
