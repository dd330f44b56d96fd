"""What every command is handed: where the configuration and the home folder are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.round.workspace import Workspace

SiteArgument = Annotated[
    str | None,
    typer.Argument(metavar="SITE", help="Name of the site; left out: `default_site` of settings.yaml (tumangang)."),
]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="DATE", help="First day, YYYY-MM-DD, UTC.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Last day, YYYY-MM-DD, UTC.")]
DirectOption = Annotated[bool, typer.Option("--direct", help="Walk the round without Prefect.")]


@dataclass(frozen=True)
class Door:
    """The global options."""

    config: Path
    home: Path
    debug: bool

    def workspace(self) -> Workspace:
        """Open configuration, store and archive."""
        from pipeline.round.workspace import Workspace

        return Workspace.open(self.config, self.home)


def door(context: typer.Context) -> Door:
    """Return the global options of this call."""
    found = context.find_object(Door)
    if found is None:
        raise typer.BadParameter("the global options were not read")
    return found


def site_name(ws: Workspace, given: str | None) -> str:
    """Return the site that is meant, after a look at its configuration.

    Raises
    ------
    ConfigError
        When there is no such site.
    """
    return ws.site_config(given or ws.settings.default_site).name


def window(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the bounds of two days, both included, as UTC times.

    Raises
    ------
    typer.BadParameter
        When a day is not YYYY-MM-DD, or the last lies before the first.
    """
    start = _day("--since", since, time.min)
    end = _day("--until", until, time.max)
    if start is not None and end is not None and end < start:
        raise typer.BadParameter(f"--until {until} lies before --since {since}; exchange them.")
    return start, end


def now() -> datetime:
    """Return the date of a round that a person starts; a scheduled one has its own."""
    return datetime.now(UTC)


def _day(option: str, text: str | None, at: time) -> datetime | None:
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  # a bare day; its zone is given below
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text} is not a day; write it like 2023-10-05.") from error
    return datetime.combine(day, at, tzinfo=UTC)
