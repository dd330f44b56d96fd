"""Templates of the desk: escaped by default, and text that plays tricks is shown as the text it is."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import cache
from importlib import resources

import jinja2

from pipeline.flags import FLAGS
from pipeline.model import Observation
from pipeline.report.desk.words import NOTE_MAX, is_control
from pipeline.report.text import breakable, is_upper_limit, rate, unbroken

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
STATIC_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


def shown(text: object) -> str:
    """Return text with direction marks and control characters written out, so that nothing hides or turns."""
    out = []
    for char in str(text):
        if char in _BIDI or is_control(char):
            out.append(f"[U+{ord(char):04X}]")
        else:
            out.append(char)
    return "".join(out)


def short(text: object, length: int = 60) -> str:
    """Return `shown` text cut to `length` characters with an ellipsis; the whole stands on the thing's own page."""
    whole = shown(text)
    return whole if len(whole) <= length else whole[: length - 1] + "…"


def day(at: datetime) -> str:
    """Return the UTC date."""
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def minute(at: datetime) -> str:
    """Return UTC date and time to the minute."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def number(value: float) -> str:
    """Return a ratio, or a number that a person typed, without a needless decimal."""
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"


def whole(value: float) -> str:
    """Return railcars as a whole number: no counter here knows tenths of a car."""
    return f"{value:.0f}"


def counted(observation: Observation) -> str:
    """Return what a look saw, in a few words."""
    if observation.count is None:
        return f"{observation.outcome.value}, no count"
    count = observation.count
    if is_upper_limit(observation):
        return f"at most {whole(count.high)} railcars (detection limit {whole(count.detection_limit)})"
    return f"{whole(count.railcars)} railcars ({whole(count.low)}–{whole(count.high)})"


def tally(observation: Observation) -> str:
    """Return what a look saw, as short as a list of choices needs it."""
    if observation.count is None:
        return "no count"
    count = observation.count
    if is_upper_limit(observation):
        return f"at most {whole(count.high)}"
    return f"{whole(count.railcars)} ({whole(count.low)}–{whole(count.high)})"


@cache
def environment() -> jinja2.Environment:
    """Return the template environment: every variable escaped, an unknown one an error."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report.desk"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(shown=shown, short=short, day=day, minute=minute, number=number, counted=counted, tally=tally)
    env.filters.update(whole=whole, rate=rate, unbroken=unbroken, breakable=breakable)
    env.globals.update(flags=FLAGS, note_max=NOTE_MAX, undo_id=uuid.uuid4)
    return env


@cache
def static_files() -> dict[str, tuple[bytes, str]]:
    """Return every static file by name with its media type; no path of a request ever reaches the disk."""
    folder = resources.files("pipeline.report.desk") / "static"
    files = {}
    for entry in folder.iterdir():
        kind = STATIC_TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            files[entry.name] = (entry.read_bytes(), kind)
    return files
