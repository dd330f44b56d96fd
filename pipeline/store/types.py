"""Column types that say no: times must be aware, text must be storable, JSON comes back as it went in."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, LargeBinary, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from pipeline.errors import StoreError

COMPRESSION_LEVEL = 6  # zlib's default; a likelihood of 601 values takes about 2 KB


class UtcDateTime(TypeDecorator[datetime]):
    """A time that must be aware, is stored as UTC and comes back as aware UTC; SQLite alone would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Demand a zone and turn it into UTC.

        Raises
        ------
        StoreError
            When the time has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None or value.utcoffset() is None:
            raise StoreError(f"the time {value.isoformat()} has no time zone; give it one, such as UTC.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SafeText(TypeDecorator[str]):
    """Text of any origin; what a database cannot hold (NUL, lone surrogates) becomes the replacement character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be stored, alike on every database."""
        return None if value is None else storable(str(value))


class JsonText(TypeDecorator[Any]):
    """A JSON value as canonical text: keys sorted, floats with their shortest exact digits."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write canonical JSON."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it back."""
        return None if value is None else json.loads(value)


class PackedJson(TypeDecorator[Any]):
    """A large JSON value, compressed; a Python float survives exactly because JSON keeps its shortest repr."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Write canonical JSON and compress it."""
        return None if value is None else zlib.compress(canonical_json(value).encode(), COMPRESSION_LEVEL)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Read it back."""
        return None if value is None else json.loads(zlib.decompress(value))


def storable(text: str) -> str:
    """Return text that every database can hold."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value; ASCII, so that no byte of it depends on an encoding."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
