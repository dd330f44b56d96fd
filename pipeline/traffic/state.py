"""The stream's state as JSON: saved after a judgement, loaded by the next when its looks are still the same."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Alarm, Baseline, Surge, Tier
from pipeline.traffic.calibrate import METHOD_VERSION, from_json, to_json
from pipeline.traffic.engine import Engine
from pipeline.traffic.episodes import Episode
from pipeline.traffic.likelihood import Evidence
from pipeline.traffic.quiet import table_of
from pipeline.traffic.stream import Stream

_ARRAYS = (
    "sums", "sums_before", "is_open", "since", "calm", "calm_before", "gap", "last", "broken", "strongest",
    "peak", "peak_before", "rise", "rise_before", "trend", "middle",
)  # fmt: skip
_PLAIN = ("last_day", "last_year")
_SUMS = ("total", "count", "season")  # of the window
_PLACES = ("entered", "expired")
_KEPT = (
    "calibrated_at",
    "calibrated_on",
    "circumstances",
    "calibrations",
    "dwell_days",
    "month",
    "quiet",
    "onset",
    "nothing",
    "pit",
    "sizes",
)


def save(stream: Stream, surges: Sequence[Surge]) -> dict[str, Any]:
    """Return the state after the looks so far; nothing in it depends on how they came."""
    engine = stream.engine
    window = engine.window
    return {
        "version": METHOD_VERSION,
        "basis": _basis(stream),
        "looks": [_mark(look) for look in stream.looks],
        "until": f"{stream.looks[-1].observed_at:%Y-%m-%dT%H:%M:%S}" if stream.looks else "",
        "surges": [
            {"surge_id": s.surge_id, "tier": s.tier.value, "first_alarm": f"{s.first_alarm_at:%Y-%m-%d}"}
            for s in surges
        ],
        "stream": {name: getattr(stream, name) for name in _KEPT},
        "episodes": [asdict(episode) for episode in stream.episodes],
        "alarms": [
            [a.observation_id, _iso(a.observed_at), a.tier.value, a.statistic, a.rate_per_year, a.ratio]
            for a in stream.alarms
        ],
        "baselines": [[_iso(b.observed_at), b.expected, b.low, b.high, b.looks] for b in stream.baselines],
        "calibration": to_json(stream.calibration) if stream.calibration else None,
        "engine": {name: _packed(getattr(engine, name)) for name in _ARRAYS}
        | {name: getattr(engine, name) for name in _PLAIN},
        "window": {name: _packed(getattr(window, name)) for name in _SUMS}
        | {name: getattr(window, name) for name in _PLACES}
        | {
            "origin": None if np.isnan(window.origin) else window.origin,
            "days": list(window.days),
            "weight": _packed(window.weight[: len(window.days)]),
            "best": _packed(window.best[: len(window.days)]),
        },
    }


def resume(stream: Stream, looks: Sequence[Evidence], state: Mapping[str, Any] | bytes | None) -> tuple[int, str]:
    """Bring a fresh stream to a saved state when that was made from the first of these looks.

    Returns
    -------
    (int, str)
        How many looks are behind the stream now, and why looks judged before must be judged again ("": they need
        not, or none was).
    """
    if not isinstance(state, Mapping) or not state.get("looks"):
        return 0, ""
    if state.get("version") != METHOD_VERSION or state.get("basis") != _basis(stream):
        return 0, "The method or the alarm settings changed, and the whole series was judged again"
    marks = [_mark(look) for look in looks]
    former = list(state["looks"])
    if marks[: len(former)] == former:
        try:
            _load(stream, looks[: len(former)], state)
        except (KeyError, ValueError, TypeError, IndexError):
            stream.__init__(stream.site, stream.settings, stream.breaks, stream.cache_dir)  # type: ignore[misc]
            return 0, ""  # a damaged state is worth nothing, and costs nothing but time
        return len(former), ""
    new = [look for look, mark in zip(looks, marks, strict=True) if mark not in set(former)]
    until = str(state.get("until", ""))
    late = [look for look in new if f"{look.observed_at:%Y-%m-%dT%H:%M:%S}" <= until]
    gone = len(set(former) - set(marks))
    if late:
        first = late[0]
        many = f"{len(late)} looks of dates" if len(late) > 1 else "A look of a date"
        return (
            0,
            f"{many} already judged came late or changed, the first {first.scene_id} of {first.observed_at:%Y-%m-%d}",
        )
    return (
        0,
        f"{gone} {'looks' if gone > 1 else 'look'} already judged {'are' if gone > 1 else 'is'} no longer counted",
    )


def _load(stream: Stream, looks: Sequence[Evidence], state: Mapping[str, Any]) -> None:
    site = stream.site
    stream.looks = list(looks)
    for name in _KEPT:
        setattr(stream, name, state["stream"][name])
    stream.episodes = [Episode(**row) for row in state["episodes"]]
    stream.alarms = [
        Alarm(site, i, _time(at), Tier(tier), by, rate, ratio) for i, at, tier, by, rate, ratio in state["alarms"]
    ]
    stream.baselines = [Baseline(_time(at), e, low, high, n) for at, e, low, high, n in state["baselines"]]
    stream.calibration = from_json(state["calibration"]) if state["calibration"] else None
    kept = state["engine"]
    engine = Engine(1, stream.settings, stream.calibration.scores if stream.calibration else None, stream.dwell_days)
    for name in _ARRAYS:
        setattr(engine, name, _unpacked(kept[name]))
    for name in _PLAIN:
        setattr(engine, name, kept[name])
    window, kept = engine.window, state["window"]
    for name in _SUMS:
        setattr(window, name, _unpacked(kept[name]))
    for name in _PLACES:
        setattr(window, name, kept[name])
    window.origin = float("nan") if kept["origin"] is None else kept["origin"]
    # The last look of each day stands in the window for the day; its row is made when it is needed.
    at = {look.day: look for look in looks}
    first, weight, best = np.zeros(1, dtype=np.int64), _unpacked(kept["weight"]), _unpacked(kept["best"])
    for place, day in enumerate(kept["days"]):
        window.put(day, _maker(at[day]), first, weight[place], best[place], replace=False)
    stream.engine = engine


def _maker(look: Evidence) -> Callable[[], NDArray[np.float32]]:
    return lambda: table_of(look.likelihood[None, :])


def _mark(look: Evidence) -> str:
    """Return what identifies a look and everything the judge takes from it."""
    digest = hashlib.sha256(look.own.tobytes())
    digest.update(f"{look.observation_id} {look.day!r} {look.sensor} {look.count.railcars!r}".encode())
    return digest.hexdigest()[:20]


def _basis(stream: Stream) -> str:
    text = f"{stream.site} {stream.settings.model_dump_json()} {stream.breaks!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _packed(array: NDArray[Any]) -> list[Any]:
    return [array.dtype.str, list(array.shape), base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()]


def _unpacked(packed: Sequence[Any]) -> NDArray[Any]:
    kind, shape, text = packed
    if kind not in ("<f8", "<f4", "<i8", "|b1"):
        raise ValueError(f"no array of the judge: {kind}")
    return np.frombuffer(base64.b64decode(text), dtype=kind).reshape(shape).copy()


def _iso(at: datetime) -> str:
    return at.isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
