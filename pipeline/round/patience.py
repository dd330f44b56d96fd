"""Which sources have stopped answering while a round goes on, so that not every scene waits for a dead server."""

from __future__ import annotations

import threading
from collections import Counter

LIMIT = 3  # scenes in a row that a source could not deliver for a passing reason


class Patience:
    """Counts each source's failures in a row; one that delivers again is trusted again."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()

    def failed(self, source: str) -> None:
        """Note that a source could not deliver a scene for a reason that may pass."""
        with self._lock:
            self._failures[source] += 1

    def delivered(self, source: str) -> None:
        """Note that a source delivered a scene."""
        with self._lock:
            self._failures.pop(source, None)

    @property
    def lost(self) -> frozenset[str]:
        """The sources that are asked only when no other has a scene."""
        with self._lock:
            return frozenset(name for name, count in self._failures.items() if count >= LIMIT)
