"""The detector card is what its generator makes of the results in the tree, and it leaves nothing out."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.flags import FLAGS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


printed = load("_printed")
card = load("detector_card")


def test_the_card_in_the_tree_is_what_the_results_give() -> None:
    assert card.CARD.read_text("utf-8") == card.render(), "run: python tests/benchmarks/detector_card.py"


def test_every_flag_stands_in_the_card_with_its_effect() -> None:
    text = card.render()
    for flag in FLAGS.values():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{flag.name}` |")]
        assert flag.meaning in line
        assert ("no number" in line) == (flag.severity == "reject")


def test_figures_become_a_table_and_text_is_quoted(tmp_path: Path) -> None:
    figures = load("_figures").Figures("radar", "1 to 2", "radar 9")
    figures.add("one pass | quiet", "coverage", "90 %", "87 to 93 %")
    figures.write(tmp_path)
    (tmp_path / "radar.txt").write_text("not quoted when there is a table")
    (tmp_path / "occupancy_sites.txt").write_text("known: RMSE 4.2\n```\n" + "line\n" * 100)
    text = card.render(tmp_path)
    assert "| one pass / quiet | coverage | 87 to 93 % | 90 % |" in text
    assert "not quoted" not in text
    assert "known: RMSE 4.2" in text
    assert f"{102 - printed.MOST_LINES} more lines in tests/benchmarks/results/occupancy_sites.txt" in text
    assert text.count("```") % 2 == 0


def test_figures_that_were_only_printed_become_tables_too() -> None:
    text = """resolved 1.0, seed 9000
0.5 m plain                  scenes 24 refused 0 mape 0.012 mae 0.9 f1 0.983 kinds nan
0.5 m snow                   scenes 12 refused 3 mape 0.041 mae 2.0 f1 0.951 kinds 0.800
recall by kind: ore car 0.99, flat car 0.81

what | asked | seen | met
0.5 m MAPE | <= 0.015 | 0.0120 | yes
0.5 m F1 | >= 0.98 | 0.9830 | NO
believed and wrong | asked 0 | seen 0
asked slope 1.00 +- 0.05 | seen 0.98
asked: no alarm changes          seen: 6 of 6
asked coverage 87-93 % | seen 91.0% of 240"""
    made = printed.as_markdown(text, "x.txt").splitlines()
    for line in (
        "| condition | scenes | refused | MAPE | MAE | F1 | F1 of kinds |",
        "| 0.5 m snow | 12 | 3 | 0.041 | 2.0 | 0.951 | 0.800 |",
        "| what | asked | seen | met |",
        "| 0.5 m F1 | >= 0.98 | 0.9830 | NO |",
        "| believed and wrong | 0 | 0 |  |",
        "|  | slope 1.00 +- 0.05 | 0.98 |  |",
        "|  | no alarm changes | 6 of 6 |  |",
        "|  | coverage 87-93 % | 91.0% of 240 |  |",
        "recall by kind: ore car 0.99, flat car 0.81",
    ):
        assert line in made, line
    assert not [line for line in made if line.startswith(("what |", "| what |  |"))]


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    text = card.render(tmp_path)
    assert text.count("Not measured yet") == sum(bool(section.results) for section in card.SECTIONS)


def test_a_changed_result_makes_the_card_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = card.render(tmp_path)
    content = {"name": "radar", "method": "m", "seed": "1", "commit": "c", "environment": "e"}
    row = {"condition": "a", "figure": "b", "asked": "", "seen": "5"}
    (tmp_path / "radar.json").write_text(json.dumps({**content, "rows": [row]}))
    assert card.render(tmp_path) != before
    monkeypatch.setattr(card, "CARD", tmp_path / "card.md")
    monkeypatch.setattr(sys, "argv", ["detector_card.py", "--check"])
    assert card.main() == 1
    (tmp_path / "card.md").write_text(card.render(), encoding="utf-8")
    assert card.main() == 0
