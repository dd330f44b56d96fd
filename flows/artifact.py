"""A round as a Prefect artifact: the ledger as a table, and the way to the report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline.model import Ledger

ROWS = 200  # of the table; a backfill's thousands belong into the report


def round_markdown(site: str, ledger: Ledger, report: Path | None, messages: tuple[str, ...] = ()) -> str:
    """Return a round as markdown; text from outside is shown as text."""
    lines = [f"# {site}", ""]
    if report is not None:
        lines += [f"[Report]({report.as_uri()})", ""]
    lines += [f"- {_cell(message)}" for message in messages]
    counted = Counter((entry.step, entry.outcome) for entry in ledger.entries)
    lines += ["", "| step | outcome | number |", "|---|---|---|"]
    lines += [f"| {step} | {outcome} | {number} |" for (step, outcome), number in sorted(counted.items())]
    worth = [entry for entry in ledger.entries if entry.outcome in ("failed", "rejected", "processed")]
    worth.sort(key=lambda entry: ("failed", "rejected", "processed").index(entry.outcome))
    if worth:
        lines += ["", "| outcome | step | subject | detail |", "|---|---|---|---|"]
    lines += [
        f"| {entry.outcome} | {entry.step} | {_cell(entry.subject)} | {_cell(entry.detail)} |"
        for entry in worth[:ROWS]
    ]
    if len(worth) > ROWS:
        lines += ["", f"{len(worth) - ROWS} more stand in the report."]
    return "\n".join(lines) + "\n"


def publish(site: str, ledger: Ledger, report: Path | None, messages: tuple[str, ...]) -> None:
    """Write the artifact of the flow run that is going on."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(round_markdown(site, ledger, report, messages), key=f"round-{site}")


def _cell(text: str) -> str:
    """Return text that cannot leave its cell or become markup."""
    flat = " ".join(text.split())[:500]
    for sign in "&\\`*_[]|<>":  # the ampersand first: the others bring one
        flat = flat.replace(sign, f"&#{ord(sign)};")
    return flat
