"""Writes docs/detector-card.md from the saved results of the benchmarks and the flag registry; no figure is typed.

Usage: python tests/benchmarks/detector_card.py [--check]. With --check nothing is written; exit code 1 when the card
in the tree is not what the results give.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _printed import as_markdown

from pipeline.flags import FLAGS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
CARD = ROOT / "docs" / "detector-card.md"

INTRODUCTION = """# Detector card

What each way of counting reaches, where it fails and what it cannot see. This page is made by
`python tests/benchmarks/detector_card.py` from the saved results in `tests/benchmarks/results/`; edit neither by
hand. A simulated yard is kinder than the world: read every figure that is not marked *real* as a best case. Figures
are of seeds and yards that nothing was trained or tuned on, unless a line says otherwise.

- *Bias* and *RMSE* are in railcars, *MAE* and *MAPE* of the count of a whole look; *F1* matches outlines, one to one.
- *Coverage* is how often the 90 % interval holds the truth. Asked are 87 to 93 %.
- The *detection limit* is the smallest number of railcars that a look would have shown: 95 % power at 1 % false
  alarm.
- A look that was refused has no number; what share was refused belongs to each figure.
"""


@dataclass(frozen=True)
class Section:
    """One way of counting."""

    title: str
    what: str  # it says, one or two sentences
    blind: tuple[str, ...]  # what it cannot see
    results: tuple[str, ...]  # beginnings of the names of its benchmarks, in order


SECTIONS = (
    Section(
        "Single cars, up to 1.5 m",
        "Outline, track, position, length, kind and score of each railcar, and the count with an interval.",
        (
            "Cars under roofs, canopies and catenary portals, and cars hidden by the shadow of a neighbouring train.",
            "Two containers on one flat car are one car; an empty flat car looks much like empty track.",
            "Kinds that the training has no example of: they are called by the nearest kind, or unknown.",
            "Track that is not in the site's track lines: cars are looked for on tracks only.",
            "No real image with railcars of free licence was found: real images tested are look-alikes without cars.",
        ),
        ("resolved",),
    ),
    Section(
        "Occupied metres, 1.5 to 5 m",
        "Metres of occupied track, and cars as metres over the pitch of cars with its spread. The benchmarks of "
        "single cars measure it too: see 3 m there.",
        (
            "Single cars, their kinds and the gaps between them.",
            "Empty flat cars, and any car at half the usual contrast.",
        ),
        (),
    ),
    Section(
        "Occupancy, Sentinel-2 at 10 m and Landsat at 15 to 30 m",
        "How much the yard differs from its own past, in railcar equivalents with an interval.",
        (
            "Cars that stand for months: they become the past that a look is compared with.",
            "Without known dates the zero and the scale: the interval carries both.",
            "Containers, trucks and stacked goods on the apron look like cars; they have their own column and flag.",
            "Anything under snow, cloud or cloud shadow: such looks are refused.",
            "Small numbers when the sun is high: most of the signal is shadow. See the limit of each sun class.",
        ),
        ("occupancy", "real_dates"),
    ),
    Section(
        "Radar, Sentinel-1",
        "Change of backscatter in one orbit of one platform against controls off the yard, in railcars with an "
        "interval: a witness through cloud. It enters the judgement only where at least six known counts have shown "
        "that it follows them (flag `RADAR_UNPROVEN` otherwise); until then it may calm or support an analyst.",
        (
            "Fewer cars than the stated limit, which for one pass is most of a yard: look at the mean of six passes.",
            "Cars that come and go between passes: 6 to 12 days on one orbit.",
            "What changed: wet ballast, work trains, containers and new roofs brighten the yard as cars do.",
            "Its brightness of cars is a hint from the literature until known counts teach it; no real yard has yet.",
        ),
        ("radar",),
    ),
)


def render(results: Path = RESULTS) -> str:
    """Return the card's Markdown for the results in a folder."""
    parts = [INTRODUCTION]
    for section in SECTIONS:
        parts.append(f"## {section.title}\n\n{section.what}\n")
        found = [text for name in section.results for text in _results(results, name)]
        if section.results:
            parts += found or ["Not measured yet: no result of its benchmarks is in the tree.\n"]
        parts.append("**What it cannot see**\n\n" + "\n".join(f"- {one}" for one in section.blind) + "\n")
    return "\n".join([*parts, _flags()])


def _results(folder: Path, beginning: str) -> list[str]:
    """Return each result whose name begins so: its table, or its text where a benchmark writes only text."""
    names = sorted({path.stem for path in folder.iterdir() if path.suffix in {".json", ".txt"}})
    out = []
    for name in names:
        if not name.startswith(beginning):
            continue
        table = folder / f"{name}.json"
        out.append(
            _table(json.loads(table.read_text("utf-8")))
            if table.exists()
            else as_markdown((folder / f"{name}.txt").read_text("utf-8"), f"{name}.txt")
        )
    return out


def _table(content: dict[str, Any]) -> str:
    """Return the table of one benchmark that keeps its figures."""
    lines = [
        f"`bench_{content['name']}`: {content['method']}; seeds {content['seed']}; commit {content['commit']}; "
        f"{content['environment']}.",
        "",
        "| condition | figure | asked | seen |",
        "|---|---|---|---|",
    ]
    for row in content["rows"]:
        cells = (str(row[key]).replace("|", "/") for key in ("condition", "figure", "asked", "seen"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _flags() -> str:
    """Return the registry of flags as a table."""
    effect = {"note": "harmless", "reserve": "outcome `flagged`", "reject": "outcome `rejected`, no number"}
    lines = ["## Flags", "", "| flag | effect | meaning |", "|---|---|---|"]
    lines += [f"| `{flag.name}` | {effect[flag.severity]} | {flag.meaning} |" for flag in FLAGS.values()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the card, or compare it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare with the card in the tree, write nothing")
    made = render()
    if parser.parse_args().check:
        return 0 if CARD.exists() and CARD.read_text("utf-8") == made else 1
    CARD.parent.mkdir(parents=True, exist_ok=True)
    CARD.write_text(made, encoding="utf-8")
    print(CARD.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
