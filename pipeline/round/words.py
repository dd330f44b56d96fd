"""Analysts' words on counts outlive the rows they were given on: a recount replaces the row, not the word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.model import Observation, Verdict
from pipeline.store import Store


def words_on_record(store: Store, site: str) -> tuple[Verdict, ...]:
    """Return every word on a site, oldest first; those on counts name the row that now stands for their scene."""
    said = store.verdicts(site)
    current = {row.scene_id: row.observation_id for row in store.observations(site)} if _on_counts(said) else {}
    scenes = scenes_of(store, site, said)
    return tuple(
        replace(word, subject_id=current.get(scenes.get(word.subject_id, ""), word.subject_id))
        if word.subject == "count"
        else word
        for word in said
    )


def scenes_of(store: Store, site: str, words: Iterable[Verdict]) -> dict[str, str]:
    """Return the scene of each row that a word on a count was given on, superseded rows included."""
    wanted = _on_counts(words)
    if not wanted:
        return {}
    rows = store.observations(site, current_only=False)
    return {row.observation_id: row.scene_id for row in rows if row.observation_id in wanted}


def corrections(
    words: Sequence[Verdict], scene_of: Mapping[str, str], observations: Iterable[Observation]
) -> dict[str, float]:
    """Return the number of railcars that stands for each corrected scene.

    Parameters
    ----------
    words : sequence of Verdict
    scene_of : mapping
        Observation id to scene id, for rows that `observations` no longer holds.
    observations : iterable of Observation
        Rows whose ids are known as well.
    """
    if not _on_counts(words):
        return {}
    # here, because the desk brings the web framework along, which a round without words does not need
    from pipeline.report.desk.words import history

    scenes = {**scene_of, **{row.observation_id: row.scene_id for row in observations}}
    by_scene: dict[str, list[Verdict]] = {}
    for word in sorted(words, key=lambda v: (v.at, v.verdict_id)):
        if word.subject == "count" and word.subject_id in scenes:
            by_scene.setdefault(scenes[word.subject_id], []).append(word)
    standing = {
        scene: next((word.verdict for word in history(said) if word.standing), None)
        for scene, said in by_scene.items()
    }
    return {
        scene: word.railcars
        for scene, word in standing.items()
        if word is not None and word.decision == "correct" and word.railcars is not None
    }


def _on_counts(words: Iterable[Verdict]) -> set[str]:
    return {word.subject_id for word in words if word.subject == "count"}
