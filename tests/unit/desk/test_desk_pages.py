"""The desk over HTTP, without a browser: who gets in, what is refused, what is recorded."""

from __future__ import annotations

import html
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
import uvicorn
from desk_client import DeskClient
from desk_world import HOSTILE, MemoryDeskData, a_world

from pipeline.errors import ConfigError, StoreError
from pipeline.model import Verdict
from pipeline.report.desk import create_app, serve_desk

PORT = 8765
ORIGIN = f"http://127.0.0.1:{PORT}"
TOKEN = "a-token-for-tests-only"  # noqa: S105
NOW = datetime(2023, 10, 20, 7, 0, tzinfo=UTC)


def a_client(world: MemoryDeskData) -> DeskClient:
    app = create_app(world, token=TOKEN, host="127.0.0.1", port=PORT, now=lambda: NOW)
    return DeskClient(app, ORIGIN)


def entered(world: MemoryDeskData, name: str = "Kim") -> DeskClient:
    client = a_client(world)
    assert client.post("/enter", data={"token": TOKEN, "name": name}).status_code == 303
    return client


@pytest.fixture
def world() -> MemoryDeskData:
    return a_world()


def form_of(page: str) -> dict[str, str]:
    """Return the hidden fields of the form for a new word."""
    form = page[page.index('id="word"') :]
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="(csrf|form_id|seen)" value="([^"]*)"', form)
    }


def surge_page(world: MemoryDeskData) -> str:
    return f"/surge/{world.surges()[1].surge_id}"


def look_page(world: MemoryDeskData, index: int = 7) -> str:
    return f"/look/{world.observations()[index].observation_id}"


# --- who gets in


def test_the_token_opens_one_session_and_no_second(world: MemoryDeskData) -> None:
    client = a_client(world)
    assert client.get("/").status_code == 401
    assert client.get(f"/enter?token={TOKEN}").status_code == 200
    assert client.get("/").status_code == 401, "looking at the door does not open it"
    answer = client.post("/enter", data={"token": TOKEN, "name": "Kim"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert str(PORT) in cookie.split("=")[0], "desks on other ports have other cookies"
    assert client.get("/").status_code == 200
    other = DeskClient(client.app, ORIGIN)
    assert other.get(f"/enter?token={TOKEN}").status_code == 401
    assert other.post("/enter", data={"token": TOKEN, "name": "Eve"}).status_code == 401
    assert other.get("/").status_code == 401


@pytest.mark.parametrize("token", ["", "wrong", "a-token-for-tests-onlx", "ä" * 30])
def test_a_wrong_token_opens_nothing(world: MemoryDeskData, token: str) -> None:
    client = a_client(world)
    assert client.get("/enter", params={"token": token}).status_code == 401
    assert client.post("/enter", data={"token": token, "name": "Eve"}).status_code == 401
    client.cookies.set(f"railwatch_desk_{PORT}", "guess", domain="127.0.0.1")
    assert client.get("/").status_code == 401


def test_an_invitation_brings_a_second_person(world: MemoryDeskData) -> None:
    kim = entered(world)
    csrf = form_of(kim.get(surge_page(world)).text)["csrf"]
    link = re.search(r'class="link">([^<]+)<', kim.post("/invite", data={"csrf": csrf}).text)
    assert link is not None
    token = link[1].split("token=")[1]
    lee = DeskClient(kim.app, ORIGIN)
    assert lee.post("/enter", data={"token": token, "name": "Lee"}).status_code == 303
    assert "Lee" in lee.get("/").text
    assert form_of(lee.get(surge_page(world)).text)["csrf"] != csrf
    assert kim.post("/leave", data={"csrf": csrf}).status_code == 200
    assert kim.get("/").status_code == 401
    assert lee.get("/").status_code == 200


def test_a_name_is_needed_and_the_token_is_not_used_up_without(world: MemoryDeskData) -> None:
    client = a_client(world)
    assert client.post("/enter", data={"token": TOKEN, "name": " \u0000 "[:1]}).status_code == 422
    assert client.post("/enter", data={"token": TOKEN, "name": "Kim"}).status_code == 303


@pytest.mark.parametrize(
    "path", ["/", "/words", "/words.json", "SURGE", "SURGE/viewer", "SURGE/since", "LOOK", "LOOK/chip.png"]
)
def test_nothing_is_shown_without_a_session(world: MemoryDeskData, path: str) -> None:
    path = path.replace("SURGE", surge_page(world)).replace("LOOK", look_page(world))
    assert a_client(world).get(path).status_code == 401
    assert entered(world).get(path).status_code == 200


# --- what is refused


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.example:{PORT}", ""]
)
def test_another_host_is_refused(world: MemoryDeskData, host: str) -> None:
    client = entered(world)
    assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/static/desk.css", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", f"http://localhost:{PORT}", ""]
)
def test_another_origin_is_refused(world: MemoryDeskData, origin: str) -> None:
    client = entered(world)
    data = {**form_of(client.get(surge_page(world)).text), "decision": "confirm"}
    assert client.post(f"{surge_page(world)}/word", data=data, headers={"origin": origin}).status_code == 403
    assert client.get("/", headers={"origin": origin}).status_code == 403
    assert not world.said


def test_a_form_without_origin_or_from_another_site_is_refused(world: MemoryDeskData) -> None:
    client = entered(world)
    data = {**form_of(client.get(surge_page(world)).text), "decision": "confirm"}
    del client.headers["origin"]
    assert client.post(f"{surge_page(world)}/word", data=data).status_code == 403
    client.headers["origin"] = ORIGIN
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.post(f"{surge_page(world)}/word", data=data, headers=foreign).status_code == 403
    assert client.get(f"{look_page(world)}/chip.png", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert not world.said


@pytest.mark.parametrize("csrf", ["", "x", "ä"])
@pytest.mark.parametrize("path", ["SURGE/word", "LOOK/word", "/invite", "/leave"])
def test_a_form_without_the_sessions_secret_changes_nothing(world: MemoryDeskData, path: str, csrf: str) -> None:
    client = entered(world)
    data = {**form_of(client.get(surge_page(world)).text), "decision": "confirm", "csrf": csrf}
    if path[1] in "il":
        data = {"csrf": csrf}
    path = path.replace("SURGE", surge_page(world)).replace("LOOK", look_page(world))
    assert client.post(path, data=data).status_code == 403
    assert not world.said
    assert client.get("/").status_code == 200, "and nobody was sent away"


@pytest.mark.parametrize("path", ["SURGE/word", "LOOK/word", "/invite", "/leave"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_changes_but_by_post(world: MemoryDeskData, method: str, path: str) -> None:
    client = entered(world)
    fields = {**form_of(client.get(surge_page(world)).text), "decision": "confirm"}
    path = path.replace("SURGE", surge_page(world)).replace("LOOK", look_page(world))
    assert client.request(method, path, params=fields).status_code == 405
    assert not world.said
    assert client.get("/").status_code == 200


def serving(world: MemoryDeskData) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        app = create_app(world, token=TOKEN, host="127.0.0.1", port=port, now=lambda: NOW)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, proxy_headers=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield port
        server.should_exit = True
        thread.join()


@pytest.fixture
def port(world: MemoryDeskData) -> Iterator[int]:
    yield from serving(world)


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(request)
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/static/../desk.py",
        "/static/..%2fdesk.py",
        "/static/%2e%2e/desk.py",
        "/static/%252e%252e/desk.py",
        "/static/..\\desk.py",
        "/static/%5c..%5cdesk.py",
        "/look/../../etc/passwd",
        "/surge/x%00y",
        "/./",
        "/..",
    ],
)
def test_a_path_that_climbs_is_refused(port: int, path: str) -> None:
    answer = raw(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_body_of_100_megabytes_is_refused_unread(port: int) -> None:
    head = (
        f"POST /enter HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
    )
    # not one byte of the body is sent: the answer must come from the declared length alone
    answer = raw(port, f"{head}Content-Length: 100000000\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_a_body_of_unknown_length_is_cut_off(port: int) -> None:
    head = (
        f"POST /enter HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    sent = 0
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(head.encode())
        answer = b""
        line.settimeout(0.2)
        try:
            while sent < 100_000_000 and not answer:
                line.sendall(chunk)
                sent += len(chunk)
                if sent > (1 << 20):
                    try:
                        answer = line.recv(65536)
                    except TimeoutError:
                        continue
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 20_000_000, "the desk stopped reading long before the end"
    assert not answer or answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_only_forms_are_read(world: MemoryDeskData, kind: str) -> None:
    answer = a_client(world).post("/enter", content=b"token=x", headers={"content-type": kind})
    assert answer.status_code == 415


def test_every_answer_carries_the_strict_policy(world: MemoryDeskData) -> None:
    client = entered(world)
    for path in ("/", surge_page(world), "/static/desk.js", f"{look_page(world)}/chip.png", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    for path in ("/", surge_page(world), look_page(world), "/words"):
        page = client.get(path).text
        assert " style=" not in page
        assert "<style" not in page
        assert not re.search(r"\son\w+=", page)
        assert not re.search(r"<script(?![^>]* src=)", page)
        assert client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])  # noqa: S104
def test_the_desk_listens_on_loopback_only(world: MemoryDeskData, host: str) -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        serve_desk(world, host=host, say=print)


def test_a_taken_port_is_one_sentence(world: MemoryDeskData) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="cannot listen"):
            serve_desk(world, port=other.getsockname()[1], say=print)


# --- what is recorded


def say(client: DeskClient, page: str, **fields: object) -> tuple[int, str]:
    data = {**form_of(client.get(page).text), **fields}
    answer = client.post(f"{page}/word", data=data, headers={"hx-request": "true"})
    return answer.status_code, answer.text


def test_a_verdict_is_recorded_with_its_author_and_time(world: MemoryDeskData) -> None:
    status, panel = say(entered(world), surge_page(world), decision="reject", reason="cloud", note="haze\r\nover it")
    assert status == 200
    assert "Your rejection is recorded." in panel
    (word,) = world.said
    assert (word.decision, word.reason, word.by, word.note, word.at) == (
        "reject",
        "cloud",
        "Kim",
        "haze\nover it",
        NOW,
    )
    assert word.subject_id == world.surges()[1].surge_id


def test_without_scripts_a_form_redirects_to_the_page_that_says_so(world: MemoryDeskData) -> None:
    client = entered(world)
    data = {**form_of(client.get(surge_page(world)).text), "decision": "confirm"}
    answer = client.post(f"{surge_page(world)}/word", data=data)
    assert answer.status_code == 303
    assert "Your confirmation is recorded." in client.get(answer.headers["location"]).text
    assert "Your confirmation is recorded." not in client.get(surge_page(world) + "?said=made-up").text


def test_the_same_form_sent_twice_is_one_word(world: MemoryDeskData) -> None:
    client = entered(world)
    data = {**form_of(client.get(surge_page(world)).text), "decision": "confirm", "note": "sure"}
    for _ in range(2):
        assert client.post(f"{surge_page(world)}/word", data=data).status_code == 303
    assert len(world.said) == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Choose what you decide"),
        ({"decision": "reject"}, "Choose a reason"),
        ({"decision": "reject", "reason": "other"}, "which other reason"),
        ({"decision": "note"}, "needs words"),
        ({"decision": "correct", "railcars": "5"}, "page of its look"),
        ({"decision": "undo"}, "no decision to take back"),
    ],
)
def test_an_unfinished_word_is_refused_and_kept_in_the_form(
    world: MemoryDeskData, fields: dict[str, str], sentence: str
) -> None:
    note = "" if fields.get("decision") == "note" or fields.get("reason") == "other" else "my <b>long</b> thought"
    status, panel = say(entered(world), surge_page(world), note=note, **fields)
    assert status in (409, 422)
    assert sentence in panel
    assert html.escape(note) in panel
    assert not world.said


@pytest.mark.parametrize(
    "fields",
    [
        {"decision": "burn"},
        {"decision": "confirm", "reason": "because"},
        {"decision": "confirm", "form_id": "x"},
        {"decision": "confirm", "note": "x" * 20_001},
        {"decision": "confirm", "extra": "1"},
        {"decision": "correct", "railcars": "-1"},
        {"decision": "correct", "railcars": "nan"},
        {"decision": "correct", "railcars": "1e9"},
    ],
)
def test_fields_that_no_form_of_ours_sends_are_refused(world: MemoryDeskData, fields: dict[str, str]) -> None:
    status, _ = say(entered(world), look_page(world), **fields)
    assert status == 422
    assert not world.said


def test_two_people_at_once_lose_no_word_and_hear_of_each_other(world: MemoryDeskData) -> None:
    kim = entered(world)
    page = surge_page(world)
    mine = form_of(kim.get(page).text)
    other = Verdict("lee-1", "tumangang", "surge", world.surges()[1].surge_id, "reject", "Lee", "snow!", NOW, "snow")
    world.add_verdict(other)
    assert "snow!" in kim.get(f"{page}/since", params={"seen": mine["seen"]}).text
    answer = kim.post(f"{page}/word", data={**mine, "decision": "confirm"}, headers={"hx-request": "true"})
    assert "Somebody else spoke meanwhile" in answer.text
    assert [v.decision for v in world.said] == ["reject", "confirm"]
    assert world.said[1].at > world.said[0].at


def test_taking_back_what_its_author_never_saw_is_refused(world: MemoryDeskData) -> None:
    kim = entered(world)
    page = surge_page(world)
    say(kim, page, decision="confirm")
    stale = form_of(kim.get(page).text)
    world.add_verdict(
        Verdict(
            "lee-1",
            "tumangang",
            "surge",
            world.surges()[1].surge_id,
            "reject",
            "Lee",
            "no",
            NOW.replace(hour=8),
            "snow",
        )
    )
    answer = kim.post(f"{page}/word", data={**stale, "decision": "undo"}, headers={"hx-request": "true"})
    assert answer.status_code == 409
    assert len(world.said) == 2
    status, panel = say(kim, page, decision="undo")
    assert status == 200
    assert "taken back by" in panel
    assert [v.decision for v in world.said] == ["confirm", "reject", "undo"]
    assert "Kim</bdi>" in kim.get("/?show=all").text


def test_many_at_once_lose_nothing(world: MemoryDeskData) -> None:
    client = entered(world)
    page = surge_page(world)
    base = form_of(client.get(page).text)
    errors: list[object] = []

    def talk(who: int) -> None:
        for i in range(10):
            data = {
                **base,
                "form_id": f"00000000-0000-4000-8000-{who:06d}{i:06d}",
                "decision": "note",
                "note": f"{who}.{i}",
            }
            answer = client.post(f"{page}/word", data=data, headers={"hx-request": "true"})
            if answer.status_code != 200:
                errors.append(answer.text)

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(v.note for v in world.said) == sorted(f"{n}.{i}" for n in range(4) for i in range(10))
    assert len({v.at for v in world.said}) == 40


def test_a_count_is_corrected_by_clicking(world: MemoryDeskData) -> None:
    keep = [i for i in range(73) if i not in (0, 5)]
    status, panel = say(entered(world), look_page(world), decision="correct", how="clicked", car=keep, missed="3")
    assert status == 200
    (word,) = world.said
    assert (word.subject, word.railcars) == ("count", 74.0)
    assert word.note.startswith("[clicked: 73 listed, struck out 1, ")
    assert word.note.endswith("added 3]")
    assert "corrects the count to 74" in " ".join(panel.split())


def test_a_count_is_corrected_by_typing(world: MemoryDeskData) -> None:
    client = entered(world)
    assert say(client, look_page(world, 0), decision="correct", how="clicked")[0] == 422, "nothing to click on"
    assert say(client, look_page(world, 0), decision="correct", how="typed")[0] == 422
    both = say(client, look_page(world), decision="correct", how="clicked", car=[1], railcars="70")
    assert both[0] == 422, "a typed number is never dropped in silence"
    assert say(client, look_page(world, 0), decision="confirm")[0] == 422
    assert say(client, look_page(world, 0), decision="correct", how="typed", railcars="12.5")[0] == 200
    assert say(client, look_page(world, 4), decision="correct", railcars="0")[0] == 200
    assert [v.railcars for v in world.said] == [12.5, 0.0]


def test_a_store_that_fails_is_said_and_nothing_is_claimed(world: MemoryDeskData) -> None:
    def broken(_: Verdict) -> None:
        raise StoreError("The store cannot be written: the disk is full; free some space.")

    client = entered(world)
    world.add_verdict = broken  # type: ignore[method-assign]
    data = {**form_of(client.get(surge_page(world)).text), "decision": "confirm"}
    answer = client.post(f"{surge_page(world)}/word", data=data, headers={"hx-request": "true"})
    assert answer.status_code == 500
    assert "disk is full" in answer.text
    assert answer.headers["hx-retarget"] == "#notice"
    assert "recorded." not in answer.text.replace("Nothing was recorded", "")


def test_words_are_exported(world: MemoryDeskData) -> None:
    client = entered(world)
    say(client, surge_page(world), decision="confirm", note=HOSTILE)
    out = client.get("/words.json").json()
    assert out["verdicts"][0]["note"] == HOSTILE
    assert out["verdicts"][0]["at"] == "2023-10-20T07:00:00Z"


def test_a_missing_thing_is_one_sentence(world: MemoryDeskData) -> None:
    client = entered(world)
    for path in ("/surge/none", "/look/none", "/look/none/chip.png", "/static/none.js", "/favicon.ico"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "Traceback" not in answer.text
    world.looks.clear()
    assert "No chip" in client.get(surge_page(world)).text
    assert client.get(f"{look_page(world)}/chip.png").status_code == 404


def test_an_empty_site_is_no_error(world: MemoryDeskData) -> None:
    world.surge_list, world.observation_list = (), ()
    client = entered(world)
    assert "No surge has been found" in client.get("/").text
    assert "Nothing has been said" in client.get("/words").text


# --- text that bites


class Reader(HTMLParser):
    """Collects the elements of a page and its text, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.bad: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        if any(name.startswith("on") or name == "style" for name in names) or len(names) != len(set(names)):
            self.bad.append(f"{tag} {names}")
        if tag == "img":
            self.bad.append(tag)
        if tag == "script" and "src" not in names:
            self.bad.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_hostile_text_is_text_on_every_page() -> None:
    world = a_world(hostile=True)
    client = entered(world, HOSTILE[:60])
    assert say(client, surge_page(world), decision="note", note=HOSTILE)[0] == 200
    assert say(client, look_page(world), decision="correct", railcars="3", note=HOSTILE)[0] == 200
    pages = [
        "/?show=all",
        "/words",
        surge_page(world),
        look_page(world),
        look_page(world, 4),
        f"{surge_page(world)}/viewer",
    ]
    for path in [*pages, f"{surge_page(world)}/since", f"/surge/{HOSTILE[:9].replace('<', '')}", "/?show=<script>"]:
        page = client.get(path).text
        reader = Reader()
        reader.feed(page)
        assert not reader.bad, path
        assert "\u202e" not in page, path
        assert "\u200f" not in page, path
        assert "{{7*7}}" in page or "49" not in page
    whole = [surge_page(world), look_page(world), "/words"]
    for path in whole:
        reader = Reader()
        reader.feed(client.get(path).text)
        assert "A" * 10_000 in "".join(reader.words), f"{path} shows the whole text"
        assert "<script>window.pwned=1</script>" in "".join(reader.words)
