"""Takes the pictures of README from a demo: the report, its evidence, the review desk.

Run as ``railwatch --home DIR demo`` and then ``python tests/benchmarks/screenshots.py --home DIR``; it writes PNG
files of at most 200 KB into docs/images/ and prints their sizes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.chromium import ARGS, TOKEN, served

OUT = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 200_000  # bytes of a picture
WIDTH = 1080  # pixels: README's column, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="home folder of a finished demo")
    home = parser.parse_args().home.resolve()

    from playwright.sync_api import sync_playwright

    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGS)
        try:
            _report(browser, home)
            with _desk(home) as url:
                _desk_pages(browser, url)
        finally:
            browser.close()


def _report(browser: Any, home: Path) -> None:
    reports = sorted((home / "reports").glob("*.html"))
    if not reports:
        raise SystemExit(f"{home}/reports: no report; run `railwatch --home {home} demo` first.")
    page = browser.new_page(viewport={"width": WIDTH, "height": 1060}, color_scheme="light")
    page.goto(reports[0].as_uri())
    page.wait_for_selector("#chart[data-ready]")
    page.wait_for_timeout(500)
    _save(page.screenshot(), "report")
    evidence = page.locator("details.surge[open] .frames").first
    evidence.scroll_into_view_if_needed()
    _save(evidence.screenshot(), "evidence")
    page.close()


def _desk_pages(browser: Any, url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 920}, color_scheme="dark")
    page.goto(f"{url}/enter?token={TOKEN}")
    page.fill("#name", "A. Analyst")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/")
    page.goto(f"{url}/?show=all")
    page.locator("#queue li:has(.tier.high) h2 a, #queue h2 a").first.click()
    page.wait_for_selector("#stage")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    _save(page.screenshot(), "desk")
    page.close()


@contextmanager
def _desk(home: Path) -> Iterator[str]:
    """Serve the desk over the demo's store; nobody speaks, so nothing is written."""
    from pipeline.report.desk import create_app
    from pipeline.round.review import StoreDesk
    from pipeline.round.workspace import Workspace

    with Workspace.open(home / "demo" / "config", home) as ws:
        desk = StoreDesk(ws, ws.settings.default_site)

        def application(port: int) -> Any:
            return create_app(desk, token=TOKEN, host="127.0.0.1", port=port, now=lambda: datetime.now(UTC))

        with served(application) as url:
            yield url


def _save(png: bytes, name: str) -> None:
    """Write a picture, with the colours of a palette only where the limit asks for it."""
    from PIL import Image

    picture = Image.open(BytesIO(png)).convert("RGB")
    palette = Image.Quantize.MAXCOVERAGE  # keeps a rare red
    content = _encoded(picture)
    for colours in (256, 128, 64, 32):
        if len(content) <= LARGEST:
            break
        content = _encoded(picture.quantize(colours, method=palette, dither=Image.Dither.NONE))
    if len(content) > LARGEST:
        raise SystemExit(f"{name}.png is {len(content)} bytes even with few colours; take less of the page.")
    (OUT / f"{name}.png").write_bytes(content)
    print(f"docs/images/{name}.png  {picture.width} x {picture.height}, {len(content) / 1000:.0f} KB")


def _encoded(picture: Any) -> bytes:
    out = BytesIO()
    picture.save(out, "png", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()
