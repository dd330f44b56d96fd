"""Opening a store: migrations, and one sentence for everything that can be wrong."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from support.store_samples import observation

from pipeline.errors import StoreError
from pipeline.store import Store, tables
from pipeline.store.database import HEAD, Database
from pipeline.store.migrate import known


def test_the_migrations_make_the_schema(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 's.sqlite'}")
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, tables.metadata) == []
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 1]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    database.close()
    assert HEAD in known()


def test_opening_again_migrates_nothing_and_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.sqlite'}"
    with Store.open(url) as store:
        store.upsert_observations([observation()])
    with Store.open(url) as store:
        assert len(store.observations("yard")) == 1


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    Store.open(f"sqlite:///{path}").close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="newer railwatch"):
        Store.open(f"sqlite:///{path}")


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database at all " * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        Store.open(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(f"sqlite:///{tmp_path / 'missing' / 's.sqlite'}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ada:hunter2@127.0.0.1:1/x?connect_timeout=1",
        "postgresql://ada@127.0.0.1:1/x?password=hunter2",
        "mysql://ada:hunter2@host/x",
        "nonsense hunter2",
        "",
    ],
)
def test_no_error_names_a_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
