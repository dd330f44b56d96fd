"""One self-contained page from one site's record."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.errors import ReportError
from pipeline.flags import FLAGS
from pipeline.model import Observation, Outcome, RailcarKind, Surge, Verdict
from pipeline.report import chart, text
from pipeline.report.coverage import coverage, freshness, reasons
from pipeline.report.data import ReportData
from pipeline.report.doubt import doubts
from pipeline.report.frames import Frame, frames_of
from pipeline.report.headline import (
    GRAVITY,
    SEEN,
    analyst_line,
    baseline_by_time,
    headline,
    in_reading_order,
    is_open,
)
from pipeline.report.heatmap import LEVELS, UNITS, heat_maps
from pipeline.report.method import calibration_view, methods_of

PICTURE_BYTES = 2_600_000  # all pictures of a page together, about, before base64
MAX_PIXELS, MIN_PIXELS = 1_000_000, 24_000  # of one picture
BYTES_PER_PIXEL = 0.35  # of a JPEG of railway land at quality 82; pictures of 10 m pixels are far below any limit
KINDS_SHOWN = 12  # newest resolved looks in the table by kind


@dataclass(frozen=True, slots=True)
class SurgeView:
    """A surge as the page shows it."""

    surge: Surge
    open: bool
    unfolded: bool  # its evidence is shown at once: every open surge, or else the gravest of the last year
    line: str
    frames: tuple[Frame, ...]
    doubts: tuple[tuple[str, str], ...]
    words: tuple[Verdict, ...]  # oldest first


def build_report(data: ReportData, out: Path) -> Path:
    """Write the report of a site as one HTML file that needs nothing else.

    Parameters
    ----------
    data : ReportData
    out : Path
        The file; its folder is made when it is missing. It is replaced in one step: a reader sees the old page or
        the new one.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ReportError
        When the file cannot be written.
    """
    page = render_report(data)
    write_atomically(out, page.encode("utf-8"))
    return out


def render_report(data: ReportData) -> str:
    """Return the page; the same record gives the same bytes."""
    surges = surge_views(data)
    spec = chart.specification(data)
    resolved = [o for o in reversed(data.observations) if o.count is not None and o.count.by_kind][:KINDS_SHOWN]
    unusable = [o for o in data.observations if o.outcome not in SEEN or o.count is None]
    scripts = {"library": chart.script(), "page": _asset("report.js")}
    return (
        _environment()
        .get_template("report.html")
        .render(
            data=data,
            head=headline(data),
            surges=surges,
            open_surges=[s for s in surges if s.open],
            chart_spec=spec,
            chart_words={"light": chart.LIGHT, "dark": chart.DARK, "domain": chart.domain_of(data)},
            still_uri=_data_uri(chart.still(spec).encode(), "image/svg+xml"),
            counts=[o for o in data.observations if o.outcome in SEEN and o.count is not None],
            expected=baseline_by_time(data.baselines),
            heat_maps=heat_maps(data),
            levels=LEVELS,
            units=UNITS,
            kinds=[k.value for k in RailcarKind if any(o.count.by_kind.get(k.value) for o in resolved if o.count)],
            resolved=resolved,
            coverage=coverage(data),
            freshness=freshness(data),
            unusable=list(reversed(unusable)),
            failed_steps=data.ledger.of("failed"),
            calibration=calibration_view(data.calibration),
            methods=methods_of(data.observations),
            flags_seen=reasons(data.observations),
            redo=data.redo or _redo(data),
            words_on_counts=_words_on_counts(data),
            css=Markup(_asset("report.css")),  # noqa: S704 - our own file
            scripts={name: Markup(content) for name, content in scripts.items()},  # noqa: S704 - our own and the library's
            script_hashes=[_csp_hash(content) for content in scripts.values()],
        )
    )


def surge_views(data: ReportData) -> tuple[SurgeView, ...]:
    """Return the surges in reading order with pictures sized so that the page stays small."""
    ordered = in_reading_order(data.surges)
    unfolded = {s.surge_id for s in ordered if is_open(s)} or _newest_grave(data)
    share = PICTURE_BYTES / max(1, 4 * len(ordered)) / BYTES_PER_PIXEL
    pixels = int(min(MAX_PIXELS, max(MIN_PIXELS, share)))
    return tuple(
        SurgeView(
            surge,
            is_open(surge),
            surge.surge_id in unfolded,
            analyst_line(surge),
            frames_of(surge, data.site, data.observations, data.look_for, max_pixels=pixels),
            doubts(surge, data),
            tuple(
                sorted(
                    (v for v in data.verdicts if v.subject == "surge" and v.subject_id == surge.surge_id),
                    key=lambda v: (v.at, v.verdict_id),
                )
            ),
        )
        for surge in ordered
    )


def _newest_grave(data: ReportData) -> set[str]:
    """Return the identifier of the gravest surge of the last year, the newest of equals; of any year when none."""
    since = data.generated_for - timedelta(days=365)
    recent = [s for s in data.surges if s.first_alarm_at.date() >= since] or list(data.surges)
    found = max(recent, key=lambda s: (s.verdict != "reject", -GRAVITY[s.tier], s.first_alarm_at), default=None)
    return set() if found is None else {found.surge_id}


def write_atomically(out: Path, content: bytes) -> None:
    """Write a file so that a reader, or a kill, finds the old content or the new one, never a part.

    Raises
    ------
    ReportError
        Naming the path.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{out.name[:40]}.", dir=out.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ReportError(
            f"{out}: cannot be written ({error.strerror}); check the folder and the free space."
        ) from error


def _words_on_counts(data: ReportData) -> list[tuple[Verdict, Observation | None]]:
    looks = {o.observation_id: o for o in data.observations}
    words = [v for v in data.verdicts if v.subject == "count"]
    return [(v, looks.get(v.subject_id)) for v in sorted(words, key=lambda v: (v.at, v.verdict_id))]


def _redo(data: ReportData) -> tuple[str, ...]:
    name = data.site.name
    return (f"railwatch recount {name}", f"railwatch report {name}", f"railwatch series {name} --format csv")


@cache
def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    env.filters.update(
        shown=text.shown,
        short=text.short,
        unbroken=text.unbroken,
        breakable=text.breakable,
        is_long=text.is_long,
        day=text.day,
        minute=text.minute,
        number=text.number,
        percent=text.percent,
        rate=text.rate,
        counted=text.counted,
        plural=text.plural,
        href=text.safe_href,
    )
    env.globals.update(flags=FLAGS, outcomes=Outcome)
    return env


@cache
def _asset(name: str) -> str:
    return (resources.files("pipeline.report") / "static" / name).read_text(encoding="utf-8")


def _csp_hash(script: str) -> str:
    """Return a script's hash as a content-security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}'"


def _data_uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
