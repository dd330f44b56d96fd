"""Judge: the stored series becomes baselines, alarms and surges, and is stored again."""

from __future__ import annotations

from pipeline.round.words import words_on_record
from pipeline.round.workspace import Workspace
from pipeline.traffic import Judgement, judge


def judge_site(ws: Workspace, site_name: str) -> Judgement:
    """Judge the whole series of a site and store surges, alarms and state.

    Alarms that were given before stay on record even when a late look would now change them.

    Raises
    ------
    SeriesError
        When a row of the series is impossible.
    """
    judgement = judge(
        ws.site(site_name),
        ws.store.observations(site_name),
        ws.settings_for(site_name).alarms,
        verdicts=words_on_record(ws.store, site_name),
        given=ws.store.alarms(site_name),
        cache_dir=ws.home / "cache",
        state=ws.store.judgement_state(site_name),
    )
    ws.store.save_judgement(site_name, judgement.surges, judgement.alarms, judgement.state)
    return judgement
