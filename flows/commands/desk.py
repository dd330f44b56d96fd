"""Commands for analysts: review, verdict, evidence."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.door import SiteArgument, door, now, site_name


class Decision(StrEnum):
    """An analyst's word on a surge."""

    CONFIRM = "confirm"
    REJECT = "reject"


class Reason(StrEnum):
    """Why a surge is rejected."""

    CLOUD = "cloud"
    SNOW = "snow"
    SHIFT = "shift"
    CONSTRUCTION = "construction"
    CONTAINERS = "containers"
    OTHER = "other"


def review(
    context: typer.Context,
    site: SiteArgument = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on loopback; 0 takes a free one.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Show it in a browser.")] = True,
) -> None:
    """Open the review desk of a site in a browser; it listens on this machine only, until Ctrl-C.

    Example:
      railwatch review tumangang
    """
    import webbrowser

    from pipeline.report.desk import serve_desk
    from pipeline.round.review import StoreDesk

    with door(context).workspace() as ws:
        desk = StoreDesk(ws, site_name(ws, site))
        serve_desk(desk, port=port, say=typer.echo, open_page=webbrowser.open if open_page else None)


def verdict(
    context: typer.Context,
    surge_id: Annotated[str, typer.Argument(metavar="SURGE_ID", help="The surge, or the start of its id.")],
    decision: Annotated[Decision, typer.Argument(help="The word on it.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why.")] = "",
    reason: Annotated[Reason | None, typer.Option("--reason", help="Kind of reason, when rejecting.")] = None,
) -> None:
    """Record an analyst's word on a surge; words are kept for ever, a later one stands before an earlier one.

    Example:
      railwatch verdict 3f2a91c0 confirm --by "A. Analyst" --note "Two more trains than on any date before."
    """
    import uuid

    from pipeline.report.desk import words

    who, why = words.clean(by), words.clean(note)
    if not who:
        raise typer.BadParameter("--by is empty; say who gives this word.")
    if len(why) > words.NOTE_MAX:
        raise typer.BadParameter(f"--note is longer than {words.NOTE_MAX} characters; shorten it.")
    if reason is not None and decision is not Decision.REJECT:
        raise typer.BadParameter("--reason goes with reject.")
    with door(context).workspace() as ws:
        surge = ws.store.find_surge(surge_id)
        earlier = words.about(ws.store.verdicts(surge.site), "surge", surge.surge_id)
        word = words.speak(
            earlier,
            site=surge.site,
            subject="surge",
            subject_id=surge.surge_id,
            decision=decision.value,
            by=who,
            note=why,
            now=now(),
            form_id=str(uuid.uuid4()),
            reason=reason.value if reason else "",
        )
        ws.store.add_verdict(word)
    typer.echo(
        f"{surge.site}: surge {surge.surge_id[:8]} of {surge.first_alarm_at:%Y-%m-%d}: {decision.value}, {who}."
    )


def evidence(
    context: typer.Context,
    surge_id: Annotated[str, typer.Argument(metavar="SURGE_ID", help="The surge, or the start of its id.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the pack goes; by default the home folder.")
    ] = None,
    zipped: Annotated[bool, typer.Option("--zip", help="One zip file instead of a folder.")] = False,
) -> None:
    """Write the evidence pack of a surge: images, outlines, series, STAC item, checksums; prints its path.

    Example:
      railwatch evidence 3f2a91c0 --zip
    """
    from pipeline.errors import StoreError
    from pipeline.report.evidence import build_evidence_pack
    from pipeline.round.report import report_data

    with door(context).workspace() as ws:
        surge = ws.store.find_surge(surge_id)
        data = report_data(ws, surge.site, today=now())
        current = next((found for found in data.surges if found.surge_id == surge.surge_id), None)
        if current is None:
            raise StoreError(f"surge {surge.surge_id} is no longer found in the series; run `railwatch surges`.")
        folder = out or ws.home / "evidence"
        folder.mkdir(parents=True, exist_ok=True)
        typer.echo(str(build_evidence_pack(current, data, folder, zipped=zipped)))


def notify(
    context: typer.Context,
    site: SiteArgument = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be sent.")] = False,
) -> None:
    """Send word of new and changed surges by the ways that settings.yaml names; each round does it too.

    A change is told once. What was sent, what failed, and what may have been sent when a process died, is on record.

    Example:
      railwatch notify tumangang --dry-run
    """
    from datetime import timedelta

    from flows.standing import surges
    from flows.tables import visible
    from pipeline.report.notify import notify as send

    with door(context).workspace() as ws:
        name = site_name(ws, site)
        settings = ws.settings_for(name)
        ways = settings.notify
        if not (ways.smtp_host and ways.mail_to) and not ways.webhook_url_env:
            typer.echo("settings.yaml, notify: neither mail nor webhook is set, so nothing is ever sent.")
            return
        record = ws.store.notifications
        delivery = send(
            ws.site(name),
            surges(ws, name),
            ways,
            record,
            since=now() - timedelta(days=settings.lookback_days),
            link=str(ws.home / "reports" / f"{name}.html"),
            dry_run=dry_run,
        )
        if dry_run:
            sent = {key for key, (state, _) in record.states().items() if state == "sent"}
            for message in delivery.planned:
                told = "Was sent" if message.key in sent else "Would send"
                typer.echo(f"{told} by {message.channel}: {visible(message.subject)}")
                if message.key not in sent:
                    typer.echo("\n".join(f"  {visible(line)}" for line in message.text.splitlines()))
        for line in () if dry_run else delivery.lines():
            typer.echo(visible(line))
        if not (delivery.planned or delivery.lines()):
            typer.echo("Nothing new to tell.")
    if delivery.failed:
        raise typer.Exit(1)
