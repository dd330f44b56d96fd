"""The steps of a round as Prefect tasks: coarse ones, a scene each, without a cache.

Tasks pass identifiers. What a step works on stays in this process; idempotence lives in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import deployment, task_run
from prefect.tasks import Task, exponential_backoff

from pipeline.config import Settings
from pipeline.errors import ReadError, SourceError
from pipeline.model import Ledger, Outcome
from pipeline.round.acquire import acquire_scene
from pipeline.round.discover import RoundPlan
from pipeline.round.progress import Progress
from pipeline.round.workspace import Workspace

Result = TypeVar("Result")

RETRIES = 2  # of one scene, on top of the reader's own for each request
BACKOFF_S = 5
SEARCH = "discover"
SEARCH_BACKOFF_S = 60
JITTER = 0.5  # so that many workers do not come back at the same moment


class Orchestrated:
    """Steps as Prefect tasks; scenes are fetched by tasks in threads, and only they are tried again."""

    def step(self, name: str, work: Callable[[], Result]) -> Result:
        """Carry out one step as a task.

        A scheduled search that finds no source awake is tried again; a person is told at once.
        """
        patient = name == SEARCH and deployment.id is not None
        made: Task[[], Result] = Task(
            work,
            name=name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=RETRIES if patient else 0,
            retry_delay_seconds=exponential_backoff(SEARCH_BACKOFF_S),
            retry_jitter_factor=JITTER,
            retry_condition_fn=_worth_another_try,
        )
        return made()

    def acquire(self, ws: Workspace, plan: RoundPlan, settings: Settings, progress: Progress) -> Ledger:
        """Fetch every new scene of a plan, `read_threads` at once."""
        from prefect.task_runners import ThreadPoolTaskRunner

        scenes = {scene.scene_id: scene for scene in plan.new}

        def acquire(scene_id: str) -> Ledger:
            ledger = acquire_scene(ws, plan, scenes[scene_id])
            if ledger.of("failed") and (task_run.run_count or 1) <= RETRIES and _transient(ws, plan.site, scene_id):
                # The failed row is stored already: a kill while waiting loses nothing.
                raise ReadError(f"{scene_id}: {ledger.of('failed')[0].detail}", transient=True)
            return ledger

        made: Task[[str], Ledger] = Task(
            acquire,
            name="acquire",
            task_run_name="acquire {scene_id}",
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(BACKOFF_S),
            retry_jitter_factor=JITTER,
            retry_condition_fn=_worth_another_try,
        )
        ledger = Ledger()
        progress.start("acquire", len(scenes))
        with ThreadPoolTaskRunner[Ledger](max_workers=settings.read_threads) as runner:
            futures: list[PrefectFuture[Ledger]] = [
                runner.submit(made, {"scene_id": scene_id}) for scene_id in scenes
            ]
            for future in as_completed(futures):
                ledger += future.result()
                progress.advance()
        progress.done()
        return ledger


def _transient(ws: Workspace, site: str, scene_id: str) -> bool:
    """Tell whether a scene's failed row blames the network."""
    rows = [row for row in ws.store.observations(site) if row.scene_id == scene_id]
    return any(row.outcome is Outcome.FAILED and bool(row.measures.get("transient")) for row in rows)


def _worth_another_try(_task: Task[..., Any], _run: Any, state: Any) -> bool:
    """Tell whether a task failed at the network, and not for what it read or was told."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, SourceError) or (isinstance(error, ReadError) and error.transient)
