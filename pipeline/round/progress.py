"""How a round tells somebody what it is doing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the steps of a round; a terminal, a log or nobody."""

    def start(self, step: str, total: int) -> None:
        """Begin a step of `total` parts."""

    def advance(self) -> None:
        """Finish one part of the current step."""

    def message(self, text: str) -> None:
        """Say one sentence."""

    def done(self) -> None:
        """End the current step."""


class Silent:
    """A Progress that nobody hears."""

    def start(self, step: str, total: int) -> None:
        """Do nothing."""

    def advance(self) -> None:
        """Do nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""

    def done(self) -> None:
        """Do nothing."""
