"""The record of messages: written before and after each, so that a kill in between is stated and not guessed.

A message is claimed before it is sent and recorded after. When a process dies in between, the record says
``sending``: the message may have been sent. It is then reported as such and never sent again in silence.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal, Protocol

Claim = Literal["send", "sent", "uncertain"]
State = Literal["sending", "sent", "failed"]


class NotificationLedger(Protocol):
    """What a store keeps about messages; each call is one transaction."""

    def claim(self, key: str) -> Claim:
        """Ask for the right to send the message called `key`.

        Returns
        -------
        Claim
            ``send``: nobody sent it (new, or a try that surely failed), it is now recorded as ``sending`` and
            the caller must send it; ``sent``: it was sent; ``uncertain``: a process claimed it and never said
            what became of it.
        """
        ...

    def sent(self, key: str) -> None:
        """Record that the message went out."""
        ...

    def failed(self, key: str, why: str) -> None:
        """Record that the message did not go out, and why; it may be claimed again."""
        ...


@dataclass
class MemoryLedger:
    """A ledger that lasts as long as the process: for dry runs, and for tests."""

    states: dict[str, State] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def claim(self, key: str) -> Claim:
        """Claim `key` unless it is sent or being sent."""
        with self._lock:
            state = self.states.get(key)
            if state == "sent":
                return "sent"
            if state == "sending":
                return "uncertain"
            self.states[key] = "sending"
            return "send"

    def sent(self, key: str) -> None:
        """Record success."""
        with self._lock:
            self.states[key] = "sent"

    def failed(self, key: str, why: str) -> None:
        """Record failure."""
        with self._lock:
            self.states[key], self.reasons[key] = "failed", why
