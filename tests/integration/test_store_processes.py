"""Several processes at one store: nothing is lost, nothing stands twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from support.missing import missing
from support.postgres_server import postgres_binaries, postgres_server
from support.store_samples import alarm, observation, surge, verdict

from pipeline.errors import StoreError
from pipeline.store import Store

ROOT = Path(__file__).parents[2]
UPSERTS = 1500


@pytest.fixture(scope="module")
def new_database() -> Iterator[Callable[[], str]]:
    """Give a function that makes an empty PostgreSQL database and returns its address."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL is not installed (Debian: postgresql)")
    with postgres_server(binaries) as owner:
        names = iter(f"rw{number}" for number in range(100))

        def make() -> str:
            name = next(names)
            with psycopg.connect(f"postgresql://{owner}/postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return f"postgresql+psycopg://{owner}/{name}"

        yield make


@pytest.fixture
def postgres_url(new_database: Callable[[], str]) -> str:
    """Return the address of an empty database."""
    return new_database()


def _write_from_two_processes(url: str, total: int) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "support.store_writer", url, str(first), "2", str(total)],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        )
        for first in (0, 1)
    ]
    said = [writer.communicate(timeout=200)[1].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], "".join(said)


def test_two_processes_lose_nothing_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.sqlite'}"  # not there yet: both migrate at once
    _write_from_two_processes(url, UPSERTS)
    with Store.open(url) as store:
        found = store.observations("yard")
        assert len(found) == UPSERTS
        assert found == tuple(observation(number, count=None) for number in range(UPSERTS))
        assert len(store.observations("yard", current_only=False)) == UPSERTS


def test_threads_that_replace_the_same_pass_leave_one_current_row(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 's.sqlite'}") as store:
        _replace_from_threads(store)


def _replace_from_threads(store: Store) -> None:
    def work(name: str) -> None:
        for turn in range(20):
            store.upsert_observations([observation(1, observation_id=f"{name}-{turn}", count=None)])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.observations("yard")) == 1
    assert len(store.observations("yard", current_only=False)) == 80


@pytest.mark.postgres
def test_postgresql_gives_the_same_content(postgres_url: str, tmp_path: Path) -> None:
    dumps = []
    for url in (postgres_url, f"sqlite:///{tmp_path / 's.sqlite'}"):
        with Store.open(url) as store:
            store.upsert_observations([observation(number) for number in range(6)])
            store.upsert_observations([observation(3, observation_id="newer", detail="NUL \x00 and \ud800")])
            store.save_judgement("yard", [surge()], [alarm(1), alarm(2)], {"a": [1.5, None]})
            store.save_judgement("yard", [surge()], [alarm(1, rate=0.9)], {"a": [1.5, None]})
            for number in (2, 1, 1):
                store.add_verdict(verdict(number))
            store.notifications.claim("k")
            assert store.notifications.claim("k") == "uncertain"
            assert store.observations("yard", current_only=False)[0] == observation(0)
            dumps.append(store.dump())
        with Store.open(url) as store:  # a second opening finds the schema in place
            assert store.dump() == dumps[-1]
    assert dumps[0] == dumps[1]


@pytest.mark.postgres
def test_two_processes_lose_nothing_on_postgresql(postgres_url: str) -> None:
    _write_from_two_processes(postgres_url, 600)
    with Store.open(postgres_url) as store:
        assert len(store.observations("yard")) == 600


@pytest.mark.postgres
def test_threads_that_replace_the_same_pass_leave_one_current_row_on_postgresql(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        _replace_from_threads(store)


@pytest.mark.postgres
def test_append_only_is_held_by_postgresql_itself(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.add_verdict(verdict())
    plain = postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain) as connection, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute("DELETE FROM verdicts")
    wrong = postgres_url.replace("rail:", "rail:not-")
    with pytest.raises(StoreError) as caught:
        Store.open(wrong)
    assert "hunter2" not in str(caught.value)
    assert "password authentication failed" in str(caught.value)
