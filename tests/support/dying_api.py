"""A catalogue with its files, in a process of its own that can be made to die."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def die() -> None:
    """End at once, as by the kernel's hand: no answer is finished, no socket closed in order."""
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("items", type=Path, help="a FeatureCollection; files lie below its folder")
    parser.add_argument("port", type=int)
    parser.add_argument("--page-size", type=int, default=4)
    parser.add_argument("--die-in-page", type=int, default=0, help="1 is the first; 0 never")
    parser.add_argument("--die-after-files", type=int, default=0, help="answers with a part of a file; 0 never")
    given = parser.parse_args()
    features: list[dict[str, Any]] = json.loads(given.items.read_text(encoding="utf-8"))["features"]
    url = f"http://127.0.0.1:{given.port}"
    served = 0
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/":
                self.send(200, "application/json", json.dumps(root(url)).encode())
            elif self.path.startswith("/search"):
                self.page()
            else:
                self.file()

        def page(self) -> None:
            found = re.search(r"page=(\d+)", self.path)
            number = int(found[1]) if found else 1
            first = (number - 1) * given.page_size
            more = first + given.page_size < len(features)
            next_link = {"rel": "next", "href": f"{url}/search?page={number + 1}", "type": "application/geo+json"}
            page = {
                "type": "FeatureCollection",
                "features": features[first : first + given.page_size],
                "links": [next_link] if more else [],
            }
            body = json.dumps(page).encode()
            self.send(200, "application/geo+json", body, half=number == given.die_in_page)

        def file(self) -> None:
            nonlocal served
            path = given.items.parent / self.path.lstrip("/")
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if found is None or not path.is_file():
                self.send(404, "text/plain", b"no such file")
                return
            data = path.read_bytes()
            first, last = int(found[1]), min(int(found[2]), len(data) - 1)
            with lock:
                served += 1
                last_words = served == given.die_after_files
            where = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            self.send(206, "image/tiff", data[first : last + 1], half=last_words, **where)

        def send(self, status: int, kind: str, body: bytes, *, half: bool = False, **headers: str) -> None:
            self.send_response(status)
            for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if half else body)
            self.wfile.flush()
            if half:
                die()

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", given.port), Handler).serve_forever()


def root(url: str) -> dict[str, Any]:
    """Return the landing page of an API that knows searches by GET and nothing more."""
    return {
        "type": "Catalog",
        "id": "dying",
        "stac_version": "1.0.0",
        "description": "A catalogue of a test",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
        "links": [
            {"rel": "self", "href": f"{url}/", "type": "application/json"},
            {"rel": "root", "href": f"{url}/", "type": "application/json"},
            {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "GET"},
        ],
    }


if __name__ == "__main__":
    main()
