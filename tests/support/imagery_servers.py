"""Servers that the imagery tests start on loopback: byte ranges, a STAC API by others, nginx with signed links."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from support.missing import missing

ROOT = Path(__file__).parents[2]
Answer = tuple[int, dict[str, str], bytes]


def server_program(name: str) -> Path:
    """Return a program of the environment described in tests/servers/requirements.txt."""
    folder = Path(os.environ.get("RAILWATCH_TEST_SERVERS") or ROOT / "tests" / "servers" / "env")
    program = folder / "bin" / name
    if not program.is_file():
        missing(f"no {name} in {folder}: see tests/servers/requirements.txt")
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalServer:
    """Files of a folder with byte ranges, and paths with an answer of their own; keeps a list of requests."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], Answer]] = {}
        self.requests: list[tuple[str, str]] = []  # path, Range header
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers.get("Range", "")))
                length = int(self.headers.get("Content-Length") or 0)
                if length:
                    self.rfile.read(length)
                try:
                    status, headers, body = outer._answer(self)
                    self.send_response(status)
                    for key, value in headers.items():
                        self.send_header(key, value)
                    if "Content-Length" not in headers:
                        self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    if "Content-Length" in headers:
                        self.close_connection = True
                except OSError:
                    self.close_connection = True

            do_POST = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is no news
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _answer(self, request: BaseHTTPRequestHandler) -> Answer:
        path = request.path.split("?")[0]
        if path in self.answers:
            return self.answers[path](request)
        if self.folder is None or not (self.folder / path.lstrip("/")).is_file():
            return 404, {}, b"no such file"
        return ranged((self.folder / path.lstrip("/")).read_bytes(), request.headers.get("Range", ""))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def ranged(data: bytes, header: str) -> Answer:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", header)
    if not found:
        return 200, {"Content-Type": "image/tiff"}, data
    first, last = int(found[1]), min(int(found[2]), len(data) - 1)
    if first >= len(data):
        return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
    part = data[first : last + 1]
    return 206, {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Content-Type": "image/tiff"}, part


@contextmanager
def local_server(folder: Path | None = None) -> Iterator[LocalServer]:
    server = LocalServer(folder)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def rustac_server(collection: Path, items: Path) -> Iterator[str]:
    """Serve a collection and its items with `rustac serve`; yields the API's root."""
    port = free_port()
    program = Path(sys.executable).with_name("rustac")
    command = [str(program), "serve", "-a", f"127.0.0.1:{port}", str(collection), str(items)]
    with running(command, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"


SECRET = "only-for-this-test"  # noqa: S105 - signs links of a server that lives for one test


def secure_link(path: str, expires: int) -> str:
    """Return the query that nginx's secure_link asks for (ngx_http_secure_link_module)."""
    digest = hashlib.md5(f"{expires}{path} {SECRET}".encode(), usedforsecurity=False).digest()
    return f"md5={base64.urlsafe_b64encode(digest).decode().rstrip('=')}&expires={expires}"


@contextmanager
def nginx_server(folder: Path, work: Path) -> Iterator[str]:
    """Serve a folder with nginx; below /signed/ only links that are signed and have not run out."""
    port = free_port()
    work.mkdir(parents=True, exist_ok=True)
    config = work / "nginx.conf"
    config.write_text(
        f"""
{"user root;" if os.geteuid() == 0 else ""}
daemon off; pid {work}/nginx.pid; error_log {work}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log {work}/access.log;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /alive {{ return 200 "yes"; }}
    location /signed/ {{
      secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri {SECRET}";
      if ($secure_link = "") {{ return 403; }}
      if ($secure_link = "0") {{ return 403; }}
      alias {folder}/;
    }}
    location / {{ root {folder}; }}
  }}
}}
""",
        encoding="utf-8",
    )
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing("nginx is not installed")
    with running([program, "-c", str(config), "-p", str(work)], f"http://127.0.0.1:{port}/alive"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def titiler_server() -> Iterator[str]:
    """Serve tiles of any image with titiler; yields its root."""
    port = free_port()
    command = [str(server_program("uvicorn")), "titiler.application.main:app", "--port", str(port)]
    with running(command, f"http://127.0.0.1:{port}/healthz"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: list[str], alive: str, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Run a server until the block ends; `alive` answers once it is up. What it says is shown if it never does."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    if httpx.get(alive).status_code < 500:
                        break
                except httpx.TransportError:
                    pass
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{command[0]} did not start: {log.read()[-2000:].decode(errors='replace')}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)
