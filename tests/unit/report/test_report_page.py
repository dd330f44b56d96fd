"""The report's page: complete, offline, the same bytes each time, and strangers' text is text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from support.report_world import HOSTILE, a_look, a_report, quiet_report

from pipeline.errors import ReportError
from pipeline.model import Grid, Ledger, LedgerEntry, Observation, SurgeStatus, Tier
from pipeline.report import ReportData, SourceState, SourceTerms, build_report, chart
from pipeline.report.build import render_report, write_atomically
from pipeline.report.text import unbroken

VOID = {"meta", "img", "br", "image", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would make of a page, as far as these tests ask."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str):
        self._inside = ""

    def handle_data(self, data: str):
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.text.append(data)

    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.elements if a.get("id")]


@pytest.fixture(scope="module")
def data() -> ReportData:
    return a_report()


@pytest.fixture(scope="module")
def small() -> ReportData:
    return replace(a_report(years=0.4), look_for=lambda _scene_id: None)


@pytest.fixture(scope="module")
def usual(small: ReportData) -> Page:
    return Page(render_report(small))


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    return render_report(data)


def test_sections_stand_in_the_order_of_reading(page: str):
    order = ["surges", "series", "tracks", "kinds", "evidence", "coverage", "failures", "unusable", "method"]
    places = [page.index(f'<section id="{name}"') for name in order]
    assert places == sorted(places)
    assert page.index("<h1") < places[0]
    assert len(Page(page).ids()) == len(set(Page(page).ids()))


def test_the_sentence_names_count_expectation_tier_and_newest_look(page: str):
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.S)
    assert heading is not None
    for part in ("Tumangang", "73 railcars", "2023-10-01", "6 (0–14)", "high", "confirmed", "61 (56–66)"):
        assert part in re.sub(r"<[^>]*>", "", heading.group(1))


def test_a_line_never_ends_inside_a_date_or_a_range():
    kept = str(unbroken("2023-10-05: saw 73 (65–81). Onset between 09-28 and 10-05 <b>"))
    for part in ("2023-10-05", "(65–81)", "09-28", "10-05"):
        assert f'<span class="nowrap">{part}</span>' in kept
    assert kept.endswith(" &lt;b&gt;")


def test_changes_of_the_mix_of_kinds_stand_above_its_table(data: ReportData):
    page = render_report(replace(data, kind_changes=("Tank cars are 25 % of the yard, were 5 %.",)))
    kinds = page[page.index('id="kinds"') : page.index('id="evidence"')]
    assert kinds.index("Tank cars are 25 % of the yard") < kinds.index("<table>")
    assert ">tank car</th>" in kinds
    assert ">passenger car</th>" not in kinds  # never seen


def test_methods_calibration_and_its_histogram_stand_under_method(data: ReportData):
    shares = (0.02, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.18)
    page = render_report(replace(data, calibration={"simulated_quiet_years": 600.0, "pit_histogram": shares}))
    method = page[page.index('id="method"') :]
    assert "Simulated quiet years" in method
    assert method.count("% of looks</title>") == 10
    assert "the highest 18 %" in method
    assert f"{sum(o.count is not None and o.method == 'occupancy' for o in data.observations)} counts" in method
    assert "pit histogram" not in method
    assert "too narrow" not in method
    narrow = render_report(replace(data, calibration={"pit_histogram": (0.3, *(0.05,) * 8, 0.3)}))
    assert "too narrow" in narrow


def test_nothing_is_fetched_and_nothing_but_our_scripts_may_run(page: str):
    parsed = Page(page)
    for tag, attrs in parsed.elements:
        for name in ("src", "href"):
            value = attrs.get(name) or ""
            if tag == "a" and name == "href":
                assert value.startswith(("#", "https://", "http://")), value
            elif value:
                assert value.startswith("data:image/"), (tag, value[:80])
    assert "url(" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    policy = next(a["content"] for t, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy
    assert "unsafe-eval" not in policy and "script-src 'unsafe-inline'" not in policy
    runnable = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(runnable) == 2
    for script in runnable:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_same_record_gives_the_same_bytes(data: ReportData, page: str):
    assert render_report(replace(data)) == page


def test_every_look_without_a_count_is_listed_with_its_reason(data: ReportData, page: str):
    rows = [o for o in data.observations if o.count is None]
    table = page[page.index('id="unusable"') : page.index('id="method"')]
    assert rows
    assert all(o.scene_id in table for o in rows)
    assert table.count("12 % of the track area was clear") == sum("CLOUDY" in o.flags for o in rows)


def test_an_unseen_yard_is_not_called_empty(data: ReportData):
    page = render_report(replace(data, observations=(), surges=(), baselines=(), alarms=(), verdicts=()))
    assert "has not been seen" in page
    assert "Not seen is not empty" in page
    assert "vegaEmbed =" not in page  # no chart, no library


def test_what_cannot_be_judged_says_so(data: ReportData):
    page = render_report(replace(data, surges=(), cannot_judge="cannot judge yet: needs 5 more looks."))
    assert "cannot judge yet: needs 5 more looks." in page


def test_a_calm_site_and_a_rejected_surge_raise_no_alarm(data: ReportData):
    assert 'class="state calm"' in render_report(quiet_report())
    rejected = tuple(replace(s, verdict="reject") for s in data.surges)
    page = render_report(replace(data, surges=rejected))
    assert 'class="state calm"' in page
    assert "1 open surge was rejected by an analyst" in page


def test_stale_and_failing_sources_are_named_and_those_switched_off_are_not_failures(data: ReportData):
    sources = (*data.freshness, SourceState("wayback", "Wayback", None, None, "disabled: terms forbid storing."))
    page = render_report(replace(data, freshness=sources))
    assert "No new scene for more than 12 days from Planetary Computer." in page
    assert re.search(r"Wayback.*?f-off", page, re.S)


def test_the_chart_data_is_json_that_cannot_leave_its_script(data: ReportData):
    page = render_report(replace(data, observations=tuple(replace(o, scene_id=HOSTILE) for o in data.observations)))
    parsed = Page(page)
    block = next(s for s in parsed.scripts if s.startswith("{") and '"layer"' in s)
    assert "\u2028" not in block
    assert "</script" not in block.lower()
    assert json.loads(block)["layer"]


def _observations(data: ReportData, **change: object) -> tuple[Observation, ...]:
    return tuple(replace(o, **change) for o in data.observations)


PLACES = {
    "site title": lambda d: replace(d, site=replace(d.site, title=HOSTILE)),
    "track names": lambda d: replace(
        d, site=replace(d.site, tracks=tuple(replace(t, name=HOSTILE, track_id=t.track_id) for t in d.site.tracks))
    ),
    "track ids": lambda d: replace(
        d, site=replace(d.site, tracks=tuple(replace(t, track_id=HOSTILE + t.track_id) for t in d.site.tracks))
    ),
    "publisher": lambda d: replace(
        d, site=replace(d.site, published=tuple(replace(p, publisher=HOSTILE) for p in d.site.published))
    ),
    "published source": lambda d: replace(
        d, site=replace(d.site, published=tuple(replace(p, source=HOSTILE) for p in d.site.published))
    ),
    "scene ids": lambda d: replace(d, observations=_observations(d, scene_id=HOSTILE)),
    "item ids": lambda d: replace(d, observations=_observations(d, item_ids=(HOSTILE,))),
    "details": lambda d: replace(d, observations=_observations(d, detail=HOSTILE)),
    "flags": lambda d: replace(d, observations=_observations(d, flags=(HOSTILE,))),
    "platform and method": lambda d: replace(d, observations=_observations(d, platform=HOSTILE, method=HOSTILE)),
    "analyst's line": lambda d: replace(d, surges=tuple(replace(s, sentence=HOSTILE) for s in d.surges)),
    "surge id": lambda d: replace(d, surges=tuple(replace(s, surge_id=HOSTILE) for s in d.surges)),
    "verdict word": lambda d: replace(d, surges=tuple(replace(s, verdict=HOSTILE) for s in d.surges)),
    "verdicts": lambda d: replace(
        d, verdicts=tuple(replace(v, note=HOSTILE, by=HOSTILE, reason=HOSTILE) for v in d.verdicts)
    ),
    "source title": lambda d: replace(d, freshness=(SourceState("a", HOSTILE, None, None, HOSTILE),)),
    "ledger": lambda d: replace(d, ledger=Ledger((LedgerEntry("acquire", HOSTILE, "failed", HOSTILE),))),
    "messages": lambda d: replace(d, messages=(HOSTILE,)),
    "kind changes": lambda d: replace(d, kind_changes=(HOSTILE,)),
    "changes": lambda d: replace(d, changes=(HOSTILE,)),
    "cannot judge": lambda d: replace(d, cannot_judge=HOSTILE),
    "terms": lambda d: replace(d, terms=(SourceTerms("a", HOSTILE, HOSTILE, HOSTILE),)),
    "versions": lambda d: replace(d, versions={HOSTILE: HOSTILE}),
    "calibration": lambda d: replace(d, calibration={HOSTILE: HOSTILE, "inner": {"a": HOSTILE}}),
    "passes": lambda d: replace(
        d, next_passes=tuple(replace(p, platform=HOSTILE, basis=HOSTILE) for p in d.next_passes)
    ),
    "redo": lambda d: replace(d, redo=(HOSTILE,)),
}
WHOLE = {  # places whose whole text must be there to read
    "site title", "publisher", "scene ids", "item ids", "details", "analyst's line", "verdicts", "source title",
    "ledger", "messages", "kind changes", "changes", "cannot judge", "terms", "versions", "calibration", "redo",
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_strangers_text_is_shown_as_text(small: ReportData, usual: Page, place: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chart, "still", lambda _spec: "<svg/>")  # a picture of numbers alone, slow to draw
    parsed = Page(render_report(PLACES[place](small)))
    assert len(parsed.scripts) == len(usual.scripts)
    assert {tag for tag, _ in parsed.elements} - {tag for tag, _ in usual.elements} <= {
        "details",
        "summary",
        "bdi",
        "wbr",
    }
    for tag, attrs in parsed.elements:
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert "javascript:" not in (attrs.get("href") or "")
        assert len(attrs.get("title") or "") < 400
    text = "".join(parsed.text)
    assert not set("\u202e\u200f\u2028") & set(text)
    if place in WHOLE:
        assert "window.pwned=1" in text
        assert "A" * 10_000 in text
        assert "[U+202E]evil" in text


def test_hostile_everything_at_once_stays_one_page():
    parsed = Page(render_report(a_report(years=0.4, hostile=True)))
    assert len(parsed.scripts) == 4
    assert not [a for _, a in parsed.elements if any(name.startswith("on") for name in a)]


ODD_LOOKS = {
    "radar": lambda look: replace(look, bands=("vv", "vh"), values=np.abs(look.values[:2])),
    "one band": lambda look: replace(look, bands=("pan",), values=look.values[:1]),
    "no data": lambda look: replace(look, values=np.full_like(look.values, np.nan)),
    "all masked": lambda look: replace(look, clear=np.zeros_like(look.clear)),
    "constant": lambda look: replace(look, values=np.full_like(look.values, 0.1)),
    "elsewhere": lambda look: replace(look, grid=Grid("EPSG:32652", (10, 0, 0, 0, -10, 900), *look.grid.shape[::-1])),
    "infinite": lambda look: replace(look, values=np.full_like(look.values, np.inf)),
}


@pytest.mark.parametrize("kind", ODD_LOOKS)
def test_odd_pictures_do_not_stop_a_report(kind: str):
    data = a_report(years=0.4)
    coarse = tuple(replace(o, gsd_m=10.0, sensor="sentinel-2") for o in data.observations)
    quiet = a_look(data.site, "quiet", coarse[0].observed_at, 10.0, 3)
    page = render_report(replace(data, observations=coarse, look_for=lambda _scene_id: ODD_LOOKS[kind](quiet)))
    assert page.count('<div class="picture"') == 4


def test_a_site_without_tracks_has_a_report():
    data = a_report(years=0.4)
    page = render_report(replace(data, site=replace(data.site, tracks=())))
    assert "No count tells the tracks apart yet." in page


def test_a_surge_that_became_normal_is_not_called_open():
    data = a_report(years=0.4)
    regime = tuple(replace(s, status=SurgeStatus.NEW_REGIME) for s in data.surges)
    page = render_report(replace(data, surges=regime, look_for=lambda _scene_id: None))
    assert "became the new normal" in page
    assert "still open" not in page


def test_without_an_open_surge_the_gravest_of_late_is_unfolded():
    data = a_report(years=0.8, surges=3)
    ended = [replace(s, status=SurgeStatus.ENDED, ended_at=s.peak_at) for s in data.surges]
    newest = max(ended, key=lambda s: s.first_alarm_at)
    gravest = next(s for s in ended if s is not newest)
    marked = [replace(s, tier=Tier.HIGH if s is gravest else Tier.WATCH) for s in ended]
    page = render_report(replace(data, surges=tuple(marked), look_for=lambda _scene_id: None))
    unfolded = re.findall(r'<details class="surge tier-(\w+)" id="(surge-\d)" open>', page)
    assert [tier for tier, _ in unfolded] == ["high"]
    top = page[page.index('id="surges"') : page.index('id="series"')]
    assert f'href="#{unfolded[0][1]}"' in top
    assert f"{gravest.peak_railcars:.0f} railcars" in top


def test_the_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "reports" / "yard.html"
    write_atomically(out, b"old")

    def dies(self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(ReportError, match=r"yard\.html: cannot be written \(No space left"):
        write_atomically(out, b"new")
    assert out.read_bytes() == b"old"
    assert [p.name for p in out.parent.iterdir()] == ["yard.html"]


def test_a_folder_in_the_way_is_one_sentence(tmp_path: Path, data: ReportData):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ReportError, match="cannot be written"):
        build_report(replace(data, observations=()), tmp_path / "taken" / "report.html")


def test_no_template_trusts_a_stranger():
    folder = Path(__file__).parents[3] / "pipeline" / "report" / "templates"
    for template in folder.glob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", template.read_text(encoding="utf-8")), template
