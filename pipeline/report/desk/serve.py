"""Starts the desk on this machine's loopback and says where it is."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import uvicorn

from pipeline.errors import ConfigError
from pipeline.report.desk.app import create_app
from pipeline.report.desk.data import DeskData


def serve_desk(
    data: DeskData,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    say: Callable[[str], None],
    open_page: Callable[[str], object] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serve the desk until it is interrupted (SIGINT or SIGTERM).

    Parameters
    ----------
    data
        The site's record.
    host
        A loopback address.
    port
        0 takes a free one.
    say
        Prints the link with its one-time token.
    open_page
        Opens the link in a browser, such as ``webbrowser.open``.
    now
        The clock for words.

    Raises
    ------
    ConfigError
        When the host is not loopback or the port is taken.
    """
    token = secrets.token_urlsafe(32)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        create_app(data, token=token, host=host, port=port, now=now)  # refuses a foreign host before listening
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"The review desk cannot listen on {host} port {port} ({error.strerror}); choose another --port."
            ) from error
        taken = int(listener.getsockname()[1])
        app = create_app(data, token=token, host=host, port=taken, now=now)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, proxy_headers=False)
        )
        shown = f"[{host}]" if ":" in host else host
        link = f"http://{shown}:{taken}/enter?token={token}"
        say(f"The review desk is open at {link} (for one person; invite others from the page). Stop it with Ctrl-C.")
        if open_page is not None:
            open_page(link)
        server.run(sockets=[listener])
