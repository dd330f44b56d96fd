"""Writes rows into a store from a process of its own: `store_writer.py URL FIRST STEP TOTAL`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "unit" / "store")]

from store_samples import observation

from pipeline.store import Store


def main(url: str, first: int, step: int, total: int) -> None:
    with Store.open(url) as store:
        for number in range(first, total, step):
            # Both processes write every tenth row: the second writer must find the first one's, not a second row.
            store.upsert_observations([observation(number, count=None)])
            if number % 10 == first:
                store.upsert_observations([observation(number - first, count=None)])


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
