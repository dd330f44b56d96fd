"""The command line: its help, its errors, its exit codes."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from flows import cli
from flows.commands import ALL, SITE, help_of
from pipeline.errors import ConfigError, StoreError

ROOT = Path(__file__).parents[3]
CONTRACT = {
    "run", "backfill", "recount", "series", "surges", "railcars", "report", "review", "verdict", "serve", "status",
    "simulate", "demo",
}  # fmt: skip
HEAVY = {"prefect", "sqlalchemy", "numpy", "shapely", "pandas", "pydantic", "rasterio", "scipy", "rich", "alembic"}


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["railwatch", *arguments])
    hook, ender = sys.excepthook, signal.getsignal(signal.SIGTERM)
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.excepthook = hook
        signal.signal(signal.SIGTERM, ender)
    return 0


def test_every_command_of_the_contract_is_there() -> None:
    assert {name for name, _, _ in ALL} >= CONTRACT
    assert [name for name, _, _ in SITE] == ["import-tracks", "check"]


def _examples(text: str) -> list[list[str]]:
    lines = text.split("Example:", 1)[1].splitlines()
    return [shlex.split(line.split(">")[0])[1:] for line in lines if line.strip().startswith("railwatch ")]


@pytest.mark.parametrize(("name", "function"), [(name, function) for name, function, _ in (*ALL, *SITE)])
def test_every_help_has_an_example_that_parses(name: str, function: object) -> None:
    examples = _examples(help_of(function))  # type: ignore[arg-type]
    assert examples, f"{name} has no example"
    group = get_command(cli.app)
    used = set()
    for words in examples:
        command, rest = group, cli.hoist(words)
        while hasattr(command, "commands"):
            with command.make_context("railwatch", list(rest)) as context:
                rest = [*context._protected_args, *context.args]
                used.add(rest[0])
                _, command, rest = command.resolve_command(context, rest)
        command.make_context(name, list(rest)).close()  # raises a usage error when an option is wrong
    assert name in used


def test_help_imports_nothing_heavy() -> None:
    program = "import sys, flows.cli; print(','.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & {name.split(".")[0] for name in loaded.stdout.split(",")}


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--nonsense"),
        ("nonsense",),
        ("run", "--since", "2023-13-01"),
        ("run", "--since", "2023-10-02", "--until", "2023-10-01"),
        ("backfill", "tumangang"),
        ("backfill", "tumangang", "--since", "2023-01-01", "--until", "2023-02-01", "--direct", "--work-pool", "x"),
        ("railcars", "tumangang"),
        ("verdict", "abc", "maybe", "--by", "x"),
        ("series", "tumangang", "--format", "xlsx"),
        ("--config", "/nowhere", "status"),
        ("status", "tumangan"),
        ("serve", "--port", "99999"),
    ],
)
def test_wrong_usage_and_configuration_exit_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(ROOT)
    assert call(monkeypatch, "--home", str(tmp_path), *arguments) == 2
    said = capsys.readouterr()
    assert said.err
    assert "Traceback" not in said.err
    assert not said.out


def test_an_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in (
        (ConfigError("a\nb"), 2),
        (StoreError("the store is away"), 1),
        (OSError(28, "full", "/x"), 1),
    ):

        def fail(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(cli, "app", fail)
        assert call(monkeypatch, "status") == code
        said = capsys.readouterr().err
        assert said.startswith("railwatch: ")
        assert said.count("\n") == 1
        with pytest.raises(type(error)):
            call(monkeypatch, "status", "--debug")


def test_what_nobody_foresaw_is_one_sentence_too(tmp_path: Path) -> None:
    program = "import flows.cli as c, sys\ndef f(*a, **k): raise ZeroDivisionError('x')\nc.app = f\nc.main()"
    for extra, traced in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [sys.executable, "-c", program, *extra], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert ("Traceback" in done.stderr) is traced
        assert "ZeroDivisionError" in done.stderr


def test_global_options_may_stand_after_the_command() -> None:
    assert cli.hoist(["run", "x", "--home", "h", "--debug", "--since", "d"]) == [
        "--home", "h", "--debug", "run", "x", "--since", "d",
    ]  # fmt: skip
    assert cli.hoist(["run", "--config=c", "--", "--debug"]) == ["--config=c", "run", "--", "--debug"]


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flows.places import home_folder

    monkeypatch.setenv("RAILWATCH_HOME", str(tmp_path))
    assert home_folder() == tmp_path
    assert home_folder("x") == Path("x")
    monkeypatch.delenv("RAILWATCH_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_folder(None) == tmp_path / "railwatch"
