"""One try at sending one message: by SMTP, or to a webhook.

Both raise `SendError`, which says whether another try may help and whether the message may have arrived all the
same. Addresses of webhooks are secrets (they carry their own key), so no error repeats them.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx

from pipeline.config.schema import NotifySettings
from pipeline.errors import ConfigError
from pipeline.report.notify.message import Message, one_line

TIMEOUT_S = 20.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class SendError(Exception):
    """A message did not get through on this try."""

    def __init__(self, why: str, *, again: bool, maybe: bool = False) -> None:
        super().__init__(why)
        self.again = again  # another try may help
        self.maybe = maybe  # the other side may have taken the message all the same


def secret(environ: Mapping[str, str], name: str, what: str) -> str:
    """Return a secret from the environment.

    Raises
    ------
    ConfigError
        When the variable named in the settings is not set.
    """
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"settings.yaml, notify: the environment variable {name} ({what}) is not set; set it.")
    return value


def check(settings: NotifySettings, environ: Mapping[str, str]) -> None:
    """Check everything that can be known before a message is sent.

    Raises
    ------
    ConfigError
        When an address is no address, a secret is not set, or a password would travel unencrypted.
    """
    if settings.smtp_host and settings.mail_to:
        for key, value in (("mail_from", settings.mail_from), *(("mail_to", to) for to in settings.mail_to)):
            _address(key, value)
        if bool(settings.smtp_user_env) != bool(settings.smtp_password_env):
            raise ConfigError("settings.yaml, notify: smtp_user_env and smtp_password_env go together; set both.")
        if settings.smtp_user_env:
            secret(environ, settings.smtp_user_env, "user name for mail")
            secret(environ, settings.smtp_password_env, "password for mail")
            if not settings.smtp_starttls and settings.smtp_host not in _LOOPBACK:
                raise ConfigError(
                    "settings.yaml, notify: a mail password is never sent unencrypted; set smtp_starttls: true."
                )
    if settings.webhook_url_env:
        _webhook_url(settings, environ)


def send_mail(
    message: Message, settings: NotifySettings, environ: Mapping[str, str], tls: ssl.SSLContext | None
) -> None:
    """Send one mail to its recipient.

    Parameters
    ----------
    tls
        Whom to trust for STARTTLS; None: the system's authorities.

    Raises
    ------
    SendError
        When the server did not take it.
    """
    mail = as_mail(message, settings)
    handed_over = False
    try:
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S) as server:
            if settings.smtp_starttls:
                server.starttls(context=tls or ssl.create_default_context())
            if settings.smtp_user_env:
                server.login(
                    secret(environ, settings.smtp_user_env, "user name for mail"),
                    secret(environ, settings.smtp_password_env, "password for mail"),
                )
            handed_over = True
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        why = f"the mail server answered {error.smtp_code} {one_line(_text(error.smtp_error), 120)}"
        raise SendError(why, again=400 <= error.smtp_code < 500) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise SendError("the mail server refused the recipient", again=False) from error
    except ssl.SSLError as error:
        raise SendError(f"the mail server's encryption failed: {one_line(str(error), 120)}", again=False) from error
    except (smtplib.SMTPException, OSError) as error:
        raise SendError(f"mail: {one_line(str(error), 120)}", again=True, maybe=handed_over) from error


def as_mail(message: Message, settings: NotifySettings) -> EmailMessage:
    """Return the message as a mail; its identifier comes from the key, so that mailboxes can drop a repeat."""
    mail = EmailMessage()
    mail["Subject"] = one_line(message.subject, 200)
    mail["From"] = _address("mail_from", settings.mail_from)
    mail["To"] = _address("mail_to", message.to)
    mail["Message-ID"] = f"<{message.uid}@railwatch.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def send_webhook(message: Message, settings: NotifySettings, environ: Mapping[str, str]) -> None:
    """Post one message; redirects are answers like any other and are not followed.

    Raises
    ------
    SendError
        When the other side did not take it.
    """
    url = _webhook_url(settings, environ)
    headers = {"Idempotency-Key": message.uid, "User-Agent": "railwatch"}
    local = (urlsplit(url).hostname or "") in _LOOPBACK
    try:
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=not local) as client:
            response = client.post(url, json=dict(message.payload), headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise SendError(f"the webhook cannot be reached ({type(error).__name__})", again=True) from error
    except httpx.TransportError as error:
        raise SendError(f"the webhook broke off ({type(error).__name__})", again=True, maybe=True) from error
    if response.is_success:
        return
    if response.is_redirect:
        raise SendError(f"the webhook answered {response.status_code}; redirects are not followed", again=False)
    raise SendError(f"the webhook answered {response.status_code}", again=response.status_code in _TRY_AGAIN)


def _webhook_url(settings: NotifySettings, environ: Mapping[str, str]) -> str:
    name = settings.webhook_url_env
    url = secret(environ, name, "address of the webhook")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        raise ConfigError(f"The address in the environment variable {name} must begin with https://.")
    return url


def _address(key: str, value: str) -> Address:
    """Return a mail address, refusing anything that could become a second header or recipient."""
    try:
        if value != one_line(value):
            raise ValueError("control characters")
        return Address(addr_spec=value)
    except (ValueError, IndexError, MessageError) as error:
        raise ConfigError(
            f"settings.yaml, notify.{key}: {one_line(value, 80)!r} is no mail address; write name@example.org."
        ) from error


def _text(raw: bytes | str) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
