"""The command line: `railwatch [--config DIR] [--home DIR] COMMAND`.

Only what `--help` needs is imported here; whatever is heavy is imported in the command that uses it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated

import typer

from flows.commands import ALL, SITE, help_of
from flows.door import Door
from flows.places import home_folder
from pipeline.errors import RailwatchError

INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt
HOISTED = {"--config": 1, "--home": 1, "--debug": 0}  # global options that may also stand after the command

app = typer.Typer(
    name="railwatch",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Counts railcars in public satellite images, with an interval, on a schedule, and says when traffic surges.",
    epilog="Start with `railwatch demo`, which needs no network. Exit codes: 0 done; 1 failed; 2 wrong usage or "
    "configuration; 3 done, but some scenes failed (they are listed).",
)
site_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Prepare a site: its tracks, and a picture to check them by."
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"railwatch {version('railwatch')}")
        raise typer.Exit


@app.callback()
def globals_(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="DIR", help="Configuration folder.")] = Path("config"),
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="RAILWATCH_HOME",
            show_envvar=True,
            help="Where store, archive and reports live; by default ~/.local/share/railwatch.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the log.")] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Show the version.", callback=_version)
    ] = False,
) -> None:
    """Read the options that every command shares."""
    context.obj = Door(config.expanduser(), home_folder(home), debug)


for _name, _function, _line in ALL:
    app.command(_name, help=help_of(_function), short_help=_line)(_function)
for _name, _function, _line in SITE:
    site_app.command(_name, help=help_of(_function), short_help=_line)(_function)
app.add_typer(site_app, name="site", short_help="prepare a site: tracks, and a check of them")


def main() -> None:
    """Run the command line; an error is one sentence on stderr."""
    arguments = hoist(sys.argv[1:])
    debug = "--debug" in arguments
    # Asked to end is as good as Ctrl-C: Prefect's server is a child that must go too.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(arguments, prog_name="railwatch")
    except RailwatchError as error:
        if debug:
            raise
        typer.echo(f"railwatch: {_flat(str(error))}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        typer.echo("railwatch: interrupted; what is done is kept, run it again to carry on.", err=True)
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"railwatch: {where}{error.strerror or _flat(str(error))}.", err=True)
        sys.exit(1)
    finally:
        if not debug:
            sys.excepthook = _one_sentence  # only now: typer puts its own there
        # A closed pipe behind `| head` must not complain again when Python flushes at exit.
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def hoist(arguments: list[str]) -> list[str]:
    """Move global options to the front, so that `railwatch run --home X` works as well."""
    front: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            rest.extend(arguments[position:])
            break
        name, has_value, _ = word.partition("=")
        if name in HOISTED:
            taken = 1 + (0 if has_value else HOISTED[name])
            front.extend(arguments[position : position + taken])
            position += taken
            continue
        rest.append(word)
        position += 1
    return front + rest


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Stop what is going on, wherever it is."""
    raise KeyboardInterrupt


def _one_sentence(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    """Say what nobody foresaw in one sentence; Python then exits with 1."""
    typer.echo(
        f"railwatch: unexpected {kind.__name__}: {_flat(str(error))}; run it again with --debug for the traceback.",
        err=True,
    )


def _flat(text: str) -> str:
    """Return text as one line."""
    return " ".join(text.split())


if __name__ == "__main__":
    main()
