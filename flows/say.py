"""What a person reads after a round: what was done, what failed, what the yard does, where the report is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from flows.tables import visible
from pipeline.model import Ledger, LedgerEntry, SurgeStatus

if TYPE_CHECKING:
    from pipeline.round.run import RoundResult

OPEN = (SurgeStatus.PROVISIONAL, SurgeStatus.CONFIRMED)


def say_round(result: RoundResult, *, failures_are_expected: bool = False) -> int:
    """Print the outcome of a round and return the exit code.

    The demo's archive has one corrupt file on purpose; expected failures are listed on standard output.
    """
    site = result.plan.site
    counted = [entry for entry in result.ledger.entries if entry.step == "count"]
    fetched = [entry for entry in result.ledger.entries if entry.step == "acquire" and entry.outcome == "processed"]
    parts = [
        f"{len(fetched)} fetched",
        f"{sum(entry.outcome == 'processed' for entry in counted)} counted",
        f"{sum(entry.outcome == 'rejected' for entry in counted)} rejected",
        f"{len(_failed(result.ledger))} failed",
        f"{len(result.plan.skipped)} known already",
    ]
    typer.echo(f"{site}: {', '.join(parts)}.")
    told_before = set(result.plan.messages)  # the progress said them while they were news
    for message in result.messages:
        if message not in told_before:
            typer.echo(message)
    judgement = result.judgement
    if judgement is not None:
        for change in judgement.changes:
            typer.echo(change)
        if judgement.cannot_judge:
            typer.echo(judgement.cannot_judge)
        else:
            surges = [surge for surge in judgement.surges if surge.status in OPEN]
            for surge in surges:
                typer.echo(f"Surge, {surge.tier.value}: {surge.sentence}")
            if not surges:
                typer.echo("No open surge.")
    if result.report_path is not None:
        typer.echo(f"Report: {result.report_path}")
    failures(result.ledger, err=not failures_are_expected)
    return result.exit_code


def failures(ledger: Ledger, *, err: bool = True) -> None:
    """List what failed, with why."""
    for entry in _failed(ledger):
        typer.echo(f"failed: {with_subject(entry.subject, entry.detail)}", err=err)


def with_subject(subject: str, detail: str) -> str:
    """Return one line that names its subject once."""
    flat = visible(" ".join(detail.split()))
    return flat if flat.startswith(subject) else f"{visible(subject)}: {flat}"


def _failed(ledger: Ledger) -> list[LedgerEntry]:
    return [entry for entry in ledger.of("failed") if entry.step != "discover"]
