"""Which earlier looks and known counts a count leans on, and the digest that says when they changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

from pipeline.config import CountingSettings
from pipeline.flags import FLAGS
from pipeline.model import KnownCount, Look, Observation, Outcome, Scene, Site, Verdict
from pipeline.round.words import corrections
from pipeline.traffic.published import known_from_published

HISTORY_SENSORS = ("sentinel-2", "landsat", "sentinel-1")  # coarse looks are judged against the yard's own past
MAX_LOADED = 260  # looks held in memory; 10 m looks of a yard are about 3 MB each


def usable_as_history(outcome: Outcome, flags: Iterable[str]) -> bool:
    """Tell whether a look may stand behind later counts.

    A look refused for lack of history is as good as any other; one refused for cloud, snow, shift or haze is not.
    """
    if outcome is Outcome.FAILED:
        return False
    return all(FLAGS[name].severity != "reject" or name == "HISTORY_SHORT" for name in flags)


class LookCache:
    """Looks by scene id, read from the archive when first asked for; the least recently used are let go."""

    def __init__(self, load: Callable[[str], Look], capacity: int = MAX_LOADED) -> None:
        self._load = load
        self._capacity = capacity
        self._looks: OrderedDict[str, Look] = OrderedDict()

    def get(self, scene_id: str) -> Look:
        """Return the look of a scene."""
        if scene_id not in self._looks:
            self._looks[scene_id] = self._load(scene_id)
            while len(self._looks) > self._capacity:
                self._looks.popitem(last=False)
        self._looks.move_to_end(scene_id)
        return self._looks[scene_id]


def history_of(scene: Scene, earlier: Sequence[Scene], settings: CountingSettings) -> list[Scene]:
    """Return the earlier scenes that stand behind a scene's count, oldest first.

    Parameters
    ----------
    scene : Scene
        The scene to be counted.
    earlier : sequence of Scene
        Usable scenes of the site, in date order.
    settings : CountingSettings
        Reach in days; at most `MAX_LOADED - 20` of the newest are taken, so that they fit in memory.
    """
    if scene.sensor not in HISTORY_SENSORS:
        return []
    first = scene.observed_at - timedelta(days=settings.history_days)
    chosen = [
        past
        for past in earlier
        if past.sensor == scene.sensor
        and first <= past.observed_at < scene.observed_at
        and past.scene_id != scene.scene_id
    ]
    return chosen[-(MAX_LOADED - 20) :]


def known_counts(
    site: Site,
    observations: Sequence[Observation],
    verdicts: Sequence[Verdict],
    scene_of: Mapping[str, str] | None = None,
) -> tuple[KnownCount, ...]:
    """Return every date with a known number of railcars, in date order.

    Known are published yard totals of one day, resolved looks, and numbers that an analyst gave and nobody took
    back; an analyst's number replaces a resolved look's, and holds for its scene however often that is recounted.

    Parameters
    ----------
    site : Site
    observations : sequence of Observation
        Current rows.
    verdicts : sequence of Verdict
    scene_of : mapping, optional
        Observation id to scene id, for words on rows that were replaced since.
    """
    corrected = corrections(verdicts, scene_of or {}, observations)
    known = list(known_from_published(site))
    for row in observations:
        if row.scene_id in corrected:
            known.append(KnownCount(row.observed_at, corrected[row.scene_id], 0.5, "verdict"))
        elif row.method == "resolved" and row.count is not None and row.outcome is Outcome.COUNTED:
            spread = max((row.count.high - row.count.low) / (2 * 1.645), 0.5)
            known.append(KnownCount(row.observed_at, row.count.railcars, spread, "resolved"))
    return tuple(sorted(known, key=lambda k: (k.observed_at, k.origin, k.railcars, k.sd)))


def known_until(known: Sequence[KnownCount], scene: Scene) -> tuple[KnownCount, ...]:
    """Return the known counts up to the end of a scene's day: the same day's resolved look may calibrate it."""
    end = datetime.combine(scene.observed_at.astimezone(UTC).date(), time.max, tzinfo=UTC)
    return tuple(entry for entry in known if entry.observed_at <= end and scene.sensor in HISTORY_SENSORS)


def history_digest(history: Sequence[tuple[str, str]], known: Sequence[KnownCount]) -> str:
    """Return a digest of (scene id, chip checksum) pairs and known counts; equal digests mean equal counts."""
    digest = hashlib.sha256()
    for scene_id, checksum in history:
        digest.update(f"{scene_id}={checksum}\n".encode())
    for entry in known:
        digest.update(f"{entry.observed_at.isoformat()} {entry.railcars!r} {entry.sd!r} {entry.origin}\n".encode())
    return digest.hexdigest()[:32]
