"""Messages reach a real SMTP server and a real web server on loopback, once each."""

from __future__ import annotations

import email
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from shapely.geometry import box

from pipeline.config.schema import NotifySettings
from pipeline.errors import ConfigError
from pipeline.model import Site, Surge, SurgeStatus, Tier
from pipeline.report.notify import MemoryLedger, messages_for, notify
from pipeline.report.notify.channels import as_mail, check
from pipeline.store import Store

SITE = Site("tumangang", "Tumangang", "EPSG:32652", box(0, 0, 1, 1), ())
LOGIN = {"smtp_user_env": "U", "smtp_password_env": "P"}
AT = datetime(2023, 10, 5, 2, 20, tzinfo=UTC)
SURGE = Surge(
    "9b2f-surge", "tumangang", Tier.ALERT, SurgeStatus.PROVISIONAL, AT - timedelta(days=7), AT, AT, AT,
    73.0, 6.0, 0.0, 14.0, 12.2, 0.2, sentence="2023-10-05: saw 73 (65–81).",
)  # fmt: skip


@dataclass
class Hook:
    """A web server that answers with the given statuses in turn, then 200; 0 breaks off without an answer."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    accepted: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""
    taken: threading.Event = field(default_factory=threading.Event)  # a message was read
    hold: threading.Event = field(default_factory=threading.Event)  # while not set, no answer is given


@pytest.fixture
def hook() -> Iterator[Hook]:
    state = Hook()
    state.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.bodies.append(body)
            state.keys.append(self.headers["idempotency-key"])
            state.taken.set()
            if not state.hold.is_set():
                state.hold.wait(60)
                self.close_connection = True
                return
            status = state.statuses.pop(0) if state.statuses else 200
            if status == 0:
                self.connection.close()
                return
            if status == 200:
                state.accepted.append(body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", state.url + "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


class Mailbox:
    """An SMTP server's memory."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.answers: list[str] = []
        self.refuse: set[str] = set()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, to: str, _options: Any) -> str:  # noqa: N802
        if to in self.refuse:
            return "550 no such person"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            mail = email.message_from_bytes(content, policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails.append((list(envelope.rcpt_tos), mail))
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box_ = Mailbox()
    controller = Controller(box_, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box_, controller.port
    controller.stop()


def mail_settings(port: int, **more: Any) -> NotifySettings:
    return NotifySettings(
        smtp_host="127.0.0.1", smtp_port=port, mail_from="railwatch@example.org", mail_to=("kim@example.org",), **more
    )


def hook_settings(**more: Any) -> NotifySettings:
    return NotifySettings(webhook_url_env="HOOK", **more)


def test_a_webhook_that_fails_twice_gets_one_message_it_accepts(hook: Hook) -> None:
    hook.statuses = [500, 503]
    waits: list[float] = []
    ledger = MemoryLedger()
    out = notify(SITE, [SURGE], hook_settings(), ledger, environ={"HOOK": hook.url}, sleep=waits.append)
    assert len(out.sent) == 1
    assert len(hook.accepted) == 1
    assert len(hook.bodies) == 3
    assert len(set(hook.keys)) == 1, "a repeat can be told from a second message"
    assert len(waits) == 2
    assert waits[1] > waits[0] >= 1
    again = notify(SITE, [SURGE], hook_settings(), ledger, environ={"HOOK": hook.url})
    assert (len(again.sent), len(again.known)) == (0, 1)
    assert len(hook.bodies) == 3


def test_a_webhook_that_breaks_off_is_tried_again_and_the_record_says_it_may_have_arrived(hook: Hook) -> None:
    hook.statuses = [0, 0, 0, 0]
    ledger = MemoryLedger()
    out = notify(SITE, [SURGE], hook_settings(), ledger, environ={"HOOK": hook.url}, sleep=lambda _: None)
    assert len(out.failed) == 1
    assert "may have arrived" in out.failed[0][1]
    assert list(ledger.states.values()) == ["failed"]
    assert len(notify(SITE, [SURGE], hook_settings(), ledger, environ={"HOOK": hook.url}).sent) == 1


def test_redirects_are_not_followed_and_not_tried_again(hook: Hook) -> None:
    hook.statuses = [307]
    out = notify(SITE, [SURGE], hook_settings(), MemoryLedger(), environ={"HOOK": hook.url}, sleep=lambda _: None)
    assert len(hook.bodies) == 1
    assert "redirects are not followed" in out.failed[0][1]
    assert hook.url not in out.failed[0][1], "the address is a secret"


def test_one_failure_does_not_stop_the_others(hook: Hook) -> None:
    hook.statuses = [404]
    second = replace(SURGE, surge_id="later", first_alarm_at=AT + timedelta(days=99))
    out = notify(SITE, [second, SURGE], hook_settings(), MemoryLedger(), environ={"HOOK": hook.url})
    assert [m.key.split(":")[0] for m in out.sent] == ["later"]
    assert [m.key.split(":")[0] for m, _ in out.failed] == ["9b2f-surge"]


def test_a_change_of_tier_or_status_is_told_and_nothing_else_is(hook: Hook) -> None:
    ledger, environ = MemoryLedger(), {"HOOK": hook.url}
    for surge in (
        SURGE,
        replace(SURGE, peak_railcars=80.0),
        replace(SURGE, tier=Tier.HIGH),
        replace(SURGE, tier=Tier.HIGH, status=SurgeStatus.CONFIRMED),
        replace(SURGE, tier=Tier.HIGH, status=SurgeStatus.CONFIRMED, sentence="more"),
        replace(SURGE, tier=Tier.WATCH, surge_id="small"),
    ):
        notify(SITE, [surge], hook_settings(), ledger, environ=environ)
    told = [(body["tier"], body["status"]) for body in hook.accepted]
    assert told == [("alert", "provisional"), ("high", "provisional"), ("high", "confirmed")]


def test_a_kill_between_sending_and_recording_is_stated_and_not_sent_again(hook: Hook) -> None:
    class Killed(BaseException):
        pass

    class DyingLedger(MemoryLedger):
        def sent(self, key: str) -> None:
            raise Killed(key)

    dying = DyingLedger()
    with pytest.raises(Killed):
        notify(SITE, [SURGE], hook_settings(), dying, environ={"HOOK": hook.url})
    survivor = MemoryLedger(states=dying.states)
    out = notify(SITE, [SURGE], hook_settings(), survivor, environ={"HOOK": hook.url})
    assert len(hook.accepted) == 1
    assert not out.sent
    assert len(out.uncertain) == 1
    assert "May have been sent" in out.lines()[0]


_CHILD = """
import sys
from pipeline.config.schema import NotifySettings
from pipeline.report.notify import notify
from pipeline.store import Store
from test_notify_send import SITE, SURGE

with Store.open(sys.argv[1]) as store:
    notify(SITE, [SURGE], NotifySettings(webhook_url_env="HOOK"), store.notifications)
"""


def test_a_killed_process_leaves_the_record_that_its_message_may_have_arrived(hook: Hook, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'store.db'}"
    hook.hold.clear()  # the server takes the message and does not answer yet
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, address],
        env={**os.environ, "HOOK": hook.url, "PYTHONPATH": f"{Path(__file__).parents[3]}:{Path(__file__).parent}"},
    )
    try:
        assert hook.taken.wait(60)
    finally:
        child.kill()
        child.wait()
        hook.hold.set()
    with Store.open(address) as store:
        assert [state for state, _ in store.notifications.states().values()] == ["sending"]
        out = notify(SITE, [SURGE], hook_settings(), store.notifications, environ={"HOOK": hook.url})
    assert len(hook.bodies) == 1
    assert "May have been sent" in out.lines()[0]


def test_mail_arrives_once_for_each_recipient(mailbox: tuple[Mailbox, int]) -> None:
    box_, port = mailbox
    settings = mail_settings(port).model_copy(update={"mail_to": ("kim@example.org", "lee@example.org")})
    box_.refuse = {"kim@example.org"}
    ledger = MemoryLedger()
    out = notify(SITE, [SURGE], settings, ledger, environ={}, sleep=lambda _: None)
    assert [m.to for m in out.sent] == ["lee@example.org"]
    assert [m.to for m, _ in out.failed] == ["kim@example.org"]
    box_.refuse = set()
    notify(SITE, [SURGE], settings, ledger, environ={}, sleep=lambda _: None)
    assert [to for to, _ in box_.mails] == [["lee@example.org"], ["kim@example.org"]]
    mail = box_.mails[0][1]
    assert "alert surge of 2023-10-05" in str(mail["Subject"])
    assert "saw 73 (65–81)" in mail.get_content()
    assert all("kim@example.org:" not in key and "@" not in key for key in ledger.states)


def test_a_mail_server_that_is_busy_twice_is_tried_again(mailbox: tuple[Mailbox, int]) -> None:
    box_, port = mailbox
    box_.answers = ["451 later", "451 later"]
    out = notify(SITE, [SURGE], mail_settings(port), MemoryLedger(), environ={}, sleep=lambda _: None)
    assert len(out.sent) == len(box_.mails) == 1


def test_a_mail_server_that_says_never_is_believed(mailbox: tuple[Mailbox, int]) -> None:
    box_, port = mailbox
    box_.answers = ["554 spam", "250 ok"]
    out = notify(SITE, [SURGE], mail_settings(port), MemoryLedger(), environ={}, sleep=lambda _: None)
    assert "554 spam" in out.failed[0][1]
    assert not box_.mails


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_starttls_and_a_password_from_the_environment(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(cert, key)
    box_, seen = Mailbox(), []

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: Any, data: Any) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3cret")

    controller = Controller(
        box_,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=server_tls,
        require_starttls=True,
        authenticator=authenticate,
    )
    controller.start()
    settings = mail_settings(controller.port, smtp_starttls=True, **LOGIN)
    environ = {"U": "kim", "P": "s3cret"}
    try:
        untrusted = notify(SITE, [SURGE], settings, MemoryLedger(), environ=environ, sleep=lambda _: None)
        assert "encryption failed" in untrusted.failed[0][1], "an unknown certificate is not trusted"
        assert not seen, "and gets no password"
        trust = ssl.create_default_context(cafile=str(cert))
        out = notify(SITE, [SURGE], settings, MemoryLedger(), environ=environ, tls=trust)
        assert len(out.sent) == len(box_.mails) == 1
        assert seen == [(b"kim", b"s3cret")]
    finally:
        controller.stop()


def test_a_dry_run_sends_and_records_nothing(hook: Hook, mailbox: tuple[Mailbox, int]) -> None:
    settings = mail_settings(mailbox[1], webhook_url_env="HOOK")
    ledger = MemoryLedger()
    out = notify(SITE, [SURGE], settings, ledger, environ={}, dry_run=True)
    assert [m.channel for m in out.planned] == ["mail", "webhook"]
    assert not hook.bodies
    assert not mailbox[0].mails
    assert not ledger.states
    assert all(line.startswith("Would send by") for line in out.lines())


@pytest.mark.parametrize(
    ("settings", "environ", "sentence"),
    [
        (hook_settings(), {}, "environment variable HOOK"),
        (hook_settings(), {"HOOK": "http://example.org/x"}, "https://"),
        (hook_settings(), {"HOOK": "file:///etc/passwd"}, "https://"),
        (hook_settings(), {"HOOK": "http://[bad"}, "https://"),
        (mail_settings(25, smtp_user_env="U"), {"U": "u"}, "go together"),
        (mail_settings(25, **LOGIN), {"U": "u"}, "variable P"),
        (
            mail_settings(25, **LOGIN).model_copy(update={"smtp_host": "m.example"}),
            {"U": "u", "P": "p"},
            "never sent unencrypted",
        ),
        (mail_settings(25).model_copy(update={"mail_to": ("a@b.c\r\nBcc: x@y.z",)}), {}, "mail_to"),
        (mail_settings(25).model_copy(update={"mail_to": ("a@b.c, x@y.z",)}), {}, "mail_to"),
        (mail_settings(25).model_copy(update={"mail_from": "nobody"}), {}, "mail_from"),
        (mail_settings(25).model_copy(update={"mail_from": ""}), {}, "mail_from"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_sent(
    settings: NotifySettings, environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        check(settings, environ)
    assert "example.org/x" not in str(caught.value)
    ledger = MemoryLedger()
    with pytest.raises(ConfigError):
        notify(SITE, [SURGE], settings, ledger, environ=environ)
    assert not ledger.states


def test_text_from_outside_adds_no_header_and_no_mention() -> None:
    nasty = "x\r\nBcc: all@example.org\u2028\u202e<!channel> & <https://evil.example|click>" + "y" * 10_000
    site, surge = replace(SITE, title=nasty), replace(SURGE, sentence=nasty, surge_id=nasty, verdict=nasty)
    settings = mail_settings(25, webhook_url_env="HOOK", webhook_format="slack")
    mail, chat = messages_for(site, [surge], settings, link=nasty)
    raw = as_mail(mail, settings).as_bytes()
    assert b"\nBcc" not in raw
    assert set(email.message_from_bytes(raw).keys()) == {
        "Subject", "From", "To", "Message-ID", "Auto-Submitted",
        "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert len(mail.subject) < 300
    assert len(mail.text) < 3000
    assert "<" not in chat.payload["text"]
    assert "\u202e" not in chat.payload["text"]
    assert "&lt;!channel&gt; &amp;" in chat.payload["text"]


def test_old_news_is_left_out_after_a_backfill() -> None:
    ended = replace(SURGE, status=SurgeStatus.ENDED, ended_at=AT + timedelta(days=30))
    settings = hook_settings()
    assert not messages_for(SITE, [ended], settings, since=AT + timedelta(days=31))
    assert len(messages_for(SITE, [ended], settings, since=AT + timedelta(days=29))) == 1
    assert len(messages_for(SITE, [SURGE], settings, since=AT + timedelta(days=900))) == 1


def test_nothing_is_sent_where_nothing_is_configured() -> None:
    out = notify(SITE, [SURGE], NotifySettings(), MemoryLedger(), environ={})
    assert out == type(out)()
