"""Words: what stands, what was taken back, and that none is lost or doubled."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from desk_world import a_world
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Verdict
from pipeline.report.desk.evidence import first_pair, frame_of, offered, part_of
from pipeline.report.desk.queue import queue
from pipeline.report.desk.render import short, shown
from pipeline.report.desk.words import Decision, clean, history, speak, standing

NOW = datetime(2023, 10, 10, tzinfo=UTC)


def said(*decisions: str) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(str(i), "s", "surge", "x", decision, f"p{i}", "", NOW + timedelta(seconds=i))  # type: ignore[arg-type]
        for i, decision in enumerate(decisions)
    )


def test_the_newest_decision_stands_and_a_note_decides_nothing() -> None:
    words = said("confirm", "reject", "note")
    now = standing(words)
    assert now is not None
    assert now.verdict_id == "1"


def test_taking_back_lets_the_one_before_stand_again() -> None:
    words = said("confirm", "reject", "undo")
    now = standing(words)
    assert now is not None
    assert now.verdict_id == "0"
    assert [w.taken_back_by for w in history(words)] == ["", "p2", ""]
    assert standing(said("confirm", "undo")) is None
    assert standing(said("undo", "undo")) is None


def test_taking_back_twice_goes_two_back() -> None:
    words = said("confirm", "reject", "confirm", "undo", "undo")
    now = standing(words)
    assert now is not None
    assert now.verdict_id == "0"


@given(st.lists(st.sampled_from(["confirm", "reject", "correct", "note", "undo"]), max_size=12))
def test_history_keeps_every_word_and_at_most_one_stands(decisions: list[str]) -> None:
    words = said(*decisions)
    folded = history(words)
    assert [w.verdict for w in folded] == list(words)
    assert sum(w.standing for w in folded) <= 1
    assert all(not (w.standing and w.taken_back_by) for w in folded)


def a_word(
    earlier: tuple[Verdict, ...] = (), note: str = "n", form: str = "f", decision: Decision = "confirm"
) -> Verdict:
    return speak(
        earlier,
        site="s",
        subject="surge",
        subject_id="x",
        decision=decision,
        by="Kim",
        note=note,
        now=NOW,
        form_id=form,
    )


def test_the_same_content_on_one_form_is_one_word() -> None:
    assert a_word().verdict_id == a_word().verdict_id
    assert len({a_word(form="g").verdict_id, a_word(note="m").verdict_id, a_word().verdict_id}) == 3


def test_a_clock_that_runs_backwards_keeps_the_order() -> None:
    late = Verdict("1", "s", "surge", "x", "confirm", "a", "", NOW + timedelta(hours=1))
    assert a_word((late,)).at > late.at


def test_typed_text_keeps_every_word() -> None:
    assert clean("a\r\nb\rc\t<b>\u202e") == "a\nb\nc\t<b>\u202e"
    assert clean("a\x00b\x1b[31m") == "a\ufffdb\ufffd[31m"


def test_text_that_turns_or_hides_is_written_out() -> None:
    assert shown("a\u202eb\u200f\x07") == "a[U+202E]b[U+200F][U+0007]"
    assert len(short("x" * 10_000)) == 60
    assert short("x") == "x"


def test_open_surges_wait_first() -> None:
    world = a_world()
    rows = queue(world.surges(), ())
    assert [row.open for row in rows] == [True, False]


def test_the_first_pair_is_the_last_quiet_look_and_the_peak() -> None:
    world = a_world()
    surge = world.surges()[1]
    looks = offered(surge, world.observations())
    a, b = first_pair(surge, looks)
    assert a is not None
    assert b is not None
    assert (part_of(surge, a), part_of(surge, b)) == ("before", "peak")
    assert a.observed_at == surge.onset_earliest
    assert all(x.observed_at < y.observed_at for x, y in itertools.pairwise(looks))


def test_pixels_and_tracks_share_one_frame() -> None:
    world = a_world()
    frame = frame_of(world.site)
    grid = world.looks[world.observations()[7].scene_id].grid
    a, b, c, d, e, f = (float(v) for v in frame.matrix(grid)[7:-1].split())
    x, y = grid.to_xy(37.0, 11.0)
    assert abs(a * 37 + c * 11 + e - (x - frame.x0)) < 0.02
    assert abs(b * 37 + d * 11 + f - (frame.y0 - y)) < 0.02
