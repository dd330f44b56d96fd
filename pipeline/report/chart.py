"""The chart of the series: interactive for the screen, and the same drawing as a still for print."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any

from pipeline.report import series
from pipeline.report.data import ReportData

HEIGHT = 320  # pixels
STILL_WIDTH = 900  # pixels
# One hue a meaning, told apart also without colour by shape; contrast at least 3:1 on white and on #14181d.
LIGHT = {
    "ink": "#1c2430", "quiet": "#5d6878", "grid": "#dde2e8", "count": "#1f5fa8", "limit": "#6b7c90",
    "band": "#9db7d5", "watch": "#b07a00", "alert": "#c2500e", "high": "#b3122b", "published": "#7b2d8e",
    "unseen": "#8a94a3", "verdict": "#0d6b4f",
}  # fmt: skip
DARK = {
    "ink": "#e6eaf0", "quiet": "#a3aebd", "grid": "#2c343e", "count": "#7db4f2", "limit": "#94a3b5",
    "band": "#41618a", "watch": "#e0b040", "alert": "#f28b4b", "high": "#ff6b7d", "published": "#d39be6",
    "unseen": "#7c8796", "verdict": "#5fd3a8",
}  # fmt: skip
_SHAPES = {"count": "circle", "flagged": "circle", "at most": "triangle-down"}


def domain_of(data: ReportData) -> tuple[int, int]:
    """Return the first and last time of the chart, milliseconds: the looks and the report's day, with a margin."""
    end = datetime.combine(data.generated_for, time.max, tzinfo=UTC)
    start = min((o.observed_at for o in data.observations), default=end - timedelta(days=90))
    last = max((o.observed_at for o in data.observations), default=end)
    margin = max((end - start) * 0.01, timedelta(days=1))
    return series.ms(start - margin), series.ms(max(end, last) + margin)


def specification(data: ReportData, colours: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the Vega-Lite specification of the chart.

    Parameters
    ----------
    data : ReportData
    colours : dict, optional
        Meaning to colour; by default the light ones. The page swaps them for the dark ones.

    Returns
    -------
    dict
        With the width left to the page (``container``) and every text already fit to be shown.
    """
    import altair as alt

    c = colours or LIGHT
    first, last = domain_of(data)
    looks = series.look_records(data)
    published = [
        {**p, "t": max(p["t"], first), "t2": min(p["t2"], last)}
        for p in series.published_records(data)
        if p["t2"] >= first and p["t"] <= last
    ]
    top = max([r["hi"] for r in looks] + [p["n"] for p in published] + [20.0]) * 1.08

    def rows(name: str) -> alt.NamedData:
        return alt.NamedData(name=name)

    # Day and month for short spans, month and year for long ones: a bare month among ten years says nothing.
    dates = "utcFormat(datum.value, span(domain('x')) < 20e9 ? '%Y-%m-%d' : '%Y-%m')"
    x = alt.X(
        "t:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(labelExpr=dates, tickCount=alt.ExprRef("max(3, floor(width / 90))"), labelFlush=True),
    )
    y = alt.Y("n:Q", title="railcars", scale=alt.Scale(nice=False))
    tip = [
        alt.Tooltip("t:T", title="seen (UTC)", format="%Y-%m-%d %H:%M", formatType="utc"),
        alt.Tooltip("says:N", title="railcars"),
        alt.Tooltip("x:N", title="expected"),
        alt.Tooltip("dl:Q", title="detection limit"),
        alt.Tooltip("f:N", title="flags"),
        alt.Tooltip("s:N", title="scene"),
    ]
    plain_tip = [alt.Tooltip("says:N", title="what")]
    when = alt.Tooltip("t:T", title="date (UTC)", format="%Y-%m-%d", formatType="utc")
    tiers = alt.Color(
        "tier:N",
        legend=None,
        scale=alt.Scale(domain=["watch", "alert", "high"], range=[c["watch"], c["alert"], c["high"]]),
    )
    y2 = alt.Y2("hi:Q")
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        encodings=["x"],
        zoom="wheel![event.ctrlKey || event.metaKey || event.shiftKey]",
        translate="[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
    )
    # The domains come from two unseen corners and not from the scales: stated domains of many layers are united
    # with warnings, and the page sets the time shown through the value of `zoom`.
    records: dict[str, list[series.Record]] = {
        "corners": [{"t": first, "n": 0}, {"t": last, "n": round(top, 1)}],
        "gaps": series.gap_records(data),
        "surges": series.surge_records(data),
        "baseline": series.baseline_records(data),
        "looks": looks,
        "published": published,
        "alarms": series.alarm_records(data),
        "verdicts": series.verdict_records(data),
        "unseen": series.unseen_records(data),
    }
    layers = [
        alt.Chart(rows("corners")).mark_point(opacity=0, clip=True).encode(x=x, y=y),
        alt.Chart(rows("gaps"))
        .mark_rect(clip=True, color=c["unseen"], opacity=0.16)
        .encode(x=x, x2="t2:T", tooltip=plain_tip),
        alt.Chart(rows("surges"))
        .mark_rect(clip=True, opacity=0.13)
        .encode(x=x, x2="t2:T", color=tiers, tooltip=plain_tip),
        alt.Chart(rows("surges"))
        .mark_rect(clip=True, opacity=0.22)
        .encode(x=x, x2="on:T", color=tiers, tooltip=plain_tip),
        alt.Chart(rows("baseline"))
        .mark_area(clip=True, color=c["band"], opacity=0.45, interpolate="step-after")
        .encode(x=x, y=alt.Y("lo:Q", title="railcars"), y2=y2),
        alt.Chart(rows("baseline"))
        .mark_line(clip=True, color=c["band"], strokeWidth=1.2, interpolate="step-after")
        .encode(x=x, y="e:Q"),
        alt.Chart(rows("looks"))
        .mark_tick(clip=True, color=c["limit"], thickness=1.2, size=7, orient="horizontal", opacity=0.8)
        .encode(x=x, y="dl:Q"),
        alt.Chart(rows("looks"))
        .mark_rule(clip=True, opacity=0.65, strokeWidth=1.3)
        .encode(
            x=x,
            y="lo:Q",
            y2=y2,
            color=alt.condition("datum.k == 'at most'", alt.value(c["limit"]), alt.value(c["count"])),
        ),
        alt.Chart(rows("looks"))
        .mark_point(clip=True, filled=True, opacity=1, strokeWidth=1.4)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape("k:N", legend=None, scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values()))),
            size=alt.condition("datum.r == 1", alt.value(62), alt.value(34)),
            color=alt.condition("datum.k == 'at most'", alt.value(c["limit"]), alt.value(c["count"])),
            fillOpacity=alt.condition("datum.k == 'flagged'", alt.value(0.15), alt.value(1)),
            stroke=alt.condition("datum.k == 'at most'", alt.value(c["limit"]), alt.value(c["count"])),
            tooltip=tip,
        ),
        alt.Chart(rows("published"))
        .mark_rule(clip=True, color=c["published"], strokeWidth=2, strokeDash=[4, 3])
        .encode(x=x, x2="t2:T", y=y, tooltip=[when, *plain_tip]),
        alt.Chart(rows("published"))
        .mark_point(clip=True, color=c["published"], filled=False, size=80, strokeWidth=2)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape(
                "k:N",
                legend=None,
                scale=alt.Scale(
                    domain=["published", "published at most", "published at least"],
                    range=["diamond", "triangle-down", "triangle-up"],
                ),
            ),
            tooltip=[when, *plain_tip],
        ),
        alt.Chart(rows("alarms"))
        .mark_point(clip=True, shape="triangle-up", filled=True, size=90, opacity=1, yOffset=-13)
        .encode(x=x, y=y, color=tiers, tooltip=[when, *plain_tip]),
        alt.Chart(rows("verdicts"))
        .mark_text(clip=True, color=c["verdict"], fontSize=16, fontWeight="bold", dy=-24)
        .encode(x=x, y=y, text="sign:N", tooltip=plain_tip),
        alt.Chart(rows("unseen"))
        .mark_tick(clip=True, orient="vertical", size=9, thickness=1.3, opacity=0.9)
        .encode(
            x=x,
            y=alt.value(HEIGHT - 5),
            color=alt.condition("datum.k == 'failed'", alt.value(c["high"]), alt.value(c["unseen"])),
            tooltip=[
                alt.Tooltip("t:T", title="passed (UTC)", format="%Y-%m-%d %H:%M", formatType="utc"),
                alt.Tooltip("k:N", title="no count"),
                alt.Tooltip("f:N", title="why"),
                alt.Tooltip("s:N", title="scene"),
            ],
        ),
    ]
    drawn = [layer for layer in layers if records[layer.data.name]]  # Vega warns of an empty one's extent
    chart = (
        alt.layer(*drawn)
        .resolve_scale(shape="independent")
        .add_params(zoom)
        .properties(width="container", height=HEIGHT, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
        .configure(background="transparent", font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=c["quiet"],
            titleColor=c["quiet"],
            gridColor=c["grid"],
            domainColor=c["quiet"],
            tickColor=c["quiet"],
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
        )
    )
    spec: dict[str, Any] = json.loads(json.dumps(chart.to_dict(), allow_nan=False))
    spec.pop("$schema", None)
    spec["datasets"] = {name: found for name, found in records.items() if found}
    return spec


def still(spec: dict[str, Any]) -> str:
    """Return the chart as an SVG document, for print and for readers without scripts."""
    import vl_convert

    # No words for screen readers inside: the picture stands in an `img`, whose own text and table speak for it.
    fixed = {**spec, "width": STILL_WIDTH, "background": "white", "config": {**spec["config"], "aria": False}}
    fixed.pop("params", None)
    svg: str = vl_convert.vegalite_to_svg(fixed, vl_version=_vl_version())
    # Tenths of a pixel are enough. Vega numbers clip paths by a counter of its process: numbered by appearance,
    # equal charts are equal bytes.
    svg = re.sub(r'(?<!opacity=")-?\d+\.\d{2,}', lambda found: f"{float(found[0]):.1f}", svg)
    order: dict[str, str] = {}
    return re.sub(r"\bclip\d+\b", lambda found: order.setdefault(found[0], f"c{len(order)}"), svg)


def _vl_version() -> str:
    """Return major and minor version of Vega-Lite that the specification was written for."""
    import altair as alt

    return ".".join(str(alt.SCHEMA_VERSION).lstrip("v").split(".")[:2])


@cache
def script() -> str:
    """Return the chart library as one script: Vega, Vega-Lite and Vega-Embed, BSD-3-Clause, from vl-convert."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_vl_version())
    return bundle.replace("</script", "<\\/script")
