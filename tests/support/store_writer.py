"""Writes rows into a store from a process of its own: `python -m support.store_writer URL FIRST STEP TOTAL`."""

from __future__ import annotations

import sys

from pipeline.store import Store
from support.store_samples import observation


def main(url: str, first: int, step: int, total: int) -> None:
    with Store.open(url) as store:
        for number in range(first, total, step):
            # Both processes write every tenth row: the second writer must find the first one's, not a second row.
            store.upsert_observations([observation(number, count=None)])
            if number % 10 == first:
                store.upsert_observations([observation(number - first, count=None)])


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
