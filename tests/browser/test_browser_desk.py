"""The review desk in a real browser: every flow by keyboard, two people at once, reloads, accessibility."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from support.chromium import AXE, TOKEN, WIDTHS, served
from support.missing import missing

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "unit" / "desk"))

from desk_world import HOSTILE, MemoryDeskData, a_world  # noqa: E402

from pipeline.report.desk import create_app  # noqa: E402

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """A served desk with what went wrong in the browsers that looked at it."""

    world: MemoryDeskData
    url: str
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    checked: bool = False  # pages carry axe
    expected: list[str] = field(default_factory=list)  # parts of troubles that the test provokes

    def page(self, **options: Any) -> Page:
        """Return a page of a new browser profile, watched for errors and for requests elsewhere."""
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = self.browser.new_context(**options)
        context.set_default_timeout(10_000)
        if self.checked:
            context.add_init_script(path=AXE)  # by the debugger: the page's own policy would not let it in
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: self.troubles.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(self.url) else self.troubles.append(f"asks {r.url}"))
        return page

    def enter(self, name: str = "Kim", **options: Any) -> Page:
        """Return a page of a person who has entered by the one-time link, by keyboard."""
        page = self.page(**options)
        page.goto(f"{self.url}/enter?token={TOKEN}")
        page.keyboard.type(name)  # the field has the focus
        page.keyboard.press("Enter")
        page.wait_for_url(f"{self.url}/")
        ready(page)
        return page

    def surge(self, page: Page) -> None:
        """Open the first surge of the queue by keyboard."""
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("#stage")
        ready(page)


def ready(page: Page) -> None:
    """Wait until the page listens to keys."""
    page.wait_for_selector("html[data-ready]")


def serve(world: MemoryDeskData, browser: Browser) -> Iterator[Desk]:
    def application(port: int) -> Any:
        return create_app(world, token=TOKEN, host="127.0.0.1", port=port, now=lambda: datetime.now(UTC))

    with served(application) as url:
        desk = Desk(world, url, browser)
        yield desk
        for context in desk.contexts:
            context.close()
    bad = [t for t in desk.troubles if not any(part in t for part in desk.expected)]
    assert not bad, "console errors, page errors or requests to elsewhere"


@pytest.fixture
def desk(browser: Browser) -> Iterator[Desk]:
    yield from serve(a_world(), browser)


@pytest.fixture
def hostile_desk(browser: Browser) -> Iterator[Desk]:
    yield from serve(a_world(hostile=True), browser)


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab until the element has the focus, as somebody without a mouse would."""
    for _ in range(80):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press(key)
    pytest.fail(f"{selector} cannot be reached by {key}")


def send(page: Page) -> None:
    with page.expect_response("**/word"):
        page.keyboard.press("Control+Enter")
    expect(page.locator("#result")).to_contain_text("is recorded.")


# --- every flow by keyboard alone


def test_reject_with_reason_and_note(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("r")
    expect(page.locator("#reason")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("Snow on c and r and ? and 1")
    send(page)
    (word,) = desk.world.said
    assert (word.decision, word.reason, word.note, word.by) == (
        "reject",
        "snow",
        "Snow on c and r and ? and 1",
        "Kim",
    )
    expect(page.locator("#result")).to_be_focused()
    expect(page.locator(".history")).to_contain_text("Snow on c and r and ? and 1")


def test_confirm_then_take_back_then_only_a_note(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("c")
    send(page)
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    expect(page.locator(".history .gone")).to_have_count(1)
    page.keyboard.press("c")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    page.keyboard.type("Look again on Friday")
    send(page)
    assert [v.decision for v in desk.world.said] == ["confirm", "undo", "note"]
    expect(page.locator("p.standing")).to_contain_text("No verdict stands")


def test_an_unfinished_word_says_what_is_missing(desk: Desk) -> None:
    desk.expected = ["422"]
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("n")
    page.keyboard.type("half a thought")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel .error")).to_contain_text("Choose what you decide first.")
    expect(page.locator("#note")).to_have_value("half a thought")
    page.keyboard.press("c")
    send(page)
    assert [v.note for v in desk.world.said] == ["half a thought"]


def test_the_evidence_is_driven_by_keys(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    a, b = page.locator("[data-side=a]"), page.locator("[data-side=b]")
    expect(a).to_be_visible()
    expect(b).to_be_visible()
    page.keyboard.press("1")
    expect(b).to_be_hidden()
    page.keyboard.press("2")
    expect(a).to_be_hidden()
    page.keyboard.press("x")
    expect(b).to_be_hidden()
    page.keyboard.press("b")
    expect(a).to_be_visible()
    expect(b).to_be_visible()  # it blinks: each is seen in turn
    expect(a).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator("#swipe")).to_be_focused()
    before = page.locator("#clip-b rect").get_attribute("x")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#swipe")).to_have_value("45")
    assert float(page.locator("#clip-b rect").get_attribute("x") or 0) < float(before or 0)
    page.keyboard.press("d")
    expect(page.locator("#detections")).not_to_be_checked()
    expect(page.locator(".tracks").first).to_be_hidden()
    page.keyboard.press("d")
    svg = page.locator("#stage svg")
    whole = svg.get_attribute("viewBox")
    page.keyboard.press("+")
    zoomed = svg.get_attribute("viewBox")
    assert zoomed != whole
    tab_to(page, "#stage", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert svg.get_attribute("viewBox") != zoomed
    page.keyboard.press("0")
    assert svg.get_attribute("viewBox") == whole
    chosen = page.locator("#look-b").input_value()
    page.keyboard.press("[")
    expect(page.locator("#look-b")).not_to_have_value(chosen)
    page.keyboard.press("]")
    expect(page.locator("#look-b")).to_have_value(chosen)


def test_another_look_keeps_zoom_and_mode(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("2")
    page.keyboard.press("+")
    view = page.locator("#stage svg").get_attribute("viewBox")
    tag = page.locator("[data-tag=b]").text_content()
    page.keyboard.press("[")
    expect(page.locator("[data-tag=b]")).not_to_have_text(tag or "")
    assert page.locator("#stage svg").get_attribute("viewBox") == view
    expect(page.locator("[data-side=a]")).to_be_hidden()


def test_a_count_is_corrected_in_the_list_of_railcars(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("e")
    page.wait_for_selector("#cars")
    ready(page)
    tab_to(page, "input[name=car]")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator("#cars-sum")).to_have_text("71")
    expect(page.locator("polygon.off")).to_have_count(2)
    page.keyboard.press("Tab")
    expect(page.locator("#missed")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#cars-sum")).to_have_text("72")
    send(page)
    (word,) = desk.world.said
    assert (word.subject, word.decision, word.railcars) == ("count", "correct", 72.0)
    assert word.note == "[clicked: 73 listed, struck out 1, 3, added 1]"


def test_a_count_is_corrected_by_a_number(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("e")
    page.wait_for_selector("#cars")
    ready(page)
    tab_to(page, "#railcars")
    page.keyboard.type("68")
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_contain_text("Your number is recorded.")
    assert [v.railcars for v in desk.world.said] == [68.0]
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    expect(page.locator("p.standing")).to_contain_text("No correction stands")


def test_railcars_are_clicked_in_the_image(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("e")
    page.wait_for_selector("#cars")
    ready(page)
    for _ in range(3):
        page.locator("[data-zoom=in]").click()
    page.locator("#car-36").focus()  # brings it into the image
    page.locator('polygon[data-car="36"]').click()
    expect(page.locator("#car-36")).not_to_be_checked()
    expect(page.locator("#cars-on")).to_have_text("72")
    page.locator('polygon[data-car="36"]').click()
    expect(page.locator("#cars-on")).to_have_text("73")


def test_the_list_of_keys(desk: Desk) -> None:
    page = desk.enter()
    page.keyboard.press("?")
    dialog = page.locator("#keys")
    expect(dialog).to_be_visible()
    for word in ("queue of surges", "blink", "confirm", "Take back", "correct the later look's count"):
        expect(dialog).to_contain_text(word)
    tab_to(page, "#keys-on")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()
    tab_to(page, "#keys-open")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    tab_to(page, "#queue h2 a")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage")
    ready(page)
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.locator("h1")).to_have_text("Surge of 2023-10-01")


def test_pages_are_reached_by_two_keys(desk: Desk) -> None:
    page = desk.enter()
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_url("**/words")
    ready(page)
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_url(f"{desk.url}/")


def test_leaving_and_inviting_by_keyboard(desk: Desk) -> None:
    desk.expected = ["401"]
    page = desk.enter()
    tab_to(page, "form[action='/leave'] button")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("You have left the desk")
    page.goto(desk.url)
    expect(page.locator("main")).to_contain_text("Open the desk by the link")


# --- two people


def test_two_people_at_once(desk: Desk) -> None:
    kim = desk.enter("Kim")
    tab_to(kim, "form[action='/invite'] button")
    kim.keyboard.press("Enter")
    kim.wait_for_url("**/invite")
    ready(kim)
    link = kim.locator(".link").text_content() or ""
    lee = desk.page()
    lee.goto(link)
    lee.keyboard.type("Lee")
    lee.keyboard.press("Enter")
    lee.wait_for_url(f"{desk.url}/")
    ready(lee)
    kim.keyboard.press("g")
    kim.keyboard.press("q")
    kim.wait_for_url(f"{desk.url}/")
    ready(kim)
    desk.surge(kim)
    desk.surge(lee)
    kim.keyboard.press("n")
    kim.keyboard.type("I was still writing")
    lee.keyboard.press("c")
    lee.keyboard.press("n")
    lee.keyboard.type("Plain to see")
    send(lee)
    expect(kim.locator("#meanwhile")).to_contain_text("Plain to see")  # without a reload, within a poll
    expect(kim.locator("#note")).to_have_value("I was still writing")
    kim.keyboard.press("Escape")
    kim.keyboard.press("r")
    kim.keyboard.press("ArrowDown")
    kim.keyboard.press("Tab")
    kim.keyboard.press("Control+Enter")
    expect(kim.locator("#result")).to_contain_text("Somebody else spoke meanwhile")
    assert [(v.by, v.decision, v.note) for v in desk.world.said] == [
        ("Lee", "confirm", "Plain to see"),
        ("Kim", "reject", "I was still writing"),
    ]
    desk.expected = ["409"]
    lee.evaluate("document.querySelector('#meanwhile').replaceChildren()")
    lee.keyboard.press("u")
    lee.keyboard.press("Enter")
    expect(lee.locator("#panel .error")).to_contain_text("Somebody else spoke meanwhile")
    assert len(desk.world.said) == 2
    lee.keyboard.press("u")
    lee.keyboard.press("Enter")
    expect(lee.locator(".history .gone")).to_have_count(1)
    assert [(v.by, v.decision) for v in desk.world.said][2:] == [("Lee", "undo")]


# --- reloads


def test_a_reload_in_the_middle_of_a_verdict_keeps_it(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("r")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("Unfinished <b>business</b>\u202e")
    page.reload()
    ready(page)
    expect(page.locator("#decide-reject")).to_be_checked()
    expect(page.locator("#reason")).to_have_value("cloud")
    expect(page.locator("#note")).to_have_value("Unfinished <b>business</b>\u202e")
    expect(page.locator("#draft")).to_contain_text("not sent yet")
    page.keyboard.press("n")
    send(page)
    assert desk.world.said[0].note == "Unfinished <b>business</b>\u202e"
    page.reload()
    ready(page)
    expect(page.locator("#note")).to_have_value("")
    expect(page.locator("#decide-reject")).not_to_be_checked()
    assert len(desk.world.said) == 1


def test_a_reload_keeps_the_struck_railcars(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    page.keyboard.press("e")
    page.wait_for_selector("#cars")
    ready(page)
    tab_to(page, "input[name=car]")
    page.keyboard.press("Space")
    page.reload()
    ready(page)
    expect(page.locator("#cars-sum")).to_have_text("72")
    expect(page.locator("polygon.off")).to_have_count(1)


def test_an_answer_that_is_lost_does_not_double_the_word(desk: Desk) -> None:
    desk.expected = ["ERR_FAILED", "htmx:"]
    page = desk.enter()
    desk.surge(page)

    def lose(route: Route) -> None:
        route.fetch()  # the desk hears it
        route.abort()  # the browser never hears the answer

    page.route("**/word", lose)
    page.keyboard.press("c")
    page.keyboard.press("n")
    page.keyboard.type("Once")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notice")).to_contain_text("What you wrote is kept in this browser")
    assert len(desk.world.said) == 1
    page.unroute("**/word")
    page.reload()
    ready(page)
    expect(page.locator("#note")).to_have_value("Once")
    page.keyboard.press("n")
    send(page)
    assert len(desk.world.said) == 1


def test_without_scripts_the_desk_still_takes_a_word(desk: Desk) -> None:
    page = desk.page(java_script_enabled=False)
    page.goto(f"{desk.url}/enter?token={TOKEN}")
    page.fill("#name", "Kim")
    page.keyboard.press("Enter")
    page.click("#queue h2 a")
    page.check("#decide-confirm", force=True)
    page.fill("#note", "plain")
    page.click("#word button.primary")
    expect(page.locator("#result")).to_contain_text("Your confirmation is recorded.")
    page.select_option("#look-b", index=1)
    page.click(".pair button")
    expect(page.locator("[data-side=b] image")).to_be_visible()
    assert [v.note for v in desk.world.said] == ["plain"]


# --- accessibility and shape


def violations(page: Page) -> list[str]:
    """Return what axe finds in light and in dark."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += page.evaluate(
            "async (scheme) => (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'],"
            " resultTypes: ['violations']})).violations"
            ".map(v => scheme + v.id + ': ' + v.nodes.map(n => n.html.slice(0, 150) + n.failureSummary).join())",
            scheme,
        )
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_wcag(desk: Desk, width: int) -> None:
    if not AXE.exists():
        missing("axe-core (npm) is not installed")
    desk.expected, desk.checked = ["404", "422"], True
    still = {"viewport": {"width": width, "height": 800}, "reduced_motion": "reduce"}  # colours do not fade
    door = desk.page(**still)
    door.goto(f"{desk.url}/enter?token={TOKEN}")
    assert violations(door) == []
    page = desk.enter(**still)
    surge = desk.world.surges()[1].surge_id
    looks = desk.world.observations()
    for path in (
        "/?show=all",
        f"/surge/{surge}",
        f"/look/{looks[7].observation_id}",
        f"/look/{looks[4].observation_id}",
        "/none",
    ):
        page.goto(desk.url + path)
        page.wait_for_load_state("load")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
    page.goto(f"{desk.url}/surge/{surge}")
    ready(page)
    page.keyboard.press("n")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#panel .error")).to_be_visible()
    assert violations(page) == [], "with an error"
    page.keyboard.press("c")
    send(page)
    assert violations(page) == [], "with a word"
    page.keyboard.press("?")
    assert violations(page) == [], "with the list of keys"
    page.goto(f"{desk.url}/words")
    assert violations(page) == []


def test_motion_is_slow_and_starts_only_when_asked(desk: Desk) -> None:
    page = desk.enter()
    desk.surge(page)
    flips = """() => new Promise(done => {
        let n = 0;
        const side = document.querySelector('[data-side=a]');
        new MutationObserver(() => n++).observe(side, {attributes: true, attributeFilter: ['class']});
        setTimeout(() => done(n), 1500);
    })"""
    assert page.evaluate(flips) == 0
    page.keyboard.press("b")
    assert 1 <= page.evaluate(flips) <= 4


# --- text that bites


@pytest.mark.parametrize("width", [360, 1440])
def test_hostile_text_is_shown_as_text(hostile_desk: Desk, width: int) -> None:
    desk = hostile_desk
    page = desk.enter(HOSTILE[:40], viewport={"width": width, "height": 800})
    desk.surge(page)
    page.keyboard.press("c")
    page.locator("#note").fill(HOSTILE)
    page.locator("#note").focus()
    send(page)
    for path in (
        page.url,
        f"{desk.url}/look/{desk.world.observations()[7].observation_id}",
        f"{desk.url}/words",
        f"{desk.url}/?show=all",
    ):
        page.goto(path)
        page.wait_for_load_state("load")
        assert page.evaluate("window.pwned") is None
        assert page.locator("main img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} scrolls sideways"
        expect(page.locator("main")).to_contain_text("<script>window.pwned=1</script>")
        expect(page.locator("main")).to_contain_text("[U+202E]evil[U+200F]")
    page.goto(f"{desk.url}/words")
    expect(page.locator(".note")).to_contain_text("A" * 10_000)
    assert desk.world.said[0].note == HOSTILE
