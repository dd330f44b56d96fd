"""A simulated archive, walked by a round, at the desk and in the report: a word given by keyboard comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.chromium import TOKEN, served
from support.flow_world import FIRST, LOOKS, SITE, write_world

from flows.walk import Direct, Window, walk
from pipeline.model import Observation, Surge, SurgeStatus, Tier
from pipeline.report.desk import create_app
from pipeline.round.history import known_counts
from pipeline.round.progress import Silent
from pipeline.round.report import report_site
from pipeline.round.review import StoreDesk
from pipeline.round.words import scenes_of
from pipeline.round.workspace import Workspace

pytestmark = pytest.mark.browser
TODAY = FIRST + timedelta(days=60)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    config = write_world(tmp_path)
    with Workspace.open(config, tmp_path / "home") as ws:
        window = Window(FIRST, FIRST + timedelta(days=5 * LOOKS))
        walk(ws, SITE, today=TODAY, window=window, progress=Silent(), engine=Direct(), workers=1)
        yield ws


def a_surge(rows: tuple[Observation, ...]) -> Surge:
    first, last = rows[3], rows[8]
    return Surge(
        "3f2a91c0-0000-5000-8000-000000000001", SITE, Tier.HIGH, SurgeStatus.PROVISIONAL, rows[2].observed_at,
        first.observed_at, first.observed_at, last.observed_at, 40.0, 5.0, 0.0, 12.0, 8.0, 0.05,
        observation_ids=tuple(row.observation_id for row in rows[3:9]), sentence="Forty where five were expected.",
    )  # fmt: skip


@pytest.fixture
def url(workspace: Workspace) -> Iterator[str]:
    """Serve the desk over the walked archive with one surge in its store."""
    surge = a_surge(workspace.store.observations(SITE))
    workspace.store.save_judgement(SITE, [surge], [], {})
    desk = StoreDesk(workspace, SITE)
    with served(
        lambda port: create_app(desk, token=TOKEN, host="127.0.0.1", port=port, now=lambda: datetime.now(UTC))
    ) as address:
        yield address


def a_page(browser: Browser, own: str, troubles: list[str]) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((own, "data:")) else troubles.append(f"asks {r.url}"))
    return page


def test_a_word_given_at_the_desk_is_stored_known_and_reported(
    browser: Browser, workspace: Workspace, url: str
) -> None:
    troubles: list[str] = []
    page = a_page(browser, url, troubles)
    page.goto(f"{url}/enter?token={TOKEN}")
    page.keyboard.type("Kim")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/")
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage image")
    page.wait_for_selector("html[data-ready]")
    drawn = page.locator("#stage image").last.get_attribute("href") or ""  # the archive's own chip
    assert page.request.get(url + drawn).body().startswith(b"\x89PNG")
    corrected = drawn.split("/")[2]
    page.keyboard.press("c")
    page.keyboard.press("n")
    page.keyboard.type("Two trains more")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#result")).to_contain_text("Your confirmation is recorded.")
    page.keyboard.press("e")
    page.wait_for_selector("#railcars")
    page.wait_for_selector("html[data-ready]")
    page.locator("#railcars").focus()
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_contain_text("Your number is recorded.")
    exported = json.loads(page.request.get(f"{url}/words.json").text())
    assert sorted(word["decision"] for word in exported["verdicts"]) == ["confirm", "correct"]
    page.close()

    said = workspace.store.verdicts(SITE)
    assert [(v.by, v.decision, v.note, v.railcars) for v in said] == [
        ("Kim", "confirm", "Two trains more", None),
        ("Kim", "correct", "", 12.0),
    ]
    rows = workspace.store.observations(SITE)
    known = known_counts(workspace.site(SITE), rows, said, scenes_of(workspace.store, SITE, said))
    (seen,) = [row for row in rows if row.observation_id == corrected]
    assert [(k.observed_at, k.railcars) for k in known if k.origin == "verdict"] == [(seen.observed_at, 12.0)]

    report = report_site(workspace, SITE, today=TODAY)
    page = a_page(browser, report.as_uri(), troubles)
    page.goto(report.as_uri())
    page.wait_for_selector("#chart[data-ready]")
    expect(page.locator("#series")).to_contain_text("correct to 12 railcars by Kim")
    expect(page.locator("#unusable")).to_contain_text("red")  # the corrupt image, named with its asset
    page.close()
    assert troubles == []
