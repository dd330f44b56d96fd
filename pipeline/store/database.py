"""A database that is opened, brought up to date and written to, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from pipeline.errors import StoreError

BUSY_TIMEOUT_S = 30.0  # how long a writer waits for another process
HEAD = "0001"  # the newest migration
WRITE = "railwatch_write"  # execution option: the transaction will write
_LOCK_KEY = 0x7261696C  # "rail": PostgreSQL's advisory lock that orders writers


class Database:
    """An engine with transactions whose errors are one sentence without a password."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self.engine = engine
        self.shown = shown  # the address, safe to print

    @classmethod
    def open(cls, address: str) -> Database:
        """Open a database and bring its schema up to date.

        Raises
        ------
        StoreError
            When the address is wrong, the server does not answer, the file is no database, or the schema is
            newer than this program.
        """
        url = _parse(address)
        shown = url.set(query={}).render_as_string(hide_password=True)
        try:
            engine = _make_engine(url)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"{shown}: the PostgreSQL driver is missing; install it with pip install 'railwatch[postgres]'."
            ) from error
        database = cls(engine, shown)
        try:
            database._bring_up_to_date()
        except BaseException:
            engine.dispose()
            raise
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in one consistent transaction."""
        with self._said(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in one transaction that is committed at the end, or not at all."""
        with self._said(), self.engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                # Writers take turns, as they do on SQLite, so that no two can make a pass's current row at once.
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection

    def insert(self, table: Table) -> Any:
        """Return the dialect's own insert, which knows ON CONFLICT."""
        made: Insert = postgresql.insert(table) if self.engine.dialect.name == "postgresql" else sqlite.insert(table)
        return made

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn a database's error into one sentence."""
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"{self.shown}: {self._why(error)}.") from error

    def _why(self, error: SQLAlchemyError) -> str:
        """Return the first line of the driver's own words, which never hold statement or parameters."""
        cause = getattr(error, "orig", None) or error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        first = lines[0].rstrip(".") if lines else type(cause).__name__
        password = self.engine.url.password
        if password:
            first = first.replace(str(password), "***")
        hints = {
            "unable to open database file": "the file cannot be opened; choose a folder that exists and is writable",
            "file is not a database": "this is no SQLite database; move it away or choose another --home",
            "database is locked": f"another process kept it locked for {BUSY_TIMEOUT_S:.0f} s; try again",
            "attempt to write a readonly database": "the file is read-only; make it writable",
            "database or disk is full": "the disk is full; make room and run again, nothing stored is lost",
        }
        return hints.get(first, first)

    def _bring_up_to_date(self) -> None:
        """Run the migrations that are missing; one process at a time."""
        with self.read() as connection:
            if _revision(connection) == HEAD:
                return
        with self.write() as connection:
            found = _revision(connection)  # another process may have been faster
            if found == HEAD:
                return
            from pipeline.store.migrate import known, upgrade

            if found is not None and found not in known():
                raise StoreError(
                    f"{self.shown}: made by a newer railwatch (schema {found}, this one is {HEAD}); update railwatch."
                )
            upgrade(connection)


def _parse(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        # The text is not repeated: it may hold a password at a place that could not be told.
        raise StoreError(
            "settings.yaml: key 'store_url' is not a database address; "
            "write it like postgresql+psycopg://user:password@host/database."
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise StoreError(
            f"settings.yaml: key 'store_url' names {url.drivername}; use sqlite or postgresql+psycopg instead."
        )
    return url


def _make_engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "postgresql":
            return create_engine(url, pool_pre_ping=True, hide_parameters=True)
        engine = create_engine(
            url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=8, max_overflow=64
        )
    except NoSuchModuleError as error:
        raise StoreError(f"settings.yaml: key 'store_url' names an unknown database ({url.drivername}).") from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Take transactions into our own hands, and let readers go on while somebody writes."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a reader that turns writer would fail at once instead of waiting."""
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection) -> str | None:
    """Return the schema's revision, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found is not None else None
