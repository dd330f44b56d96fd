"""What the desk needs to know and the one thing it may write, so that any store can stand behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.model import Look, Observation, Site, Surge, Verdict


class DeskData(Protocol):
    """The desk's view of one site; every call may come from another thread."""

    @property
    def site(self) -> Site:
        """The watched place, with its tracks in its own CRS (metres)."""
        ...

    def surges(self) -> Sequence[Surge]:
        """Return every episode of the site, in any order."""
        ...

    def observations(self) -> Sequence[Observation]:
        """Return the current row of every look in date order, rejected and failed ones included."""
        ...

    def verdicts(self) -> Sequence[Verdict]:
        """Return every word ever given on this site, oldest first."""
        ...

    def add_verdict(self, verdict: Verdict) -> None:
        """Append one word; a word whose `verdict_id` is already there is left as it is.

        Raises
        ------
        StoreError
            When the word could not be written; the desk then says so and keeps the analyst's text.
        """
        ...

    def look_for(self, scene_id: str) -> Look | None:
        """Return the look of an archived chip, None when the archive has none."""
        ...
