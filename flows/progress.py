"""What a round says while it works: bars on a terminal, plain lines elsewhere, and nobody's ear in between."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

from pipeline.round.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

STEP_SAYS = {
    "discover": "Searching sources",
    "acquire": "Fetching images",
    "count": "Counting",
    "judge": "Judging",
    "report": "Writing the report",
    "simulate": "Simulating",
}
QUIET_S = 10.0  # plain lines come no more often than this

_heard: ContextVar[Progress | None] = ContextVar("railwatch_progress", default=None)


def current() -> Progress:
    """Return who listens to this round."""
    return _heard.get() or Silent()


@contextmanager
def heard_by(progress: Progress) -> Iterator[Progress]:
    """Let `progress` hear the rounds that run inside."""
    token = _heard.set(progress)
    try:
        yield progress
    finally:
        _heard.reset(token)


@contextmanager
def told(stream: TextIO | None = None) -> Iterator[Progress]:
    """Give the progress that suits where it is shown, standard error by default."""
    out = stream or sys.stderr
    if not out.isatty():
        with heard_by(PlainProgress(out)) as plain:
            yield plain
        return
    with _bars() as bars, heard_by(bars):
        yield bars


class PlainProgress:
    """One line at the start and end of each step, and now and then in between."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._step, self._total, self._done = "", 0, 0
        self._said = self._started = 0.0

    def start(self, step: str, total: int) -> None:
        """Begin a step of `total` parts."""
        self._step, self._total, self._done = step, total, 0
        self._said = self._started = time.monotonic()

    def advance(self) -> None:
        """Finish one part, and say how far it is when that was not said for a while."""
        self._done += 1
        at = time.monotonic()
        if at - self._said >= QUIET_S and self._done < self._total:
            left = (at - self._started) / self._done * (self._total - self._done)
            self._said = at
            self.message(f"{self._name()}: {self._done} of {self._total}, about {_span(left)} left")

    def message(self, text: str) -> None:
        """Say one sentence."""
        print(text, file=self._out, flush=True)

    def done(self) -> None:
        """End the step."""
        if self._total:
            self.message(f"{self._name()}: {self._done} of {self._total}, {_span(time.monotonic() - self._started)}")

    def _name(self) -> str:
        return STEP_SAYS.get(self._step, self._step)


@contextmanager
def _bars() -> Iterator[Progress]:
    """Give a progress that draws bars with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=console) as bars:
        yield _RichProgress(bars, console)


class _RichProgress:
    """Steps as bars below each other."""

    def __init__(self, bars: Bars, console: Console) -> None:
        self._bars, self._console = bars, console
        self._task: TaskID | None = None

    def start(self, step: str, total: int) -> None:
        """Begin a step of `total` parts."""
        self._task = self._bars.add_task(STEP_SAYS.get(step, step), total=total)

    def advance(self) -> None:
        """Finish one part of the current step."""
        if self._task is not None:
            self._bars.advance(self._task)

    def message(self, text: str) -> None:
        """Say one sentence above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def done(self) -> None:
        """End the current step."""


def _span(seconds: float) -> str:
    """Return a span of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
