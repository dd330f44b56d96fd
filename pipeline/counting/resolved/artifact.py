"""The trained classifiers as the package carries them: one file of arrays and a card."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.resolved.card import card_text
from pipeline.counting.resolved.segment import Weights
from pipeline.counting.resolved.trees import Trees, trees_from_arrays
from pipeline.errors import ImageError

FOLDER = Path(__file__).parent / "trained"
PARTS = ("centred", "first", "occupied", "boundary", "kind")
RANGES = ("fine", "medium")  # up to 1.5 m; 1.5 to 5 m


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The classifiers of one range of ground sampling."""

    centred: Trees  # is this station on the rails?
    first: Trees  # occupied, at first sight
    occupied: Trees  # with the second look's features
    boundary: Trees
    kind: Trees
    weights: Weights
    prior: Mapping[str, float]  # log-odds of a positive sample in training: occupied, boundary
    trained: Mapping[str, tuple[float, float]]  # range of each look statistic over the training scenes
    spread: Mapping[str, list[float]]  # terms of the interval, see `spread.spread_of`


def write_model(folder: Path, name: str, parts: Mapping[str, Trees], card: Mapping[str, Any]) -> Path:
    """Write classifiers and card, byte for byte the same for the same content.

    Parameters
    ----------
    folder : Path
        Made when it does not exist.
    name : str
        A word of `RANGES`.
    parts : mapping
        One `Trees` for each of `PARTS`.
    card : mapping
        What `Model` needs besides the trees, and how they were trained; JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    for part in PARTS:
        arrays |= parts[part].arrays(part)
    path = folder / f"{name}.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[key]), allow_pickle=False)
            # A fixed time stamp: the file depends on its content alone.
            entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    whole = {**card, "sha256": digest}
    (folder / f"{name}.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(card_text(whole), encoding="utf-8")
    return path


@lru_cache(maxsize=4)
def load_model(name: str, folder: Path = FOLDER) -> Model:
    """Load the classifiers of a range.

    Raises
    ------
    ImageError
        When the artifact is missing or does not match its card.
    """
    path = folder / f"{name}.npz"
    try:
        card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        content = path.read_bytes()
    except FileNotFoundError as error:
        missing = f"the trained counter {error.filename} is missing; rebuild it with: railwatch train"
        raise ImageError(missing) from error
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise ImageError(f"the trained counter {path} does not match its card; rebuild it with: railwatch train")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    centred, first, occupied, boundary, kind = (trees_from_arrays(arrays, part) for part in PARTS)
    return Model(
        centred,
        first,
        occupied,
        boundary,
        kind,
        weights=Weights(**card["weights"]),
        prior=card["prior"],
        trained={key: (float(low), float(high)) for key, (low, high) in card["trained"].items()},
        spread=card["spread"],
    )
