"""Analysts' words: which one stands, what was taken back, and how a new one is made.

Words are only ever appended. Taking one back is a word of its own, ``undo``, which takes back the newest
decision that still stands; the one before it then stands again. A ``note`` decides nothing.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pipeline.model import Verdict

Subject = Literal["surge", "count"]
Decision = Literal["confirm", "reject", "correct", "note", "undo"]

REASONS: dict[str, str] = {
    "cloud": "Cloud or its shadow",
    "snow": "Snow",
    "shift": "Image shifted against the tracks",
    "construction": "Construction",
    "containers": "Containers or trucks, not railcars",
    "other": "Other: say which in the note",
}
NOTE_MAX = 20_000  # characters of a note
_NAMESPACE = uuid.UUID("5f0e6b4e-9a53-5c6b-8f0e-3c1f5b7d2a11")  # of desk words, arbitrary but fixed
_DECIDING = ("confirm", "reject", "correct")


@dataclass(frozen=True, slots=True)
class Word:
    """One verdict with what became of it."""

    verdict: Verdict
    standing: bool  # the decision in force
    taken_back_by: str = ""  # name of who took it back, "" when nobody did


def about(verdicts: Sequence[Verdict], subject: Subject, subject_id: str) -> tuple[Verdict, ...]:
    """Return the words on one surge or one count, oldest first."""
    mine = [v for v in verdicts if v.subject == subject and v.subject_id == subject_id]
    return tuple(sorted(mine, key=lambda v: v.at))


def history(words: Sequence[Verdict]) -> tuple[Word, ...]:
    """Fold the words on one subject, oldest first, into what stands and what was taken back."""
    standing: list[int] = []
    gone: dict[int, str] = {}
    for index, verdict in enumerate(words):
        if verdict.decision == "undo":
            if standing:
                gone[standing.pop()] = verdict.by
        elif verdict.decision in _DECIDING:
            standing.append(index)
    last = standing[-1] if standing else -1
    return tuple(Word(v, i == last, gone.get(i, "")) for i, v in enumerate(words))


def standing(words: Sequence[Verdict]) -> Verdict | None:
    """Return the decision in force among the words on one subject, None when there is none."""
    return next((word.verdict for word in history(words) if word.standing), None)


def clean(text: str) -> str:
    """Return typed text as it is kept: line ends as newline, no unprintable control characters, NFC.

    Direction marks stay: they are part of what was written, and pages show them as text.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join("\ufffd" if is_control(char) else char for char in text).strip()


def is_control(char: str) -> bool:
    """Tell whether a character is neither printable nor a line end or tab."""
    return char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cs")


def speak(
    earlier: Sequence[Verdict],
    *,
    site: str,
    subject: Subject,
    subject_id: str,
    decision: Decision,
    by: str,
    note: str,
    now: datetime,
    form_id: str,
    reason: str = "",
    railcars: float | None = None,
) -> Verdict:
    """Make one word.

    Parameters
    ----------
    earlier
        The words already given on the subject, oldest first.
    now
        The clock, aware. A clock that runs backwards does not put a word before the one it answers.
    form_id
        Identifier of the form it was written on. The same content sent twice on one form (a double click, a
        reload after a lost answer) is one word.

    Returns
    -------
    Verdict
        With an identifier that is a UUIDv5 of content and form.
    """
    parts = (
        site,
        subject,
        subject_id,
        decision,
        by,
        note,
        reason,
        "" if railcars is None else repr(railcars),
        form_id,
    )
    verdict_id = str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))
    at = now.astimezone(UTC)
    if earlier:
        at = max(at, earlier[-1].at + timedelta(microseconds=1))
    return Verdict(verdict_id, site, subject, subject_id, decision, by, note, at, reason, railcars)
