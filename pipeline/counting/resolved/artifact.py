"""The trained counter as the package carries it: one file of arrays and a card."""

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
from pipeline.errors import ImageError

FOLDER = Path(__file__).parent / "trained"
PARTS = ("network", "second", "places")
RANGES = ("fine", "medium")  # up to 1.5 m; 1.5 to 5 m


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The trained counter of one range of ground sampling."""

    networks: tuple[Mapping[str, NDArray[np.float32]], ...]  # parameters, as `network.initial` names them
    places: Mapping[str, NDArray[np.float32]]  # those of the network that finds the rails, see `places`
    weights: Weights
    prior: Mapping[str, float]  # log-odds of a positive sample in training, mean of the networks: occupied, boundary
    trained: Mapping[str, tuple[float, float]]  # range of each look statistic over the training scenes
    lean: float  # share of `see.LEAN` that is added
    spread: Mapping[str, list[float]]  # terms of the interval, see `spread.sides_of`


def rounded(params: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return parameters as the artifact holds them: of half precision."""
    return {name: value.astype(np.float16).astype(np.float32) for name, value in params.items()}


def write_model(
    folder: Path, name: str, params: Mapping[str, Mapping[str, NDArray[np.float32]]], card: Mapping[str, Any]
) -> Path:
    """Write parameters and card, byte for byte the same for the same content.

    Parameters
    ----------
    folder : Path
        Made when it does not exist.
    name : str
        A word of `RANGES`.
    params : mapping
        Part of `PARTS` to its parameters; written in half precision.
    card : mapping
        What `Model` needs besides the network, and how it was trained; JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{part}.{key}": value.astype(np.float16) for part in PARTS for key, value in params[part].items()}
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
    """Load the counter of a range.

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
        arrays = {key: archive[key].astype(np.float32) for key in archive.files}
    parts = {
        part: {key.removeprefix(f"{part}."): value for key, value in arrays.items() if key.startswith(f"{part}.")}
        for part in PARTS
    }
    return Model(
        networks=(parts["network"], parts["second"]),
        places=parts["places"],
        weights=Weights(**card["weights"]),
        prior=card["prior"],
        trained={key: (float(low), float(high)) for key, (low, high) in card["trained"].items()},
        lean=card.get("lean", 0.0),
        spread=card["spread"],
    )
