"""Small parts of the flows: chunks, artifacts, progress, sparkline, the demo's comparison."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.flow_world import SITE, write_world
from support.store_samples import DAY, observation, surge

from flows.artifact import round_markdown
from flows.progress import PlainProgress, current, heard_by
from flows.tables import WEEKS, sparkline, visible
from pipeline.config import AlarmSettings
from pipeline.model import Ledger, LedgerEntry
from pipeline.round.progress import Silent


def test_chunks_cover_a_window_without_gap_or_overlap() -> None:
    from flows.backfill import chunks

    since = datetime(2018, 1, 1, tzinfo=UTC)
    until = datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    pieces = chunks(since, until)
    assert (pieces[0][0], pieces[-1][1]) == (since, until)
    for (_, end), (start, _) in pairwise(pieces):
        assert start - end == timedelta(microseconds=1)
    assert chunks(since, since) == [(since, since)]


def test_an_artifact_shows_strange_text_as_text() -> None:
    nasty = "a|b\n<script>alert(1)</script> [x](http://evil) `c`"
    ledger = Ledger((LedgerEntry("acquire", nasty, "failed", nasty), LedgerEntry("count", "s", "processed")))
    text = round_markdown("yard", ledger, Path("/home/x y/r.html"), (nasty,))
    assert "<script>" not in text
    assert "](http://evil" not in text
    assert "[Report](file:///home/x%20y/r.html)" in text
    assert text.index("| failed |") < text.index("| processed | count | s")
    many = Ledger(tuple(LedgerEntry("count", f"s{n}", "processed") for n in range(300)))
    assert "100 more" in round_markdown("yard", many, None)


def test_progress_is_heard_by_whoever_listens() -> None:
    assert isinstance(current(), Silent)
    out = io.StringIO()
    with heard_by(PlainProgress(out)):
        current().start("acquire", 2)
        current().advance()
        current().message("hello")
        current().advance()
        current().done()
    assert isinstance(current(), Silent)
    assert out.getvalue().splitlines()[0] == "hello"
    assert out.getvalue().splitlines()[1].startswith("Fetching images: 2 of 2")


def test_plain_progress_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 20.0, 25.0, 60.0])
    monkeypatch.setattr("flows.progress.time.monotonic", lambda: next(clock))
    out = io.StringIO()
    progress = PlainProgress(out)
    progress.start("count", 10)
    progress.advance()
    progress.advance()
    assert out.getvalue() == "Counting: 1 of 10, about 3 min left\n"


def test_the_sparkline_shows_unseen_weeks_as_unseen() -> None:
    rows = [observation(7 * week) for week in (0, 1, 3)]
    line = sparkline(rows, rows[-1].observed_at)
    assert len(line) == WEEKS
    assert line.count("·") == WEEKS - 3
    assert "█" in line
    assert sparkline([], DAY) == "·" * WEEKS


def test_text_cannot_steer_a_terminal() -> None:
    assert visible("a\x1b[2Jb\u202ec\nd") == "a [2Jb c d"


def test_the_demo_says_what_it_found_beside_the_truth(tmp_path: Path) -> None:
    from flows.demo import compare

    days = [(DAY + timedelta(days=day), cars) for day, cars in ((-20, 4), (-5, 12), (0, 35), (5, 70), (30, 3))]
    lines = [f"s{number},{at.isoformat()},{cars}" for number, (at, cars) in enumerate(days)]
    truth = tmp_path / "truth.csv"
    truth.write_text("\n".join(["scene_id,observed_at,railcars", *lines]))
    found = compare(truth, SimpleNamespace(judgement=SimpleNamespace(surges=(surge(),))), AlarmSettings())  # type: ignore[arg-type]
    assert found[1] == (
        "Found: a surge of tier high, onset between 2023-10-06 and 2023-10-11, peak of 73 railcars on 2023-10-15, "
        "where 8 were expected."
    )
    assert found[2].startswith("Truth: more than 20 railcars from between 2023-10-01 and 2023-10-06, peak of 70 on")
    assert found[3].startswith("Other surges, which are false alarms: none (a quiet yard may give 2 watch")
    early = surge(onset_earliest=DAY - timedelta(days=300), peak_at=DAY - timedelta(days=290))
    missed = compare(truth, SimpleNamespace(judgement=SimpleNamespace(surges=(early,))), AlarmSettings())  # type: ignore[arg-type]
    assert missed[1] == "Found: no surge at the time of the simulated one."
    assert missed[3].startswith("Other surges, which are false alarms: 1 high (")


def test_a_folder_that_a_site_lists_is_watched(tmp_path: Path) -> None:
    from flows.deployments import WATCH_S, watched_folders

    config = write_world(tmp_path, looks=1)
    assert watched_folders(config, tmp_path, [SITE]) == []
    place = config / "sites" / SITE / "site.yaml"
    place.write_text(place.read_text().replace("sources:\n", "sources:\n- drop\n"))
    (config / "sources" / "drop.yaml").write_text("name: drop\ntitle: A folder\nkind: folder\npath: ../images\n")
    (made,) = watched_folders(config, tmp_path, [SITE])
    assert made.name == f"{SITE}-drop"
    assert made.parameters["source"] == "drop"
    assert made.schedules is not None
    assert made.schedules[0].schedule.interval.total_seconds() == WATCH_S
