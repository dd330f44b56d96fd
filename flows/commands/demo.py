"""Commands that need no network: simulate and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.door import Door, door

YearsOption = Annotated[int, typer.Option("--years", min=1, max=10, metavar="N", help="Length of the archive.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Equal seeds give equal archives.")]


def simulate(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the archive.")],
    years: YearsOption = 3,
    seed: SeedOption = 1,
) -> None:
    """Write a simulated yard as a static STAC catalogue, with a config/ for it and truth.csv.

    Example:
      railwatch simulate sim --years 3 --seed 1
      railwatch --config sim/config --home sim/home run
    """
    from flows.progress import told
    from pipeline.round.demo import simulate_dir

    door(context)
    with told() as progress:
        simulate_dir(folder, years, seed, progress)
    typer.echo(f"{folder}: catalogue, config/ and truth.csv. Try it with:")
    typer.echo(f"  railwatch --config {folder / 'config'} --home {folder / 'home'} run")


def demo(
    context: typer.Context,
    years: YearsOption = 2,
    seed: SeedOption = 1,
    with_flow: Annotated[bool, typer.Option("--flow", help="Walk the backfill as a Prefect flow.")] = False,
) -> None:
    """Simulate a yard, count every look, judge and report, in one go; then compare with the truth.

    Example:
      railwatch --home ./demo demo
    """
    from flows.demo import compare, demo_round
    from flows.say import say_round

    here = door(context)
    folder = here.home / "demo"
    from flows.progress import told
    from pipeline.round.demo import simulate_dir

    with told() as progress:
        if not (folder / "truth.csv").exists():
            simulate_dir(folder, years, seed, progress)
        inside = Door(folder / "config", here.home, here.debug)
        result = demo_round(inside, progress, with_flow=with_flow)
    from pipeline.config import open_configuration

    allowed = open_configuration(inside.config).settings.alarms
    code = say_round(result, failures_are_expected=True)
    for line in compare(folder / "truth.csv", result, allowed):
        typer.echo(line)
    if code not in (0, 3):
        raise typer.Exit(code)
