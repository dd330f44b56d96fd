"""`railwatch sources` and `railwatch doctor` as a person sees them, over real servers, one of them dead."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.imagery_servers import free_port, local_server, nginx_server, rustac_server, secure_link
from support.imagery_world import collection_document, small_site, source_config
from support.sources_world import stac_source, write_catalogue_of_passes, write_sources_config

from pipeline.errors import ReadError
from pipeline.imagery.doctor import examine
from pipeline.imagery.signing import NoSigner
from pipeline.round.run import run_round
from pipeline.round.workspace import Workspace

NOW = datetime(2023, 11, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder with a configuration: one source lives, one is dead, one is off."""
    folder = tmp_path_factory.mktemp("doctor")
    with local_server(folder / "files") as files:
        items = write_catalogue_of_passes(folder / "files", files.url)
        # As the catalogue of a live service: its newest scene is of these days.
        (folder / "collection.json").write_text(json.dumps(collection_document()), encoding="utf-8")
        with rustac_server(folder / "collection.json", items) as url:
            dead = stac_source(f"http://127.0.0.1:{free_port()}")
            off = stac_source(url, enabled=False, disabled_reason="its terms forbid automated use")
            sources = {"alive": stac_source(url), "dead": dead, "off": off}
            write_sources_config(folder / "config", sources)
            yield folder


def at_a_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run railwatch on a pseudo-terminal of 100 columns; returns its exit code and everything it wrote there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "flows.cli", "--config", str(folder / "config"), "--home", str(folder / "home")]
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color"}
    process = subprocess.Popen([*command, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    return process.wait(60), text.replace("\r\n", "\n")


def test_doctor_tries_each_source_and_says_what_to_do(world: Path) -> None:
    code, text = at_a_terminal(world, "doctor")
    lines = {line.split(":")[0].split(maxsplit=1)[1]: line for line in text.splitlines() if " source " in line}
    assert set(lines) == {"source alive", "source dead", "source off"}
    assert lines["source alive"].startswith("ok ")
    assert "search" in lines["source alive"]
    assert re.search(r"search \d+\.\d s, 0 items, \d+ requests, \d+ KB", lines["source alive"])
    assert "nothing found in the 60 days before" in lines["source alive"], "the passes are of 2023"
    assert lines["source dead"].startswith("BAD ")
    assert "cannot be reached" in lines["source dead"]
    assert (
        "the round asks the next one meanwhile" in lines["source dead"] or "try again later" in lines["source dead"]
    )
    assert "its terms forbid automated use" in lines["source off"]
    assert code == 1
    assert "Traceback" not in text


def test_doctor_of_one_source_and_of_one_that_is_not_there(world: Path) -> None:
    code, text = at_a_terminal(world, "doctor", "--source", "off")
    assert code == 0
    assert text.count(" source ") == 1
    code, text = at_a_terminal(world, "doctor", "--source", "aliv")
    assert code == 2
    assert "alive" in text, "the nearest name is offered"
    assert "Traceback" not in text


def test_sources_are_listed_with_their_state(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.round.run.report_site", lambda *_, **__: None)  # not looked at here
    code, text = at_a_terminal(world, "sources")
    assert code == 0
    assert re.search(r"^alive +stac-api +small +never searched +- +- ", text, re.MULTILINE)
    assert "off is off: its terms forbid automated use" in text
    with Workspace.open(world / "config", world / "home") as ws:
        early = datetime(2023, 11, 2, tzinfo=UTC)
        assert not run_round(ws, "small", today=early, source="alive", dry_run=True).messages[1:]
        late = run_round(ws, "small", today=datetime(2023, 11, 20, tzinfo=UTC), source="alive", dry_run=True)
        assert any("alive: no new scene for 19 days" in said for said in late.messages)
        run_round(ws, "small", today=NOW, source="alive")
    _, text = at_a_terminal(world, "sources")
    assert re.search(
        r"^alive +stac-api +small +no new scene for \d+ days +2023-10-31 +2023-11-20", text, re.MULTILINE
    )
    assert re.search(r"^dead +stac-api +small +never searched", text, re.MULTILINE)
    code, text = at_a_terminal(world, "sources", "--json")
    rows = {row["source"]: row for row in json.loads(text)}
    assert rows["alive"]["newest"] == "2023-10-31T02:20:11Z"
    assert rows["off"]["state"] == "off"


class _Signer(NoSigner):
    def __init__(self, root: str) -> None:
        self.root = root

    def sign(self, href: str, *, fresh: bool = False) -> str:
        del fresh
        return f"{href}?{secure_link(href.removeprefix(self.root), int(time.time()) + 60)}"


class _Mute(NoSigner):
    def sign(self, href: str, *, fresh: bool = False) -> str:
        raise ReadError("the link could not be signed (ConnectionError); try again later.", transient=True)


def test_signing_is_a_step_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nginx_server(tmp_path / "files", tmp_path / "nginx") as files:
        items = write_catalogue_of_passes(tmp_path / "files", f"{files}/signed")
        (tmp_path / "collection.json").write_text(json.dumps(collection_document()), encoding="utf-8")
        with rustac_server(tmp_path / "collection.json", items) as url:
            config = source_config("stac-api", url, signing="planetary-computer")
            monkeypatch.setattr("pipeline.imagery.stac.open_signer", lambda _: _Signer(files))
            good = examine(config, small_site(), base=tmp_path, now=NOW)
            monkeypatch.setattr("pipeline.imagery.stac.open_signer", lambda _: _Mute())
            bad = examine(config, small_site(), base=tmp_path, now=NOW)
    assert [step.name for step in good.steps] == ["search", "sign", "read"]
    assert good.state == "ok"
    assert "/signed/items/" in good.steps[1].said
    assert "md5=" not in good.steps[1].said, "a signature is not shown"
    assert re.search(r"100% valid, \d+ requests, \d+ KB", good.steps[2].said)
    assert good.network_bytes > 10_000
    assert (bad.state, bad.steps[-1].name, bad.steps[-1].ok) == ("failed", "sign", False)
    assert "try again later" in bad.advice
