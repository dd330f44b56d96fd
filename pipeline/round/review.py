"""The store and the archive as the review desk sees them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model import Look, Observation, Site, Surge, Verdict
from pipeline.round.looks import look_finder
from pipeline.round.words import words_on_record
from pipeline.round.workspace import Workspace


class StoreDesk:
    """One site's data behind the review desk."""

    def __init__(self, ws: Workspace, site_name: str) -> None:
        self._ws = ws
        self._site = ws.site(site_name)
        self._find = look_finder(ws, site_name)

    @property
    def site(self) -> Site:
        """The watched place."""
        return self._site

    def surges(self) -> Sequence[Surge]:
        """Return every episode of the site."""
        return self._ws.store.surges(self._site.name)

    def observations(self) -> Sequence[Observation]:
        """Return the current row of every look in date order."""
        return self._ws.store.observations(self._site.name)

    def verdicts(self) -> Sequence[Verdict]:
        """Return every word ever given on this site, oldest first."""
        return words_on_record(self._ws.store, self._site.name)

    def add_verdict(self, verdict: Verdict) -> None:
        """Append one word; one that is already there is left as it is."""
        self._ws.store.add_verdict(verdict)

    def look_for(self, scene_id: str) -> Look | None:
        """Return the look of an archived chip."""
        return self._find(scene_id)
