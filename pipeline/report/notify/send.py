"""Sends what is new, once, and says what became of each message."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import tenacity

from pipeline.config.schema import NotifySettings
from pipeline.model import Site, Surge
from pipeline.report.notify.channels import SendError, check, send_mail, send_webhook
from pipeline.report.notify.ledger import NotificationLedger
from pipeline.report.notify.message import Message, messages_for

TRIES = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the messages of one call."""

    sent: tuple[Message, ...] = ()
    known: tuple[Message, ...] = ()  # sent by an earlier call
    uncertain: tuple[Message, ...] = ()  # claimed by a process that died: may have been sent, not sent again
    failed: tuple[tuple[Message, str], ...] = ()  # with why; the next call tries again
    planned: tuple[Message, ...] = ()  # of a dry run: nothing was sent and nothing recorded

    def lines(self) -> tuple[str, ...]:
        """Return one sentence for each message that a person should know about."""
        out = [f"Would send by {m.channel}: {m.subject}" for m in self.planned]
        out += [f"Sent by {m.channel}: {m.subject}" for m in self.sent]
        out += [
            f"May have been sent by {m.channel} (the process ended in the middle), not sent again: {m.subject}"
            for m in self.uncertain
        ]
        out += [f"Not sent by {m.channel} ({why}), next round tries again: {m.subject}" for m, why in self.failed]
        return tuple(out)


def notify(
    site: Site,
    surges: Sequence[Surge],
    settings: NotifySettings,
    ledger: NotificationLedger,
    *,
    environ: Mapping[str, str] | None = None,
    since: datetime | None = None,
    link: str = "",
    dry_run: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    tls: ssl.SSLContext | None = None,
) -> Delivery:
    """Send a message for every new or changed surge, on every channel that the settings name.

    Parameters
    ----------
    surges
        All episodes of the site; the ledger knows which changes were told.
    settings
        Where to; no host and no webhook means that nothing is sent.
    ledger
        Record of messages, written before and after each.
    environ
        Where secrets are read from; None: the process's environment.
    since
        Surges that ended before are old news and not told.
    link
        Where the report is.
    dry_run
        Return the messages and neither send nor record any.
    sleep
        Waits between tries, seconds.
    tls
        Whom to trust for STARTTLS; None: the system's authorities.

    Returns
    -------
    Delivery
        A message that cannot be sent is in `failed` and does not stop the others.

    Raises
    ------
    ConfigError
        When the settings cannot work: nothing has been sent then.
    """
    messages = messages_for(site, surges, settings, since=since, link=link)
    if dry_run or not messages:
        return Delivery(planned=messages)
    secrets = os.environ if environ is None else environ
    check(settings, secrets)
    sent, known, uncertain, failed = [], [], [], []
    for message in messages:
        claim = ledger.claim(message.key)
        if claim == "sent":
            known.append(message)
        elif claim == "uncertain":
            uncertain.append(message)
        else:
            why = _send(message, settings, secrets, sleep, tls)
            if why:
                ledger.failed(message.key, why)
                failed.append((message, why))
            else:
                ledger.sent(message.key)
                sent.append(message)
    return Delivery(tuple(sent), tuple(known), tuple(uncertain), tuple(failed))


def _send(
    message: Message,
    settings: NotifySettings,
    secrets: Mapping[str, str],
    sleep: Callable[[float], None],
    tls: ssl.SSLContext | None,
) -> str:
    """Send with back-off; return "" or why it failed."""
    maybe = False

    def once() -> None:
        nonlocal maybe
        try:
            if message.channel == "mail":
                send_mail(message, settings, secrets, tls)
            else:
                send_webhook(message, settings, secrets)
        except SendError as error:
            maybe = maybe or error.maybe
            raise

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, SendError) and error.again),
        sleep=sleep,
        reraise=True,
    )
    try:
        retrying(once)
    except SendError as error:
        return f"{error}; it may have arrived all the same" if maybe else str(error)
    return ""
