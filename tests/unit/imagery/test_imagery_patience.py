"""A source that stops answering is left out for the rest of a round, where another has the pass."""

from __future__ import annotations

from pipeline.round.patience import LIMIT, Patience


def test_failures_in_a_row_lose_a_source_and_a_delivery_wins_it_back() -> None:
    patience = Patience()
    for _ in range(LIMIT - 1):
        patience.failed("first")
    assert patience.lost == frozenset()
    patience.delivered("first")
    for _ in range(LIMIT):
        assert "first" not in patience.lost
        patience.failed("first")
    patience.failed("second")
    assert patience.lost == {"first"}
    patience.delivered("first")
    assert patience.lost == frozenset()
