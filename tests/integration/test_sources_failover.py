"""The first catalogue dies: the round ends from the second, with every look once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
import support.dying_api
from support.imagery_servers import free_port, local_server, nginx_server, rustac_server, secure_link
from support.imagery_world import BANDS, collection_document, in_site, numbers
from support.sources_world import (
    DAYS,
    SCENES,
    stac_source,
    truth,
    write_catalogue_of_passes,
    write_sources_config,
)
from tenacity import wait_none

from pipeline.imagery.signing import NoSigner
from pipeline.model import Chip
from pipeline.round.run import RoundResult, run_round
from pipeline.round.workspace import Workspace

SITE = "small"
SINCE, UNTIL = datetime(2023, 10, 1, tzinfo=UTC), datetime(2023, 11, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wait between attempts nor write a report after each round: sources are what is looked at here."""
    monkeypatch.setattr("pipeline.round.run.report_site", lambda *_, **__: None)
    for module in ("stac", "remote"):
        monkeypatch.setattr(f"pipeline.imagery.{module}.wait_exponential", lambda **_: wait_none())
        monkeypatch.setattr(f"pipeline.imagery.{module}.wait_random", lambda *_: wait_none())


@contextmanager
def first_catalogue(items: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    program = str(Path(support.dying_api.__file__))
    process = subprocess.Popen([sys.executable, program, str(items), str(port), *options])
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait(30)


@contextmanager
def second_catalogue(folder: Path) -> Iterator[str]:
    """Serve the same passes with rustac, their files from another server."""
    with local_server(folder) as files:
        items = write_catalogue_of_passes(folder, files.url)
        (folder / "collection.json").write_text(json.dumps(collection_document()), encoding="utf-8")
        with rustac_server(folder / "collection.json", items) as url:
            yield url


def walk(ws: Workspace) -> RoundResult:
    return run_round(ws, SITE, today=UNTIL, since=SINCE, until=UNTIL)


def chips(ws: Workspace) -> list[Chip]:
    return [ws.archive.get(entry) for entry in ws.archive.find(SITE)]


def assert_every_look_once(ws: Workspace) -> None:
    assert [row.scene_id for row in ws.store.observations(SITE)] == SCENES
    assert len(list((ws.home / "archive").rglob("*.done"))) == len(SCENES)
    for day, chip in zip(DAYS, chips(ws), strict=True):
        dn = numbers(truth(day)[0], 1000)
        assert np.array_equal(chip.values[:4], in_site(np.stack([dn[name] for name in BANDS[:4]])))
        assert chip.valid.all()


def test_killed_in_the_middle_of_a_page_the_round_ends_from_the_second(tmp_path: Path) -> None:
    port = free_port()
    items = write_catalogue_of_passes(tmp_path / "one", f"http://127.0.0.1:{port}")
    with second_catalogue(tmp_path / "two") as second:
        sources = {"first": stac_source(f"http://127.0.0.1:{port}"), "second": stac_source(second)}
        config = write_sources_config(tmp_path / "config", sources)
        with Workspace.open(config, tmp_path / "home") as ws:
            with first_catalogue(items, port, "--die-in-page", "2") as process:
                result = walk(ws)
                assert process.wait(30) == -signal.SIGKILL, "it died within a page and not before"
            assert_every_look_once(ws)
            assert {row.source for row in ws.store.observations(SITE)} == {"second"}
            (lost,) = result.ledger.of("failed")
            assert (lost.step, lost.subject) == ("discover", "first")
            assert result.exit_code == 0
            rows = ws.store.observations(SITE)
            # It comes back: what the second delivered stays, nothing is fetched again.
            with first_catalogue(items, port):
                again = walk(ws)
            assert again.plan.new == ()
            assert not again.ledger.of("failed")
            assert ws.store.observations(SITE) == rows


def test_killed_between_two_rounds_only_what_is_missing_comes_from_the_second(tmp_path: Path) -> None:
    port = free_port()
    items = write_catalogue_of_passes(tmp_path / "one", f"http://127.0.0.1:{port}")
    with second_catalogue(tmp_path / "two") as second:
        sources = {"first": stac_source(f"http://127.0.0.1:{port}"), "second": stac_source(second)}
        config = write_sources_config(tmp_path / "config", sources)
        with Workspace.open(config, tmp_path / "home") as ws:
            early = datetime(2023, 10, 12, tzinfo=UTC)
            with first_catalogue(items, port):
                run_round(ws, SITE, today=early, since=SINCE, until=early)
            walk(ws)
            assert_every_look_once(ws)
            assert [row.source for row in ws.store.observations(SITE)] == ["first"] * 2 + ["second"] * 4


def test_killed_in_the_middle_of_a_file_the_rest_is_read_from_the_second(tmp_path: Path) -> None:
    port = free_port()
    items = write_catalogue_of_passes(tmp_path / "one", f"http://127.0.0.1:{port}")
    with second_catalogue(tmp_path / "two") as second:
        sources = {"first": stac_source(f"http://127.0.0.1:{port}"), "second": stac_source(second)}
        config = write_sources_config(tmp_path / "config", sources, read_threads=1)
        with Workspace.open(config, tmp_path / "home") as ws:
            with first_catalogue(items, port, "--die-after-files", "30") as process:
                result = walk(ws)
                assert process.wait(30) == -signal.SIGKILL
            assert_every_look_once(ws)
            said = {entry.subject: entry.detail for entry in result.ledger.entries if entry.step == "acquire"}
    assert list(said) == SCENES
    taken = ["second" if detail.startswith("from second, after ") else "first" for detail in said.values()]
    assert taken[0] == "first"
    assert taken[-1] == "second"
    assert taken == sorted(taken), "once it is dead, it stays so"
    assert said[SCENES[-1]] == "from second, after first stopped answering", "it is not waited for again and again"
    assert result.exit_code == 0


class _ShortSigner(NoSigner):
    """Signs links of the nginx server; the links that a search gave have run out when they are read."""

    def __init__(self, root: str) -> None:
        self.root = root

    def sign(self, href: str, *, fresh: bool = False) -> str:
        expires = int(time.time()) + (600 if fresh else -1)
        return f"{href}?{secure_link(href.removeprefix(self.root), expires)}"


def test_links_that_expire_between_search_and_read_are_signed_again_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nginx_server(tmp_path / "one", tmp_path / "nginx") as files:
        items = write_catalogue_of_passes(tmp_path / "one", f"{files}/signed")
        (tmp_path / "collection.json").write_text(json.dumps(collection_document()), encoding="utf-8")
        monkeypatch.setattr("pipeline.imagery.stac.open_signer", lambda config: _ShortSigner(files))
        with rustac_server(tmp_path / "collection.json", items) as url:
            config = write_sources_config(tmp_path / "config", {"only": stac_source(url)})
            with Workspace.open(config, tmp_path / "home") as ws:
                result = walk(ws)
                assert_every_look_once(ws)
        log = (tmp_path / "nginx" / "access.log").read_text(encoding="utf-8").splitlines()
    assert result.exit_code == 0
    assets = len(DAYS) * 2 * (len(BANDS) + 1)
    assert len([line for line in log if '" 403 ' in line]) == assets
    assert len([line for line in log if '" 206 ' in line]) == assets, "each asset is read once"


def test_a_source_that_stops_answering_is_asked_again_where_no_other_has_the_pass(tmp_path: Path) -> None:
    port = free_port()
    items = write_catalogue_of_passes(tmp_path / "one", f"http://127.0.0.1:{port}")
    sources = {"only": stac_source(f"http://127.0.0.1:{port}")}
    config = write_sources_config(tmp_path / "config", sources, read_threads=1)
    with Workspace.open(config, tmp_path / "home") as ws:
        with first_catalogue(items, port, "--die-after-files", "30"):
            result = walk(ws)
        failed = result.ledger.of("failed")
        assert len(failed) == 4
        assert all("cannot be read" in entry.detail and "item S2A_52T" in entry.detail for entry in failed)
        assert result.exit_code == 3
        with first_catalogue(items, port):
            again = walk(ws)
        assert again.exit_code == 0
        assert_every_look_once(ws)
