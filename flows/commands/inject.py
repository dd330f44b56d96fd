"""The command that puts railcars of known number into a site's own looks."""

from __future__ import annotations

from enum import StrEnum
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.door import SinceOption, SiteArgument, UntilOption, door, site_name, window

if TYPE_CHECKING:
    from pipeline.counting.occupancy.injection import Rate, Recovery
    from pipeline.round.inject import InjectionReport


class InjectFormat(StrEnum):
    """How the findings are written."""

    TABLE = "table"
    JSON = "json"


class InjectSensor(StrEnum):
    """Sensors that are counted by occupancy."""

    SENTINEL2 = "sentinel-2"
    LANDSAT = "landsat"


def inject(
    context: typer.Context,
    site: SiteArgument = None,
    sensor: Annotated[InjectSensor, typer.Option("--sensor", help="Whose looks.")] = InjectSensor.SENTINEL2,
    since: SinceOption = None,
    until: UntilOption = None,
    per_class: Annotated[
        int, typer.Option("--looks", min=1, max=500, metavar="N", help="Looks of each sun class that receive cars.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Equal seeds give equal trials.")] = 1,
    form: Annotated[InjectFormat, typer.Option("--format", help="For people or for programs.")] = InjectFormat.TABLE,
) -> None:
    """Put railcars of known number into a site's archived looks and say what the counter finds of them.

    Needs no network. Says, for low, middle and high sun, the recovery slope, how often each number is found, the
    detection limit and the alarms of the looks as they are. Every trial is stored.

    Example:
      railwatch inject tumangang
      railwatch inject tumangang --looks 40 --since 2023-01-01 --format json
    """
    from flows.progress import told
    from pipeline.round.inject import inject_site

    start, end = window(since, until)
    with door(context).workspace() as ws, told() as progress:
        report = inject_site(
            ws,
            site_name(ws, site),
            sensor=sensor.value,
            since=start,
            until=end,
            per_class=per_class,
            seed=seed,
            progress=progress,
        )
    if form is InjectFormat.JSON:
        import json

        typer.echo(json.dumps(as_json(report), indent=2, allow_nan=False))
        return
    for line in as_lines(report):
        typer.echo(line)


def as_json(report: InjectionReport) -> dict[str, Any]:
    """Return a report for programs; what is not known is null."""
    return {
        "site": report.site,
        "sensor": report.sensor,
        "looks": report.looks,
        "seed": report.seed,
        "trials": len(report.trials),
        "by_sun": [_recovery(one) for one in report.recoveries],
    }


def as_lines(report: InjectionReport) -> list[str]:
    """Return a report for people."""
    lines = [
        f"{report.site}: {len(report.trials)} trials in {report.looks} looks of {report.sensor}, seed {report.seed}."
    ]
    for one in report.recoveries:
        lines.append(f"{one.sun} sun: {one.looks} looks" + (f", {one.refused} trials refused" if one.refused else ""))
        lines.append(f"  recovered over injected  {_number(one.slope, '.2f')} +- {_number(one.slope_sd, '.2f')}")
        lines.append(f"  90 % interval holds      {_rate(one.coverage)} of the trials")
        lines.append(f"  looks as they are above their threshold of 1 %: {_rate(one.alarms)}")
        found = "  ".join(f"{number}: {rate.hits}/{rate.trials}" for number, rate in one.power.items())
        lines.append(f"  found, by railcars put in: {found or '-'}")
        limit = _number(one.detection_limit, ".0f")
        lines.append(f"  detection limit {limit} railcars; the counts state {_number(one.stated_limit, '.0f')}")
    lines.append("Looks as they are may bear railcars of their own; only in an empty yard are those false alarms.")
    return lines


def _recovery(one: Recovery) -> dict[str, Any]:
    return {
        "sun": one.sun,
        "looks": one.looks,
        "refused": one.refused,
        "slope": _known(one.slope),
        "slope_sd": _known(one.slope_sd),
        "coverage": _share(one.coverage),
        "alarms": _share(one.alarms),
        "power": {str(number): _share(rate) for number, rate in one.power.items()},
        "detection_limit": _known(one.detection_limit),
        "stated_detection_limit": _known(one.stated_limit),
    }


def _share(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"hits": rate.hits, "trials": rate.trials, "low": round(low, 4), "high": round(high, 4)}


def _known(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)


def _number(value: float, form: str) -> str:
    return "-" if isnan(value) else format(value, form)


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.hits}/{rate.trials} (90 %: {low:.0%} to {high:.0%})"
