"""Aligned tables and small charts for a terminal; colour only there."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.model import Observation

if TYPE_CHECKING:
    from rich.table import Table

BLOCKS = "▁▂▃▄▅▆▇█"
WEEKS = 52
COLOURS = {"high": "bold red", "alert": "yellow", "watch": "cyan", "failed": "red", "rejected": "dim"}


def show(columns: Sequence[str], rows: Sequence[Sequence[str]], out: Path | None = None) -> None:
    """Print an aligned table; text of any origin is shown as text."""
    import sys

    from rich.console import Console

    if out is None and sys.stdout.isatty():
        table, width = _table(columns, rows)
        terminal = Console(highlight=False)
        terminal.width = max(width, terminal.width)
        terminal.print(table)
        return
    text = aligned(columns, rows)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table as plain text, a line for each row."""
    from io import StringIO

    from rich.console import Console

    table, width = _table(columns, rows)
    sheet = StringIO()
    Console(file=sheet, width=width, color_system=None, force_terminal=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in sheet.getvalue().splitlines()) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Table, int]:
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    # As wide as it needs: a cut id or number is worse than a line that the terminal wraps.
    cells = [[visible(cell) for cell in row] for row in rows]
    width = sum(max(map(cell_len, column)) + 2 for column in zip(columns, *cells, strict=True))
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for position, name in enumerate(columns):
        numeric = all(_is_number(row[position]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True, overflow="ellipsis")
    for row in cells:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    return table, width


def visible(text: str) -> str:
    """Return text without characters that steer a terminal or turn the direction of writing."""
    return "".join(" " if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") else sign for sign in text)


def weekly_peaks(observations: Sequence[Observation], until: datetime) -> list[float | None]:
    """Return the largest count of each of the last 52 weeks, None for a week without a count."""
    first = until - timedelta(weeks=WEEKS)
    peaks: list[float | None] = [None] * WEEKS
    for row in observations:
        if row.count is None or not first < row.observed_at <= until:
            continue
        week = min(int((row.observed_at - first) / timedelta(weeks=1)), WEEKS - 1)
        peaks[week] = max(row.count.railcars, peaks[week] or 0.0)
    return peaks


def largest(observations: Sequence[Observation], until: datetime) -> float:
    """Return the largest count of the last 52 weeks, 0 without any."""
    return max((peak for peak in weekly_peaks(observations, until) if peak is not None), default=0.0)


def sparkline(observations: Sequence[Observation], until: datetime) -> str:
    """Return the largest count of each of the last 52 weeks as a block, a dot where nothing was seen."""
    peaks, top = weekly_peaks(observations, until), largest(observations, until)
    if top <= 0:
        return "".join("·" if peak is None else BLOCKS[0] for peak in peaks)
    return "".join(
        "·" if peak is None else BLOCKS[min(int(peak / top * len(BLOCKS)), len(BLOCKS) - 1)] for peak in peaks
    )


def _is_number(text: str) -> bool:
    if text == "-":
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
