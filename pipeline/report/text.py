"""Text and numbers for people: strangers' words are shown as words, whatever they are made of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from pipeline.model import Observation

SHORT = 80  # characters of a stranger's text shown at first
HREF_MAX = 2000  # characters of an address that is made into a link
# Direction marks and overrides, zero-width characters, line and paragraph separators, byte order mark.
_UNSEEN = frozenset(
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufeff"
)
# Dates and ranges in brackets: a line never ends inside one.
_KEPT = re.compile(r"(?:\d{4}-)?\d{2}-\d{2}\b|\(\d+–\d+\)|\(90 %: \d+–\d+\)")


def shown(text: object) -> str:
    """Return text with direction marks, invisible and control characters written out, so that nothing hides."""
    return "".join(
        f"[U+{ord(char):04X}]"
        if char in _UNSEEN or (unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t")
        else char
        for char in str(text)
    )


def short(text: object, length: int = SHORT) -> str:
    """Return `shown` text on one line, cut to `length` characters with an ellipsis."""
    line = " ".join(shown(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def is_long(text: object, length: int = SHORT) -> bool:
    """Tell whether `short` hides part of a text."""
    return len(" ".join(shown(text).split())) > length


def unbroken(text: object) -> Markup:
    """Return `shown` text as markup in which dates and ranges are kept on one line; everything else is escaped."""
    escaped = str(escape(shown(text)))
    return Markup(_KEPT.sub(lambda found: f'<span class="nowrap">{found[0]}</span>', escaped))  # noqa: S704 - escaped


def breakable(text: object) -> Markup:
    """Return `shown` text as markup that may break inside long words, which browsers are slow to break themselves."""
    parts = re.split(r"(\S{120,})", shown(text))
    for i in range(1, len(parts), 2):
        parts[i] = "\0".join(parts[i][k : k + 60] for k in range(0, len(parts[i]), 60))
    return Markup(str(escape("".join(parts))).replace("\0", "<wbr>"))  # noqa: S704 - escaped; `shown` leaves no NUL


def day(at: datetime | date | None) -> str:
    """Return the UTC date as YYYY-MM-DD, a dash for None."""
    if at is None:
        return "–"
    return (at.astimezone(UTC).date() if isinstance(at, datetime) else at).isoformat()


def minute(at: datetime | None) -> str:
    """Return UTC date and time to the minute, a dash for None."""
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def number(value: float | None) -> str:
    """Return railcars as a whole number: no method here knows tenths of a car."""
    return "–" if value is None else f"{value:.0f}"


def percent(value: float | None) -> str:
    """Return a fraction 0..1 as whole percent; never rounds up to 100 %."""
    return "–" if value is None else f"{int(value * 100 + 1e-9)} %"


def rate(per_year: float) -> str:
    """Return a rate of alarms a year in words that do not pretend to know small rates."""
    if per_year <= 0:
        return "less than once in the simulated years"
    if per_year >= 1:
        return f"{per_year:.1f} times a year"
    if per_year > 0.5:
        return f"{per_year:.2f} times a year"
    apart = int(1 / per_year + 1e-9)  # never rarer than was checked, and as the line for the analyst says it
    return f"less than once in {apart} years"


def is_upper_limit(observation: Observation) -> bool:
    """Tell whether a count is below what the look could have shown, so that only "at most" is known."""
    count = observation.count
    return count is not None and count.low <= 0.5 and count.railcars < count.detection_limit


def counted(observation: Observation) -> str:
    """Return what a look saw, in a few words."""
    count = observation.count
    if count is None:
        return f"no count ({observation.outcome.value})"
    if is_upper_limit(observation):
        return f"at most {number(count.high)} (detection limit {number(count.detection_limit)})"
    return f"{number(count.railcars)} ({number(count.low)}–{number(count.high)})"


def safe_href(address: str) -> str:
    """Return an address that may be a link, "" for any other: http and https with a host, no credentials."""
    address = address.strip()
    if len(address) > HREF_MAX or any(c in _UNSEEN or unicodedata.category(c) in ("Cc", "Cs") for c in address):
        return ""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:  # a bracket or port that no parser takes
        return ""
    allowed = parts.scheme.lower() in ("http", "https") and bool(host) and "@" not in parts.netloc
    return address if allowed and " " not in address and "\\" not in address else ""


def figures(values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return named figures as label and text: nested names joined, numbers to three digits, long lists by length."""
    out: list[tuple[str, str]] = []
    for name, value in values.items():
        label = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            out += [(f"{label}: {inner}", said) for inner, said in figures(value)]
        elif isinstance(value, (list, tuple)):
            few = [_figure(v) for v in value[:8]]
            out.append(
                (label, ", ".join(few) + (f" … ({len(value)} in all)" if len(value) > 8 else "") if few else "–")
            )
        else:
            out.append((label, _figure(value)))
    return tuple(out)


def _figure(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(parts: Iterable[str], joint: str = "and") -> str:
    """Return parts as a list in prose."""
    items = list(parts)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {joint} {items[-1]}" if items else ""
