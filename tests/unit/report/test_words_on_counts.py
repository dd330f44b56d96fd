"""A number that an analyst gave a look is a known date, whatever becomes of the row that it was given on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.report_world import a_site
from support.store_samples import DAY, observation, verdict

from pipeline.model import KnownCount, Verdict
from pipeline.round.history import known_counts
from pipeline.round.words import scenes_of, words_on_record
from pipeline.store import Store

ROW = observation(1)
SITE = replace(a_site(), published=())


def word(number: int, decision: str, railcars: float | None = None, subject_id: str = ROW.observation_id) -> Verdict:
    return verdict(
        number, subject="count", subject_id=subject_id, decision=decision, railcars=railcars, site=ROW.site,
        at=DAY + timedelta(hours=number),
    )  # fmt: skip


def spoken(*words: Verdict) -> list[KnownCount]:
    return [k for k in known_counts(SITE, [ROW], words) if k.origin == "verdict"]


def test_a_corrected_count_is_a_known_date() -> None:
    (known,) = spoken(word(1, "correct", 41.0))
    assert (known.observed_at, known.railcars, known.sd) == (ROW.observed_at, 41.0, 0.5)


@pytest.mark.parametrize(
    ("words", "railcars"),
    [
        ((word(1, "correct", 41.0), word(2, "note")), [41.0]),
        ((word(1, "correct", 41.0), word(2, "undo")), []),
        ((word(1, "correct", 41.0), word(2, "correct", 44.0)), [44.0]),
        ((word(1, "correct", 41.0), word(2, "correct", 44.0), word(3, "undo")), [41.0]),
        ((word(1, "note"),), []),
    ],
)
def test_the_number_that_stands_is_known(words: tuple[Verdict, ...], railcars: list[float]) -> None:
    assert [k.railcars for k in spoken(*words)] == railcars


def test_the_word_is_carried_to_the_row_of_a_later_method(tmp_path: Path) -> None:
    later = replace(ROW, observation_id="00000000-0000-5000-8000-00000000beef", method_version="99")
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.upsert_observations([ROW])
        store.add_verdict(word(1, "correct", 41.0))
        store.upsert_observations([later])
        said = store.verdicts(ROW.site)
        scenes = scenes_of(store, ROW.site, said)
        (known,) = [k for k in known_counts(SITE, [later], said, scenes) if k.origin == "verdict"]
        assert known.railcars == 41.0
        (carried,) = words_on_record(store, ROW.site)
        assert carried == replace(said[0], subject_id=later.observation_id)
