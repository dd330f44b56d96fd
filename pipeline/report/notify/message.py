"""What is said about a surge, once for each change of tier or status.

The text is plain. Everything that came from outside (titles, sentences) is cut to a bounded length and stripped
of control characters, so that it can neither add a header to a mail nor a command to a chat.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipeline.config.schema import NotifySettings
from pipeline.model import Site, Surge, SurgeStatus, Tier

Channel = Literal["mail", "webhook"]
_TIER_ORDER = (Tier.WATCH, Tier.ALERT, Tier.HIGH)
_NAMESPACE = uuid.UUID("0b8f5d0e-7a5f-5e5e-9f0b-2d9e6a1c4b77")  # of notifications, arbitrary but fixed
LINE_MAX = 300  # characters of a line taken from outside
_STATUS_SAYS = {
    SurgeStatus.PROVISIONAL: "seen once, not yet confirmed",
    SurgeStatus.CONFIRMED: "confirmed",
    SurgeStatus.ENDED: "ended",
    SurgeStatus.NEW_REGIME: "the new normal",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message on one channel."""

    key: str  # surge, tier, status, channel and recipient: sent at most once
    channel: Channel
    subject: str  # one line
    text: str  # plain text
    payload: Mapping[str, Any]  # the webhook's JSON; empty for mail
    to: str = ""  # the mail's one recipient: each has a record of their own

    @property
    def uid(self) -> str:
        """Return the UUIDv5 of the key: message id of the mail and idempotency key of the webhook."""
        return str(uuid.uuid5(_NAMESPACE, self.key))


def one_line(text: str, length: int = LINE_MAX) -> str:
    """Return text as one bounded line: every control, format and separator character becomes a space."""
    bare = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(bare.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def messages_for(
    site: Site, surges: Sequence[Surge], settings: NotifySettings, *, since: datetime | None = None, link: str = ""
) -> tuple[Message, ...]:
    """Return the messages that the surges call for, whether or not they were sent before.

    Parameters
    ----------
    surges
        In any order; messages come oldest alarm first.
    since
        Surges that ended before this time are old news, as after a backfill, and are left out; None: all.
    link
        Where the report is, for the reader; "" leaves it out.
    """
    least = _TIER_ORDER.index(Tier(settings.min_tier))
    wanted = [s for s in surges if _TIER_ORDER.index(s.tier) >= least]
    wanted = [s for s in wanted if since is None or s.ended_at is None or s.ended_at >= since]
    wanted.sort(key=lambda s: (s.first_alarm_at, s.surge_id))
    ways: list[tuple[Channel, str]] = []
    if settings.smtp_host:
        ways += [("mail", to) for to in dict.fromkeys(settings.mail_to)]
    if settings.webhook_url_env:
        ways.append(("webhook", ""))
    return tuple(_message(site, surge, channel, to, settings, link) for surge in wanted for channel, to in ways)


def _message(site: Site, surge: Surge, channel: Channel, to: str, settings: NotifySettings, link: str) -> Message:
    title = one_line(site.title, 80)
    status = _STATUS_SAYS[surge.status]
    subject = f"railwatch {title}: {surge.tier.value} surge of {surge.first_alarm_at:%Y-%m-%d}, {status}"
    facts = [
        one_line(surge.sentence) if surge.sentence else "",
        f"Peak {surge.peak_railcars:.0f} railcars on {surge.peak_at:%Y-%m-%d}; expected {surge.expected:.0f} "
        f"(90 %: {surge.expected_low:.0f}–{surge.expected_high:.0f}).",
        f"Onset between {surge.onset_earliest:%Y-%m-%d} and {surge.onset_latest:%Y-%m-%d}. "
        + (f"Ended {surge.ended_at:%Y-%m-%d}." if surge.ended_at else "Still open."),
        f"Quiet series give such an alarm {surge.alarm_rate_per_year:.2g} times a year.",
        f"An analyst's word on it: {one_line(surge.verdict, 40) or 'none yet'}.",
        f"Report: {one_line(link)}" if link else "",
        f"Surge {one_line(surge.surge_id, 80)}",
    ]
    text = "\n".join(line for line in facts if line)
    # the recipient as a digest: the record need not hold addresses of people
    whom = f":{hashlib.sha256(to.encode()).hexdigest()[:12]}" if to else ""
    key = f"{surge.surge_id}:{surge.tier.value}:{surge.status.value}:{channel}{whom}"
    payload: Mapping[str, Any] = {}
    if channel == "webhook":
        payload = _slack(subject, text) if settings.webhook_format == "slack" else _plain(site, surge, subject, link)
    return Message(key, channel, subject, text, payload, to)


def _slack(subject: str, text: str) -> dict[str, Any]:
    """Return a Slack message; its three control characters are escaped, so that no text becomes a mention or link."""
    escaped = f"{subject}\n{text}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def _plain(site: Site, surge: Surge, subject: str, link: str) -> dict[str, Any]:
    return {
        "type": "railwatch.surge",
        "version": 1,
        "site": site.name,
        "summary": subject,
        "sentence": surge.sentence,
        "surge_id": surge.surge_id,
        "tier": surge.tier.value,
        "status": surge.status.value,
        "onset_earliest": _z(surge.onset_earliest),
        "onset_latest": _z(surge.onset_latest),
        "first_alarm_at": _z(surge.first_alarm_at),
        "peak_at": _z(surge.peak_at),
        "peak_railcars": surge.peak_railcars,
        "expected": surge.expected,
        "expected_low": surge.expected_low,
        "expected_high": surge.expected_high,
        "ratio": surge.ratio,
        "alarm_rate_per_year": surge.alarm_rate_per_year,
        "ended_at": _z(surge.ended_at) if surge.ended_at else None,
        "verdict": surge.verdict,
        "report": link,
    }


def _z(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
