"""Chips on disk: a GeoTIFF of digital numbers, a sidecar that tells all about it, a done-marker last.

Layout below the root: `<site>/<year>/<scene_id>/<digest>.tif`, `.json` and `.done`; the digest is of the item
ids with their processing. Without its done-marker a chip does not exist, so a kill at any moment leaves nothing
half-written behind that would be believed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ArchiveError
from pipeline.imagery.archive_tiff import read_tiff, tiff_bytes
from pipeline.imagery.scene_json import scene_from_json, scene_to_json
from pipeline.imagery.scenes import safe_name
from pipeline.model import Chip, Grid, Scene

FORMAT = 1


@dataclass(frozen=True)
class ArchiveEntry:
    """One archived chip, described by its sidecar; its pixels are not read."""

    site: str
    scene: Scene
    path: str  # of the GeoTIFF, relative to the archive, with forward slashes
    sha256: str  # of the GeoTIFF
    grid: Grid


@dataclass(frozen=True)
class Archive:
    """The archive below a folder; several threads and processes may write to it at once."""

    root: Path

    def put(self, chip: Chip) -> Chip:
        """Write a chip and return it with its path and checksum; writing it again changes nothing.

        Raises
        ------
        ArchiveError
            When it cannot be written.
        """
        folder = self._folder(chip.site, chip.scene)
        stem = digest_of(chip.scene)
        path = folder / f"{stem}.tif"
        try:
            if (folder / f"{stem}.done").exists():
                return self.get(self._entry(path.with_suffix(".json")))
            folder.mkdir(parents=True, exist_ok=True)
            data = tiff_bytes(chip)
            sha256 = hashlib.sha256(data).hexdigest()
            _write(path, data)
            sidecar = json.dumps(_sidecar(chip, path.name, sha256), indent=1, sort_keys=True, allow_nan=False)
            _write(path.with_suffix(".json"), sidecar.encode())
            _write(path.with_suffix(".done"), f"{sha256}\n".encode())
        except OSError as error:
            raise ArchiveError(
                f"{path}: the chip cannot be written ({error.strerror}); free space or rights?"
            ) from error
        return replace(chip, path=self._relative(path), sha256=sha256)

    def get(self, entry: ArchiveEntry) -> Chip:
        """Read a chip and check it against its checksum.

        Raises
        ------
        ArchiveError
            When a file is missing, damaged or does not belong to its sidecar; names the file.
        """
        path = self.root / entry.path
        data = _read(path)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise ArchiveError(f"{path}: does not match its checksum; delete its .done file and run again.")
        document = _document(path.with_suffix(".json"))
        values, valid, classes = read_tiff(path, data)
        try:
            chip = Chip(
                entry.site,
                entry.scene,
                entry.grid,
                tuple(document["bands"]),
                values,
                valid,
                classes if document["classes"] else None,
                tuple(float(v) for v in document["scale"]),
                tuple(float(v) for v in document["offset"]),
                entry.sha256,
                entry.path,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(f"{path.with_suffix('.json')}: not a sidecar of this archive.") from error
        if chip.values.shape != (len(chip.bands), *entry.grid.shape):
            raise ArchiveError(f"{path}: its size differs from its sidecar; delete its .done file and run again.")
        return chip

    def find(self, site: str) -> list[ArchiveEntry]:
        """Return a site's chips, one a scene in its newest processing, in order of acquisition time.

        Raises
        ------
        ArchiveError
            When a sidecar is damaged.
        """
        newest: dict[str, list[ArchiveEntry]] = defaultdict(list)
        for done in sorted((self.root / safe_name(site)).glob("*/*/*.done")):
            entry = self._entry(done.with_suffix(".json"))
            newest[entry.scene.scene_id].append(entry)
        found = [max(entries, key=_age) for entries in newest.values()]
        return sorted(found, key=lambda entry: (entry.scene.observed_at, entry.scene.scene_id))

    def has(self, site: str, scene: Scene) -> bool:
        """Tell whether a scene need not be read: it, or as new a delivery of its pass, is here.

        A pass that came from the second source, because the first was down, is not fetched a second time.
        """
        folder = self._folder(site, scene)
        if (folder / f"{digest_of(scene)}.done").exists():
            return True
        for done in sorted(folder.glob("*.done")):
            kept = self._entry(done.with_suffix(".json")).scene
            as_new = _processing(kept) >= _processing(scene)
            if kept.source != scene.source and as_new and len(kept.items) >= len(scene.items):
                return True
        return False

    def verify(self, site: str) -> list[str]:
        """Read every chip of a site; return one sentence for each that is damaged."""
        said: list[str] = []
        for done in sorted((self.root / safe_name(site)).glob("*/*/*.done")):
            try:
                self.get(self._entry(done.with_suffix(".json")))
            except ArchiveError as error:
                said.append(str(error))
        return said

    def _folder(self, site: str, scene: Scene) -> Path:
        return self.root / safe_name(site) / f"{scene.observed_at.year:04d}" / safe_name(scene.scene_id)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _entry(self, sidecar: Path) -> ArchiveEntry:
        document = _document(sidecar)
        try:
            grid = document["grid"]
            transform = tuple(float(v) for v in grid["transform"])
            if len(transform) != 6:
                raise ValueError
            return ArchiveEntry(
                site=str(document["site"]),
                scene=scene_from_json(document["scene"]),
                path=self._relative(sidecar.with_suffix(".tif")),
                sha256=str(document["sha256"]),
                grid=Grid(str(grid["crs"]), transform, int(grid["width"]), int(grid["height"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(f"{sidecar}: not a sidecar of this archive; delete it and run again.") from error


def digest_of(scene: Scene) -> str:
    """Return what tells one delivery of a scene from another: 24 hexadecimal characters of a SHA-256."""
    content = sorted([item.item_id, item.processing] for item in scene.items)
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()[:24]


def _processing(scene: Scene) -> str:
    return max((item.processing for item in scene.items), default="")


def _age(entry: ArchiveEntry) -> tuple[str, int, str, str]:
    scene = entry.scene
    return (
        _processing(scene),
        len(scene.items),
        max((item.updated for item in scene.items), default=""),
        digest_of(scene),
    )


def _sidecar(chip: Chip, name: str, sha256: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "site": chip.site,
        "file": name,
        "sha256": sha256,
        "bands": list(chip.bands),
        "scale": list(chip.scale),
        "offset": list(chip.offset),
        "classes": chip.classes is not None,
        "dtype": str(np.dtype(chip.values.dtype)),
        "grid": {
            "crs": chip.grid.crs,
            "transform": list(chip.grid.transform),
            "width": chip.grid.width,
            "height": chip.grid.height,
        },
        "scene": scene_to_json(chip.scene),
    }


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path))
    except ValueError as error:
        raise ArchiveError(f"{path}: not a sidecar of this archive; delete it and run again.") from error
    if not isinstance(document, dict):
        raise ArchiveError(f"{path}: not a sidecar of this archive; delete it and run again.")
    return document


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArchiveError(
            f"{path}: cannot be read ({error.strerror}); delete its .done file and run again."
        ) from error


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
