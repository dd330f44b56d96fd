"""The command that rebuilds the trained counter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.door import door


def train(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write there instead of into the installed package."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare with the installed counter, byte for byte.")
    ] = False,
) -> None:
    """Rebuild the trained counter of fine images from simulated scenes, with its card.

    Needs the extra `train` (pip install 'railwatch[train]'). The same libraries on the same kind of processor give
    the same bytes; it takes about an hour of one core and 4 GB of memory.

    Example:
      railwatch train --check
      railwatch train --out trained
    """
    import tempfile
    from importlib.util import find_spec

    from pipeline.counting.resolved.artifact import FOLDER
    from pipeline.counting.resolved.teach import train as teach_all
    from pipeline.errors import ImageError

    door(context)
    if find_spec("jax") is None or find_spec("optax") is None:
        raise ImageError("training needs the extra `train`: pip install 'railwatch[train]'")
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) if check else (folder or FOLDER)
        written = teach_all(target, say=lambda line: typer.echo(line, err=True))
        if not check:
            for path in written:
                typer.echo(f"{path} and its card {path.with_suffix('.json').name}")
            return
        different = [path.name for path in written if not _same(path, FOLDER / path.name)]
    if different:
        typer.echo(f"not the installed counter: {', '.join(different)}")
        raise typer.Exit(1)
    typer.echo("the same bytes as the installed counter")


def _same(a: Path, b: Path) -> bool:
    return b.exists() and a.read_bytes() == b.read_bytes()
