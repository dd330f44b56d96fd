"""The store's content as canonical text, so that two stores can be compared byte by byte."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Table, select

from pipeline.store import tables
from pipeline.store.database import Database
from pipeline.store.types import canonical_json

# Left out is what says when railwatch ran and not what it knows: the diary of rounds, and the times of searches.
CONTENT: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (tables.observations, ()),
    (tables.surges, ()),
    (tables.alarms, ()),
    (tables.verdicts, ()),
    (tables.judgements, ()),
    (tables.sources, ("checked_at",)),
    (tables.notifications, ()),
    (tables.injections, ()),
)


def dump(database: Database) -> str:
    """Return one line of JSON for each row, in order of table and primary key."""
    lines: list[str] = []
    with database.read() as connection:
        for table, left_out in CONTENT:
            rows = connection.execute(select(table)).mappings()
            found = [{key: _plain(row[key]) for key in table.c.keys() if key not in left_out} for row in rows]  # noqa: SIM118
            keys = [column.name for column in table.primary_key.columns]
            # Sorted here: databases do not agree on the order of text.
            found.sort(key=lambda row, keys=keys: [row[key] for key in keys])  # type: ignore[misc]
            lines.extend(f"{table.name} {canonical_json(row)}" for row in found)
    return "".join(line + "\n" for line in lines)


def _plain(value: Any) -> Any:
    """Return a time as ISO 8601 with Z, anything else as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
