"""A benchmark's figures beside its text: results/<name>.json, from which the detector card is made."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "scipy", "rasterio", "shapely", "scikit-image")


def environment() -> str:
    """Return Python, processor count and the libraries that figures depend on."""
    parts = [f"Python {platform.python_version()}", f"{os.cpu_count()} processors"]
    return ", ".join(parts + [f"{name} {version(name)}" for name in LIBRARIES])


def commit() -> str:
    """Return the commit that is measured, with a + when the counting code differs from it."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "pipeline/counting", "pipeline/simulate")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


@dataclass
class Figures:
    """Rows of {condition, figure, asked, seen}, with what is needed to get them again."""

    name: str  # of the benchmark, without bench_
    seed: str  # which seeds, and that nothing was tuned on them
    method: str = ""  # method and version that were measured
    rows: list[dict[str, str]] = field(default_factory=list)
    commit: str = field(default_factory=commit)  # when the run began

    def add(self, condition: str, figure: str, seen: str, asked: str = "") -> None:
        """Print a figure and keep it; `asked` is empty where nothing was asked."""
        self.rows.append({"condition": condition, "figure": figure, "asked": asked, "seen": seen})
        print(f"{condition} | {figure} | asked {asked or '-'} | seen {seen}", flush=True)

    def write(self, folder: Path = RESULTS) -> Path:
        """Write results/<name>.json; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        content = {
            "name": self.name,
            "method": self.method,
            "seed": self.seed,
            "commit": self.commit,
            "environment": environment(),
            "rows": self.rows,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path
