"""What the report says: text, sentences, the chart's records, coverage."""

from __future__ import annotations

import html
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from support.report_world import a_report, quiet_report

from pipeline.model import Outcome, SurgeStatus
from pipeline.report import NextPass, chart, series, text
from pipeline.report.coverage import coverage, freshness
from pipeline.report.doubt import doubts
from pipeline.report.episode import Story, story_of
from pipeline.report.headline import headline, in_reading_order
from pipeline.report.heatmap import heat_maps


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", " java\nscript:alert(1)", "data:text/html,x", "file:///etc/passwd",
        "//example.org/x", "/relative", "https://", "https://user:secret@example.org/", "https://example.org/\u202e",
        "https://exa mple.org/", "https:\\\\example.org", "http://[::1", "https://example.org/" + "a" * 3000, "",
    ],
)  # fmt: skip
def test_only_plain_web_addresses_become_links(address: str):
    assert text.safe_href(address) == ""


@pytest.mark.parametrize("address", ["https://example.org/a?b=c#d", "http://example.org:8080/x"])
def test_web_addresses_stay(address: str):
    assert text.safe_href(address) == address


def test_what_cannot_be_seen_is_written_out():
    assert (
        text.shown("a\u202eb\u200fc\x00d\u2028e\u200bf\ufeff")
        == "a[U+202E]b[U+200F]c[U+0000]d[U+2028]e[U+200B]f[U+FEFF]"
    )
    assert text.short("x\n\t y" * 50, 10) == "x yx yx y…"
    assert not text.is_long("a" * 80)
    assert text.is_long("a" * 81)


def test_a_word_of_any_length_may_break_and_stays_the_same_text():
    word = "<" + "A" * 500 + "\0&"
    kept = str(text.breakable(f"short {word} end"))
    assert kept.count("<wbr>") == 8
    assert html.unescape(kept.replace("<wbr>", "")) == text.shown(f"short {word} end")
    assert text.breakable("plain <words>") == "plain &lt;words&gt;"


def test_clear_fractions_never_round_up_to_all():
    assert text.percent(0.999) == "99 %"
    assert text.percent(1.0) == "100 %"
    assert text.percent(None) == "–"


def test_rates_are_words_and_never_zero():
    assert text.rate(0.05) == "less than once in 20 years"
    assert text.rate(1 / 437.6) == "less than once in 437 years"
    assert text.rate(1.4) == "1.4 times a year"
    assert text.rate(0.8) == "0.80 times a year"
    assert text.rate(0.0) == "less than once in the simulated years"


def test_calibration_is_told_whatever_its_shape():
    said = dict(
        text.figures({"a_b": 0.12345, "c": {"d": 3, "e": (1.0, 2.0)}, "f": None, "g": True, "h": range(0), "i": []})
    )
    assert said["a b"] == "0.123"
    assert said["c: d"] == "3"
    assert said["c: e"] == "1, 2"
    assert (said["f"], said["g"], said["i"]) == ("–", "yes", "–")
    assert dict(text.figures({"x": list(range(20))}))["x"].endswith("(20 in all)")


def test_the_sentence_of_a_calm_site_gives_count_and_expectation():
    head = headline(quiet_report())
    assert head.state == "calm"
    assert head.sentence.startswith("No surge is open at Tumangang: the newest count, of 2023-09-")
    assert "are expected" in head.sentence


def test_the_newest_count_says_its_age_and_what_was_missed():
    data = a_report(years=0.5)
    late = replace(data, generated_for=date(2023, 11, 20))
    assert any("40 days old" in aside for aside in headline(late).asides)
    hidden = replace(data.observations[-1], outcome=Outcome.REJECTED, count=None, flags=("CLOUDY",))
    cloudy = replace(data, observations=(*data.observations[:-1], hidden))
    assert any("1 look since then gave no count" in aside for aside in headline(cloudy).asides)


def test_surges_are_read_open_first_then_newest():
    data = a_report(years=2, surges=4)
    first, *rest = in_reading_order(data.surges)
    assert first.ended_at is None
    assert [s.first_alarm_at for s in rest] == sorted((s.first_alarm_at for s in rest), reverse=True)


def test_an_upper_limit_is_drawn_at_its_limit_and_never_as_a_count():
    data = a_report(years=1)
    records = series.look_records(data)
    limits = [r for r in records if r["k"] == "at most"]
    assert limits
    assert all(r["n"] == r["hi"] and r["says"].startswith("at most") for r in limits)
    assert len(records) == sum(o.count is not None for o in data.observations)


def test_every_pass_is_in_the_chart_once():
    data = a_report(years=1)
    looks, unseen = series.look_records(data), series.unseen_records(data)
    assert len(looks) + len(unseen) == len(data.observations)
    assert {r["k"] for r in unseen} <= {"rejected", "failed"}


def test_a_long_time_without_a_count_is_a_gap_up_to_the_reports_day():
    data = a_report(years=1)
    assert not any(g["t2"] > series.ms(data.observations[-1].observed_at) for g in series.gap_records(data))
    later = replace(data, generated_for=data.generated_for + timedelta(days=30))
    assert series.gap_records(later)[-1]["says"] == "not seen for 31 days"


def test_published_rows_without_a_number_of_railcars_are_not_drawn():
    data = a_report(years=1)
    assert [p["n"] for p in series.published_records(data)] == [73.0, 20.0]
    odd = replace(data.site.published[0], value="about 73")
    assert series.published_number(odd) is None


def test_the_chart_holds_all_layers_and_no_outside_address():
    data = a_report(years=1)
    spec = chart.specification(data)
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert marks.count("rect") == 3
    assert {"area", "line", "tick", "rule", "point", "text"} <= set(marks)
    assert "http" not in str(spec)
    assert chart.still(spec).startswith("<svg")


def test_light_and_dark_have_the_same_meanings_in_colours_of_their_own():
    assert chart.LIGHT.keys() == chart.DARK.keys()
    assert len(set(chart.LIGHT.values())) == len(chart.LIGHT)


def test_the_story_prefers_a_quiet_look_of_the_alarms_sensor():
    data = a_report(years=1)
    surge = data.surges[0]
    story = story_of(surge, data.observations)
    assert story.quiet is not None and story.alarm is not None and story.peak is not None
    assert story.quiet.observed_at <= surge.onset_earliest < story.alarm.observed_at < story.peak.observed_at
    assert story.peak.count is not None and story.peak.count.railcars == surge.peak_railcars


def test_a_quiet_look_half_in_cloud_gives_way_to_a_clear_one_of_the_weeks_before():
    data = a_report(years=1)
    surge = data.surges[0]
    usual = story_of(surge, data.observations)
    assert usual.quiet is not None and not usual.passed_over

    def clouded(days: float) -> Story:
        assert usual.quiet is not None
        since = usual.quiet.observed_at - timedelta(days=days)
        hidden = tuple(
            replace(o, clear_fraction=0.7) if since < o.observed_at <= usual.quiet.observed_at else o
            for o in data.observations
        )
        return story_of(surge, hidden)

    clear = clouded(1)
    assert clear.passed_over and clear.quiet is not None
    assert clear.quiet.observed_at < usual.quiet.observed_at
    assert clear.quiet.clear_fraction == 1.0
    long = clouded(60)  # nothing clear near it: an old look would show another season
    assert not long.passed_over and long.quiet is not None
    assert long.quiet.observed_at == usual.quiet.observed_at


def test_what_would_change_the_mind_names_passes_cloud_and_radar():
    data = a_report(years=1)
    said = dict(doubts(data.surges[0], data))
    assert "14 railcars or fewer" in said["It would end"]
    assert "2023-10-13 02:25 UTC S2B R003" in said["Next passes"]
    assert said["Radar"] == "no radar look falls into it."
    assert "vhr at 1 m" in said["Other sensors"]
    hidden = replace(data.observations[-1], outcome=Outcome.REJECTED, count=None, flags=("CLOUDY",))
    cloudy = replace(data, observations=(*data.observations[:-1], hidden))
    assert "1 look without one (CLOUDY 1)" in dict(doubts(data.surges[0], cloudy))["Seen during it"]
    open_ = replace(data.surges[0], status=SurgeStatus.PROVISIONAL)
    assert "It would be confirmed" in dict(doubts(open_, data))
    past = replace(data, next_passes=(NextPass(datetime(2023, 1, 1, tzinfo=UTC), "S2A"),))
    assert "none is known" in dict(doubts(data.surges[0], past))["Next passes"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(60.0, 90.0, "it supports the surge"), (0.0, 3.0, "it calms"), (2.0, 90.0, "neither supports nor calms")],
)
def test_radar_supports_or_calms_by_the_mean_of_six_passes(low: float, high: float, words: str):
    data = a_report(years=1)
    surge = data.surges[0]
    assert 3.0 <= surge.expected_high < 60.0
    seen = next(o for o in reversed(data.observations) if o.count is not None and o.observed_at >= surge.onset_latest)
    six = {"mean6": (low + high) / 2, "mean6_low": low, "mean6_high": high}
    radar = replace(seen, observation_id="r", sensor="sentinel-1", count=replace(seen.count, measures=six))
    said = dict(doubts(surge, replace(data, observations=(*data.observations, radar))))["Radar"]
    assert f"mean of its last six passes {(low + high) / 2:.0f} ({low:.0f}–{high:.0f})" in said
    assert words in said
    assert "not judged" not in said


def test_radar_that_is_not_proven_is_not_judged():
    data = a_report(years=1)
    radar = replace(data.observations[-2], observation_id="r", sensor="sentinel-1", flags=("RADAR_UNPROVEN",))
    with_radar = replace(data, observations=(*data.observations, radar))
    assert "not judged" in dict(doubts(data.surges[0], with_radar))["Radar"]


def test_coverage_counts_days_and_reasons():
    data = a_report(years=1)
    covered = coverage(data)
    assert len(covered.days) == 90
    assert covered.days[-1].day == data.generated_for
    looks = [o for o in data.observations if o.observed_at.date() >= covered.days[0].day]
    assert sum(d.state != "no pass" for d in covered.days) == len({o.observed_at.date() for o in looks})
    assert dict(covered.facts)["Looks"].startswith(f"{len(looks)}, of which")
    assert covered.reasons[0][0] in ("CLOUDY", "SNOW")  # rejecting flags come first


def test_a_time_never_seen_is_the_longest_gap():
    data = replace(a_report(years=1), observations=())
    assert dict(coverage(data).facts)["Longest time without a count"] == "90 days"


def test_sources_in_trouble_come_first():
    states = freshness(a_report(years=1))
    assert [(f.word, f.age) for f in states] == [("failing", "41 days"), ("fresh", "1 day")]


def test_the_heat_map_leaves_unseen_tracks_and_days_empty():
    data = a_report(years=2)
    year, months = heat_maps(data)
    last = len(data.site.tracks) - 1
    assert min(c.x for c in months.cells if c.row == last) > 0  # that track exists from 2022 on
    assert all(0 <= c.x <= 1000 and c.x + c.width <= 1001 for c in year.cells)
    drawn = sum(c.width for c in year.cells if c.row == 0)
    looks = [o for o in data.observations if o.count and o.observed_at > datetime(2022, 10, 12, tzinfo=UTC)]
    assert drawn <= len(looks) * 3.05 / 365 * 1000
    assert heat_maps(replace(data, observations=())) == ()
