"""A STAC API with every kind of query: stac-fastapi.pgstac on PostgreSQL with PostGIS."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.imagery_servers import free_port, local_server, running, server_program
from support.imagery_world import (
    BANDS,
    SINCE,
    UNTIL,
    acquisition,
    collection_document,
    in_site,
    numbers,
    reflectance,
    small_site,
    source_config,
    write_item,
)
from support.missing import missing
from support.postgres_server import postgres_binaries, postgres_server

from pipeline.imagery.scenes import scenes_from_items
from pipeline.imagery.source import open_source

pytestmark = pytest.mark.postgres
SITE = small_site()
BINARIES = postgres_binaries()
POSTGIS = list(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))


@pytest.fixture(scope="module")
def database() -> Iterator[dict[str, str]]:
    server_program("pypgstac")
    if BINARIES is None or not POSTGIS:
        missing("PostgreSQL with PostGIS is not installed")
    with postgres_server(BINARIES) as server:
        login, _, address = server.partition("@")
        user, _, password = login.partition(":")
        host, _, port = address.partition(":")
        yield {"PGUSER": user, "PGPASSWORD": password, "PGHOST": host, "PGPORT": port, "PGDATABASE": "postgres"}


def pypgstac(database: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [str(server_program("pypgstac")), *arguments],
        check=True,
        env={**os.environ, **database},
        capture_output=True,
        timeout=120,
    )


def test_pages_query_and_dates_on_a_database_of_items(tmp_path: Path, database: dict[str, str]) -> None:
    bands, classes = reflectance(6)
    with local_server(tmp_path) as files:
        items = [
            write_item(
                tmp_path,
                numbers(bands, 1000),
                classes,
                acquisition(day=day, platform="sentinel-2a" if day % 10 else "sentinel-2b"),
                base_url=files.url,
            )
            for day in range(0, 35, 5)
        ]
        (tmp_path / "collections.ndjson").write_text(json.dumps(collection_document()))
        (tmp_path / "items.ndjson").write_text("\n".join(json.dumps(item) for item in items))
        pypgstac(database, "migrate")
        pypgstac(database, "load", "collections", str(tmp_path / "collections.ndjson"), "--method", "upsert")
        pypgstac(database, "load", "items", str(tmp_path / "items.ndjson"), "--method", "upsert")
        port = free_port()
        uvicorn = str(server_program("uvicorn"))
        app = [uvicorn, "--factory", "stac_fastapi.pgstac.app:create_app", "--port", str(port)]
        with running(app, f"http://127.0.0.1:{port}/_mgmt/ping", {**os.environ, **database}):
            url = f"http://127.0.0.1:{port}"
            source = open_source(source_config("stac-api", url, page_limit=2), base=tmp_path)
            found = source.search(SITE, SINCE, UNTIL)
            assert [item.observed_at for item in found] == sorted(
                acquisition(day=d).observed_at for d in range(0, 35, 5)
            )
            collection = source.config.collections[0].model_dump()
            for wanted in ("sentinel-2a", ["sentinel-2a"]):
                config = source_config(
                    "stac-api", url, page_limit=2, collections=[{**collection, "query": {"platform": wanted}}]
                )
                assert len(open_source(config, base=tmp_path).search(SITE, SINCE, UNTIL)) == 3
            scenes, _ = scenes_from_items(found, ["made"])
            chip = source.read(SITE, scenes[3])
            assert chip.valid.all()
            dn = numbers(bands, 1000)
            assert np.array_equal(chip.values[:4], in_site(np.stack([dn[name] for name in BANDS[:4]])))
