"""What a judgement says otherwise than the one before, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.model import Alarm, Surge, Tier
from pipeline.traffic.episodes import RANK

MOST = 12  # sentences of one kind; the rest is summed up


def withdrawn(given: Sequence[Alarm], now: Sequence[Alarm], surges: Sequence[Surge]) -> tuple[str, ...]:
    """Return a sentence for each alarm on record that today's looks would not give, or not so high."""
    best: dict[object, Tier] = {}
    for alarm in now:
        held = best.get(alarm.observed_at)
        if held is None or RANK[alarm.tier] > RANK[held]:
            best[alarm.observed_at] = alarm.tier
    out = []
    for alarm in sorted(given, key=lambda a: (a.observed_at, RANK[a.tier])):
        held = best.get(alarm.observed_at)
        if held is not None and RANK[held] >= RANK[alarm.tier]:
            continue
        within = any(
            s.first_alarm_at <= alarm.observed_at <= (s.ended_at or alarm.observed_at)
            and RANK[s.tier] >= RANK[alarm.tier]
            for s in surges
        )
        if within:
            continue
        said = f"would now be {held.value}" if held is not None else "would not be given today"
        out.append(
            f"The {alarm.tier.value} alarm of {alarm.observed_at:%Y-%m-%d} {said}, after looks "
            f"that came late or were counted again; it stays on record."
        )
    return _few(out)


def differences(state: Mapping[str, Any] | bytes | None, surges: Sequence[Surge], why: str) -> tuple[str, ...]:
    """Return what changed among surges when looks that had been judged were judged again, and why that was."""
    if not why or not isinstance(state, Mapping):
        return ()
    former = {str(row["surge_id"]): row for row in state.get("surges", ())}
    out = []
    for surge in surges:
        day = f"{surge.first_alarm_at:%Y-%m-%d}"
        row = former.pop(surge.surge_id, None)
        if row is None and f"{surge.first_alarm_at:%Y-%m-%dT%H:%M:%S}" <= str(state.get("until", "")):
            out.append(f"A {surge.tier.value} surge of {day} is found that was not found before.")
        elif row is not None and row["tier"] != surge.tier.value:
            out.append(f"The surge of {day} is {surge.tier.value} now, was {row['tier']}.")
    out += [f"The {row['tier']} surge of {row['first_alarm']} is no longer found." for row in former.values()]
    return (f"{why}: {'no surge changed.' if not out else 'see what changed.'}", *_few(out))


def _few(sentences: Sequence[str]) -> tuple[str, ...]:
    if len(sentences) <= MOST:
        return tuple(sentences)
    return (*sentences[:MOST], f"… and {len(sentences) - MOST} more of the kind.")
