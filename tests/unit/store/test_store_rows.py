"""What goes into the store comes out of it, once, and stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.store_samples import DAY, alarm, count, observation, surge, verdict

from pipeline.errors import StoreError
from pipeline.model import Ledger, LedgerEntry, Outcome
from pipeline.store import InjectionResult, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 's.sqlite'}") as opened:
        yield opened


def test_a_row_comes_back_exactly(store: Store) -> None:
    rows = [observation(n) for n in range(5)]
    rows.append(observation(5, count=None, outcome=Outcome.FAILED, clear_fraction=None, sun_elevation_deg=None))
    store.upsert_observations(reversed(rows))
    assert store.observations("yard") == tuple(rows)


def test_an_odd_likelihood_comes_back_exactly(store: Store) -> None:
    odd = replace(count(), likelihood=(1e-300, 5e-324, 0.1 + 0.2, 1.0))
    store.upsert_observations([observation(1, count=odd)])
    found = store.observations("yard")[0].count
    assert found is not None
    assert found.likelihood == odd.likelihood


def test_writing_twice_changes_nothing(store: Store) -> None:
    store.upsert_observations([observation(1), observation(2)])
    once = store.dump()
    store.upsert_observations([observation(2), observation(1)])
    assert store.dump() == once
    assert once.count("\n") == 2


def test_a_replaced_row_stays_and_says_by_which(store: Store) -> None:
    store.upsert_observations([observation(1)])
    newer = observation(1, observation_id="newer", processing="05.10")
    store.upsert_observations([newer])
    assert store.observations("yard") == (newer,)
    old, _ = sorted(store.observations("yard", current_only=False), key=lambda row: row.observation_id != "id-1")
    assert old == observation(1, superseded_by="newer")
    store.upsert_observations([observation(1)])  # back to the former method
    assert store.observations("yard") == (observation(1),)


def test_sites_of_equal_geometry_keep_their_own_rows(store: Store) -> None:
    store.upsert_observations([observation(1), observation(1, site="twin")])
    assert len(store.observations("yard")) == len(store.observations("twin")) == 1


def test_window_includes_its_ends(store: Store) -> None:
    store.upsert_observations([observation(n) for n in range(5)])
    found = store.observations("yard", since=DAY + timedelta(days=1), until=DAY + timedelta(days=3))
    assert [row.observation_id for row in found] == ["id-1", "id-2", "id-3"]


def test_times_come_back_as_utc_and_naive_ones_are_refused(store: Store) -> None:
    tokyo = DAY.astimezone(timezone(timedelta(hours=9)))
    store.upsert_observations([observation(0, observed_at=tokyo)])
    found = store.observations("yard")[0].observed_at
    assert found == DAY
    assert found.tzinfo is UTC
    with pytest.raises(StoreError, match="no time zone"):
        store.upsert_observations([observation(1, observed_at=DAY.replace(tzinfo=None))])
    assert len(store.observations("yard")) == 1


def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(StoreError):
        store.upsert_observations([observation(1), observation(2, observed_at=DAY.replace(tzinfo=None))])
    assert store.observations("yard") == ()


@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 10_000, "<script>alert(1)</script>", "\u202e\u2066"])
def test_text_of_any_origin_is_kept(store: Store, text: str) -> None:
    store.upsert_observations([observation(1, detail=text)])
    assert len(store.observations("yard")[0].detail) == len(text)


def test_alarms_and_words_are_only_ever_added(store: Store, tmp_path: Path) -> None:
    store.save_judgement("yard", [surge()], [alarm(1)], {"a": 1})
    store.save_judgement("yard", [surge("other")], [alarm(1, rate=0.5), alarm(2)], b"\x00\x01")
    assert store.alarms("yard") == (alarm(1), alarm(2))
    assert [found.surge_id for found in store.surges("yard")] == ["other"]
    assert store.judgement_state("yard") == b"\x00\x01"
    store.add_verdict(verdict(2))
    store.add_verdict(verdict(1))
    store.add_verdict(verdict(1, note="changed"))
    assert store.verdicts("yard") == (verdict(1), verdict(2))
    raw = sqlite3.connect(tmp_path / "s.sqlite")
    for statement in ("DELETE FROM alarms", "UPDATE verdicts SET note = ''", "DELETE FROM verdicts"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute(statement)
    raw.close()


def test_surges_come_back_and_are_found_by_the_start_of_their_id(store: Store) -> None:
    made = [surge("aa-1"), surge("ab-2", ended_at=DAY + timedelta(days=30), first_alarm_at=DAY)]
    store.save_judgement("yard", made, [], {})
    assert store.surges("yard") == (made[1], made[0])
    assert store.find_surge("aa") == made[0]
    for wrong in ("a", "", "zz", "%", "_"):
        with pytest.raises(StoreError):
            store.find_surge(wrong)


def test_rounds_are_a_diary_outside_the_dump(store: Store) -> None:
    assert store.last_round("yard") is None
    ledger = Ledger((LedgerEntry("acquire", "x", "failed", "why"),))
    first = store.start_round("yard", started_at=DAY)
    assert not store.has_finished_round("yard")
    store.finish_round(first, ledger=ledger, exit_code=3, finished_at=DAY + timedelta(minutes=1))
    assert store.has_finished_round("yard")
    found = store.last_round("yard")
    assert found is not None
    assert (found.ledger, found.exit_code, found.finished_at) == (ledger, 3, DAY + timedelta(minutes=1))
    store.start_round("yard", started_at=DAY)
    running = store.last_round("yard")
    assert running is not None
    assert running.exit_code is None
    assert store.dump() == ""
    with pytest.raises(StoreError, match="no round"):
        store.finish_round("never", ledger=ledger, exit_code=0, finished_at=DAY)


def test_freshness_keeps_the_newest_scene_ever_listed(store: Store) -> None:
    store.source_seen("demo", "yard", newest_scene_at=DAY, checked_at=DAY + timedelta(days=2))
    before = store.dump()
    store.source_seen("demo", "yard", newest_scene_at=None, checked_at=DAY + timedelta(days=3))
    store.source_seen("demo", "yard", newest_scene_at=DAY - timedelta(days=400), checked_at=DAY)
    (row,) = store.freshness("yard")
    assert (row.newest_scene_at, row.checked_at) == (DAY, DAY + timedelta(days=3))
    assert store.dump() == before


def test_a_message_is_claimed_once(store: Store) -> None:
    ledger = store.notifications
    assert ledger.claim("k") == "send"
    assert ledger.claim("k") == "uncertain"
    ledger.failed("k", "server away")
    assert ledger.claim("k") == "send"
    ledger.sent("k")
    assert ledger.claim("k") == "sent"
    assert ledger.states() == {"k": ("sent", "")}


def test_injections_replace_themselves(store: Store) -> None:
    trial = InjectionResult("yard", "id-1", "s", DAY, 20.0, 7, "occupancy", "2", "abc", True, 21.0, 12.0, 31.0)
    store.save_injections([trial, replace(trial, seed=8, detected=False, railcars=None)])
    store.save_injections([replace(trial, detected=False)])
    assert [found.detected for found in store.injections("yard")] == [False, False]


def test_a_dump_has_no_clock_and_does_not_depend_on_order(tmp_path: Path) -> None:
    texts = []
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        with Store.open(f"sqlite:///{tmp_path / name}") as one:
            for number in order:
                one.upsert_observations([observation(number)])
                one.add_verdict(verdict(number))
            one.start_round("yard", started_at=datetime.now(UTC))
            one.source_seen("demo", "yard", newest_scene_at=DAY, checked_at=datetime.now(UTC))
            texts.append(one.dump())
    assert texts[0] == texts[1]
    assert f"{datetime.now(UTC):%Y-%m-%d}" not in texts[0]
