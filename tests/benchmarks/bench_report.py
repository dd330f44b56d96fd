"""How large, how slow and how soon open: the report of ten years, 2,000 looks and 30 surges.

Run as ``python tests/benchmarks/bench_report.py``; wanted are under 6 MB, under 20 s, and under 2 s in Chromium.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

SEED = 20231005
YEARS, LOOKS, SURGES = 10.0, 2000, 30
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def main() -> None:
    from support.report_world import a_report

    from pipeline.model import Look
    from pipeline.report import build_report

    data = a_report(years=YEARS, surges=SURGES, step_days=YEARS * 365.25 / LOOKS, seed=SEED, resolved=True)
    names = ("altair", "vl-convert-python", "jinja2", "matplotlib", "numpy")
    print(f"Python {platform.python_version()}, {', '.join(f'{n} {version(n)}' for n in names)}; seed {SEED}")
    counted = sum(o.count is not None for o in data.observations)
    fine = sum(o.gsd_m < 5 and o.count is not None for o in data.observations)
    print(f"{len(data.observations)} looks ({counted} counted, {fine} at 1 m), {len(data.surges)} surges")
    spent = [0.0, 0.0]  # wall and processor seconds

    def look_for(scene_id: str) -> Look | None:
        began, busy = time.perf_counter(), time.process_time()
        found = data.look_for(scene_id)
        spent[0] += time.perf_counter() - began
        spent[1] += time.process_time() - busy
        return found

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.html"
        began, busy = time.perf_counter(), time.process_time()
        build_report(replace(data, look_for=look_for), out)
        taken, used = time.perf_counter() - began - spent[0], time.process_time() - busy - spent[1]
        print(
            f"written in {taken:.1f} s, {used:.1f} s of a processor (wanted: under 20), besides {spent[0]:.1f} s to"
            f" make the looks up; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
        )
        print(f"size {out.stat().st_size / 1e6:.2f} MB (wanted: under 6)")
        _open(out)


def _open(page_file: Path) -> None:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        print("Chromium is not installed: opening was not measured")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        loads, charts = [], []
        for _ in range(5):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(page_file.as_uri())
            page.wait_for_selector("#chart[data-ready]")
            charts.append(page.evaluate("performance.now()") / 1000)
            loads.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
            page.close()
        print(
            f"Chromium {browser.version}: loaded after {sorted(loads)[2]:.2f} s (worst {max(loads):.2f}), median of 5"
        )
        print(f"chart drawn after {sorted(charts)[2]:.2f} s (worst {max(charts):.2f}) (wanted: under 2)")
        browser.close()


if __name__ == "__main__":
    main()
