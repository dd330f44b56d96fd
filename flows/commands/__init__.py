"""The commands, a module for each group; nothing heavy is imported before a command runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from flows.commands import backtest, demo, desk, inject, read, serve, site, state, train, work

Command = tuple[str, Callable[..., None], str]  # name, function, its line in the list of commands

ALL: tuple[Command, ...] = (
    ("demo", demo.demo, "simulate, count and report, without a network"),
    ("run", work.run, "one round for a site"),
    ("backfill", work.backfill, "the same over years"),
    ("inject", inject.inject, "put railcars into archived images, and count them"),
    ("recount", work.recount, "count archived images again"),
    ("serve", serve.serve, "Prefect server and daily rounds"),
    ("status", state.status, "how a site stands"),
    ("series", read.series, "the time series"),
    ("surges", read.surges, "the episodes of traffic above baseline"),
    ("railcars", read.railcars, "the resolved cars of a look"),
    ("backtest", backtest.backtest, "our series and alarms against the published record"),
    ("report", work.report, "write the report"),
    ("review", desk.review, "the review desk in a browser"),
    ("verdict", desk.verdict, "an analyst's word on a surge"),
    ("evidence", desk.evidence, "the evidence pack of a surge"),
    ("notify", desk.notify, "word of new and changed surges, or a dry run of it"),
    ("simulate", demo.simulate, "write a simulated archive"),
    ("train", train.train, "rebuild the trained counter of fine images"),
    ("sources", state.sources, "where images come from"),
    ("doctor", state.doctor, "check this installation"),
)
SITE: tuple[Command, ...] = (
    ("import-tracks", site.import_tracks, "railway lines of OpenStreetMap as tracks"),
    ("check", site.check, "draw the tracks over the newest image"),
)


def help_of(function: Callable[..., None]) -> str:
    """Return a command's help; the line with a backspace keeps the lines of its example apart."""
    return inspect.cleandoc(function.__doc__ or "").replace("\nExample:", "\n\b\nExample:")
