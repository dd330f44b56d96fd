"""The store: looks and counts, judgements, words and rounds, each written in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, delete, select, update

from pipeline.errors import StoreError
from pipeline.model import Alarm, Ledger, Observation, Surge, Verdict
from pipeline.store import rows, tables
from pipeline.store.database import Database
from pipeline.store.dump import dump
from pipeline.store.notices import StoredNotifications
from pipeline.store.records import InjectionResult, RoundRecord, SourceFreshness


class Store:
    """One schema on SQLite or PostgreSQL; safe for several threads and processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Store:
        """Open a store and bring its schema up to date.

        Parameters
        ----------
        url : str
            ``sqlite:////absolute/path`` or ``postgresql+psycopg://user:password@host/database``.

        Raises
        ------
        StoreError
            When it cannot be opened or migrated; the password is never named.
        """
        return cls(Database.open(url))

    @property
    def address(self) -> str:
        """Where the store is, without its password."""
        return self._database.shown

    @property
    def notifications(self) -> StoredNotifications:
        """The record of messages."""
        return StoredNotifications(self._database)

    # -- looks ------------------------------------------------------------------------------------------------

    def upsert_observations(self, observations: Iterable[Observation]) -> None:
        """Write rows, each the current one of its scene; the row that it replaces stays and says by which.

        Writing the same row again changes nothing. All rows are written, or none.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        made = [rows.observation_to_row(observation) for observation in observations]
        table = tables.observations
        with self._database.write() as connection:
            for row in made:
                if not row["superseded_by"]:
                    connection.execute(
                        update(table)
                        .where(
                            table.c.site == row["site"],
                            table.c.scene_id == row["scene_id"],
                            table.c.observation_id != row["observation_id"],
                            table.c.superseded_by == "",
                        )
                        .values(superseded_by=row["observation_id"])
                    )
                self._upsert(connection, table, row)

    def observations(
        self,
        site: str,
        since: datetime | None = None,
        until: datetime | None = None,
        current_only: bool = True,
    ) -> tuple[Observation, ...]:
        """Return a site's rows in date order.

        Parameters
        ----------
        site : str
        since, until : datetime, optional
            Bounds of the acquisition time, both included.
        current_only : bool
            False: superseded rows too.
        """
        table = tables.observations
        query = select(table).where(table.c.site == site)
        if since is not None:
            query = query.where(table.c.observed_at >= since)
        if until is not None:
            query = query.where(table.c.observed_at <= until)
        if current_only:
            query = query.where(table.c.superseded_by == "")
        with self._database.read() as connection:
            found = [rows.observation_from_row(row) for row in connection.execute(query).mappings()]
        return tuple(sorted(found, key=lambda row: (row.observed_at, row.scene_id, row.observation_id)))

    # -- judgements -------------------------------------------------------------------------------------------

    def save_judgement(
        self,
        site: str,
        surges: Sequence[Surge],
        alarms: Sequence[Alarm],
        state: Mapping[str, Any] | bytes,
    ) -> None:
        """Write what a judgement says: surges and state replace the former ones, alarms are only ever added.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        kept: Any = {"bytes": state.hex()} if isinstance(state, bytes) else {"json": dict(state)}
        with self._database.write() as connection:
            connection.execute(delete(tables.surges).where(tables.surges.c.site == site))
            for surge in surges:
                self._upsert(connection, tables.surges, rows.surge_to_row(surge))
            for alarm in alarms:
                self._add(connection, tables.alarms, rows.alarm_to_row(alarm))
            self._upsert(connection, tables.judgements, {"site": site, "state": kept})

    def surges(self, site: str) -> tuple[Surge, ...]:
        """Return the episodes of the last judgement, oldest alarm first."""
        with self._database.read() as connection:
            query = select(tables.surges).where(tables.surges.c.site == site)
            found = [rows.surge_from_row(row) for row in connection.execute(query).mappings()]
        return tuple(sorted(found, key=lambda surge: (surge.first_alarm_at, surge.surge_id)))

    def find_surge(self, surge_id: str) -> Surge:
        """Return a surge by its id, or by the start of it as long as that names one.

        Raises
        ------
        StoreError
            When no surge or more than one begins so.
        """
        with self._database.read() as connection:
            query = select(tables.surges).where(tables.surges.c.surge_id.startswith(surge_id, autoescape=True))
            found = [rows.surge_from_row(row) for row in connection.execute(query).mappings()]
        if not surge_id or not found:
            raise StoreError(f"no surge '{surge_id}' is stored; `railwatch surges SITE` lists them.")
        if len(found) > 1:
            raise StoreError(f"{len(found)} surges begin with '{surge_id}'; give more of the id.")
        return found[0]

    def alarms(self, site: str) -> tuple[Alarm, ...]:
        """Return every alarm ever given, in date order."""
        with self._database.read() as connection:
            query = select(tables.alarms).where(tables.alarms.c.site == site)
            found = [rows.alarm_from_row(row) for row in connection.execute(query).mappings()]
        return tuple(sorted(found, key=lambda a: (a.observed_at, a.observation_id, a.tier, a.statistic)))

    def judgement_state(self, site: str) -> dict[str, Any] | bytes | None:
        """Return the state that the last judgement left, None when there was none."""
        with self._database.read() as connection:
            query = select(tables.judgements.c.state).where(tables.judgements.c.site == site)
            kept = connection.execute(query).scalar()
        if kept is None:
            return None
        if "bytes" in kept:
            return bytes.fromhex(kept["bytes"])
        state: dict[str, Any] = kept["json"]
        return state

    # -- words ------------------------------------------------------------------------------------------------

    def add_verdict(self, verdict: Verdict) -> None:
        """Append an analyst's word; one that is already there is left as it is.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        with self._database.write() as connection:
            self._add(connection, tables.verdicts, rows.verdict_to_row(verdict))

    def verdicts(self, site: str) -> tuple[Verdict, ...]:
        """Return every word on a site, oldest first."""
        with self._database.read() as connection:
            query = select(tables.verdicts).where(tables.verdicts.c.site == site)
            found = [rows.verdict_from_row(row) for row in connection.execute(query).mappings()]
        return tuple(sorted(found, key=lambda verdict: (verdict.at, verdict.verdict_id)))

    # -- rounds and sources -----------------------------------------------------------------------------------

    def start_round(self, site: str, *, started_at: datetime) -> str:
        """Open a round in the diary and return its id."""
        round_id = str(uuid.uuid4())
        with self._database.write() as connection:
            connection.execute(tables.rounds.insert().values(round_id=round_id, site=site, started_at=started_at))
        return round_id

    def finish_round(self, round_id: str, *, ledger: Ledger, exit_code: int, finished_at: datetime) -> None:
        """Close a round with what it did.

        Raises
        ------
        StoreError
            When no such round was started.
        """
        table = tables.rounds
        with self._database.write() as connection:
            changed = connection.execute(
                update(table)
                .where(table.c.round_id == round_id)
                .values(finished_at=finished_at, exit_code=exit_code, ledger=rows.ledger_to_json(ledger))
            )
            if changed.rowcount != 1:
                raise StoreError(f"{self.address}: no round {round_id} was started.")

    def last_round(self, site: str) -> RoundRecord | None:
        """Return the newest round of a site, None when there was none."""
        table = tables.rounds
        query = select(table).where(table.c.site == site).order_by(table.c.number.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return RoundRecord(
            row["round_id"],
            site,
            row["started_at"],
            row["finished_at"],
            row["exit_code"],
            rows.ledger_from_json(row["ledger"]),
        )

    def has_finished_round(self, site: str) -> bool:
        """Tell whether any round of a site ever came to its end; an interrupted first one has not."""
        table = tables.rounds
        query = select(table.c.number).where(table.c.site == site, table.c.exit_code.is_not(None)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def source_seen(self, source: str, site: str, *, newest_scene_at: datetime | None, checked_at: datetime) -> None:
        """Record that a source answered; the newest scene it ever listed is kept, whatever window was searched."""
        table = tables.sources
        with self._database.write() as connection:
            query = select(table).where(table.c.site == site, table.c.source == source)
            old = connection.execute(query).mappings().first()
            times = [time for time in (newest_scene_at, old["newest_scene_at"] if old else None) if time is not None]
            row = {
                "site": site,
                "source": source,
                "newest_scene_at": max(times, default=None),
                "checked_at": max(checked_at, old["checked_at"]) if old else checked_at,
            }
            self._upsert(connection, table, row)

    def freshness(self, site: str) -> tuple[SourceFreshness, ...]:
        """Return how fresh each source of a site is, by name."""
        with self._database.read() as connection:
            query = select(tables.sources).where(tables.sources.c.site == site)
            found = [SourceFreshness(**row) for row in connection.execute(query).mappings()]
        return tuple(sorted(found, key=lambda row: row.source))

    # -- measured power ---------------------------------------------------------------------------------------

    def save_injections(self, results: Iterable[InjectionResult]) -> None:
        """Write trials of known railcars put into real looks; the same trial again replaces itself."""
        with self._database.write() as connection:
            for result in results:
                self._upsert(connection, tables.injections, asdict(result))

    def injections(self, site: str) -> tuple[InjectionResult, ...]:
        """Return a site's trials by date, number put in and seed."""
        with self._database.read() as connection:
            query = select(tables.injections).where(tables.injections.c.site == site)
            found = [InjectionResult(**row) for row in connection.execute(query).mappings()]
        return tuple(sorted(found, key=lambda trial: (trial.observed_at, trial.scene_id, trial.injected, trial.seed)))

    # -- the whole --------------------------------------------------------------------------------------------

    def dump(self) -> str:
        """Return the whole content as canonical text, without anything that only says when railwatch ran."""
        return dump(self._database)

    def close(self) -> None:
        """Give every connection back."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _upsert(self, connection: Connection, table: Any, row: Mapping[str, Any]) -> None:
        """Insert a row, or bring the one with its primary key to these values."""
        keys = [column.name for column in table.primary_key.columns]
        insert = self._database.insert(table).values(**row)
        changes = {name: insert.excluded[name] for name in row if name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes))

    def _add(self, connection: Connection, table: Any, row: Mapping[str, Any]) -> None:
        """Insert a row unless its primary key is already there."""
        keys = [column.name for column in table.primary_key.columns]
        connection.execute(self._database.insert(table).values(**row).on_conflict_do_nothing(index_elements=keys))
