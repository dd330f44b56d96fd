"""The command `backtest`: our series and alarms against the published record of a site."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.door import SiteArgument, door, site_name

if TYPE_CHECKING:
    from pipeline.traffic.backtest import Backtest, CountCheck
    from pipeline.traffic.published import PublishedReading

OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write here instead of standard output.")
]


class BacktestFormat(StrEnum):
    """How a back-test is written."""

    TABLE = "table"
    JSON = "json"


def backtest(
    context: typer.Context,
    site: SiteArgument = None,
    form: Annotated[BacktestFormat, typer.Option("--format", help="Form of the comparison.")] = BacktestFormat.TABLE,
    out: OutOption = None,
) -> None:
    """Hold the stored series and surges against the site's published counts.

    A published count is compared with looks of its own day only: trains stay two to four days. Agreement is an
    overlap of the two 90 % intervals; the lag of an alarm counts from the published day, negative if ours is first.

    Example:
      railwatch backtest tumangang
      railwatch backtest tumangang --format json --out backtest.json
    """
    from pipeline.round.backtest import as_record, backtest_site

    with door(context).workspace() as ws:
        found = backtest_site(ws, site_name(ws, site))
    if form is BacktestFormat.JSON:
        import json

        text = json.dumps(as_record(found), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    else:
        text = _text(found)
    if out is None:
        typer.echo(text, nl=False)
        return
    from pipeline.errors import ReportError

    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror}); choose another --out.") from error


def _text(found: Backtest) -> str:
    from flows.tables import aligned, visible

    parts = [f"{line}\n" for line in found.summary()]
    if found.counts:
        columns = ("published", "says", "confidence", "ours", "agrees", "nearest other look")
        parts += ["\nCounts\n", aligned(columns, [_count_cells(check) for check in found.counts])]
    if found.alarms:
        heads = ("rise", "published", "level before", "our first alarm", "tier", "lag, days", "first look since")
        rows = [
            (
                f"{check.published.row.start}",
                _said(check.published),
                f"{check.level:.0f}",
                f"{check.first_alarm_at:%Y-%m-%d}" if check.first_alarm_at else "none",
                check.tier or "-",
                f"{check.lag_days:+.0f}" if check.lag_days is not None else "-",
                f"{check.first_look_at:%Y-%m-%d}" if check.first_look_at else "none",
            )
            for check in found.alarms
        ]
        parts += ["\nAlarms\n", aligned(heads, rows)]
    for surge in found.unexplained:
        parts.append(f"  passes the stated level: {surge.surge_id[:8]} {surge.tier.value}, peak "
                     f"{surge.peak_railcars:.0f} on {surge.peak_at:%Y-%m-%d}\n")  # fmt: skip
    if found.silent:
        parts.append(f"\nNot compared: {len(found.silent)} rows that state no number of railcars in the yard\n")
        parts += [f"  {_days(reading)}  {visible(reading.why)}\n" for reading in found.silent]
    return "".join(parts)


def _count_cells(check: CountCheck) -> tuple[str, ...]:
    if check.looks == 1:
        ours = f"{check.ours:.0f} ({check.ours_low:.0f}-{check.ours_high:.0f})"
    elif check.looks:
        ours = f"{check.looks} looks, worst {check.ours:.0f} ({check.ours_low:.0f}-{check.ours_high:.0f})"
    else:
        ours = "no look"
    if check.agrees is None:
        agrees = "-"
    elif check.looks == 1:
        agrees = "yes" if check.agrees else "NO"
        agrees += ", leans on it" if check.leaned_on else ""
    else:
        agrees = f"{check.agreeing} of {check.looks}"
    nearest = "-" if check.nearest_days is None else f"{check.nearest_days:+.0f} d"
    return (
        _days(check.published),
        _said(check.published),
        check.published.row.confidence,
        ours,
        agrees,
        nearest,
    )


def _days(reading: PublishedReading) -> str:
    row = reading.row
    return f"{row.start}" if reading.one_day else f"{row.start} to {row.end}"


def _said(reading: PublishedReading) -> str:
    if reading.says == "total":
        return f"{reading.railcars:.0f} ({reading.low:.0f}-{reading.high:.0f})"
    return f"{reading.says} {reading.railcars:.0f}, sd {reading.sd:.0f}"
