"""The review desk as a web application: pages by GET, words by POST, nothing for anyone without a session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pipeline.errors import ConfigError, RailwatchError
from pipeline.report.desk.acts import add_acts
from pipeline.report.desk.data import DeskData
from pipeline.report.desk.desk import Desk, NotHereError
from pipeline.report.desk.guard import Guard, is_loopback, own_hosts
from pipeline.report.desk.pages import Page, add_pages
from pipeline.report.desk.sessions import Door


def create_app(data: DeskData, *, token: str, host: str, port: int, now: Callable[[], datetime]) -> FastAPI:
    """Build the desk.

    Parameters
    ----------
    data
        The site's record.
    token
        One-time token that opens the first session.
    host, port
        Where the desk will listen; other values of ``Host`` and ``Origin`` are refused.
    now
        The clock for words, aware. Words are acts of people, so their time is that of the wall.

    Raises
    ------
    ConfigError
        When `host` is not a loopback address, or the token is shorter than 16 characters.
    """
    if not is_loopback(host):
        raise ConfigError(f"The review desk listens on loopback only, not on {host}; leave --host out.")
    if len(token) < 16:
        raise ConfigError("The review desk's token is shorter than 16 characters; let railwatch make one.")
    app = FastAPI(title="railwatch review desk", docs_url=None, redoc_url=None, openapi_url=None)
    door, desk = Door(token), Desk(data, now)
    page = Page(desk, door, host, port)
    add_pages(app, page)
    add_acts(app, page)
    _add_refusals(app, page)
    app.add_middleware(Guard, hosts=own_hosts(host, port))
    return app


def _add_refusals(app: FastAPI, page: Page) -> None:
    """Answer every error with a page, or for htmx with a sentence in the page's notice."""

    def refuse(request: Request, status: int, sentence: str) -> Response:
        return page.refusal(request, status, sentence)

    @app.exception_handler(HTTPException)
    def on_http(request: Request, error: HTTPException) -> Response:
        sentence = str(error.detail) if error.status_code not in (404, 405) else _PLAIN[error.status_code]
        return refuse(request, error.status_code, sentence)

    @app.exception_handler(RequestValidationError)
    def on_form(request: Request, error: RequestValidationError) -> Response:
        fields = ", ".join(sorted({str(e["loc"][-1]) for e in error.errors()}))
        return refuse(request, 422, f"The form could not be read: {fields}. Nothing was recorded.")

    @app.exception_handler(NotHereError)
    def on_missing(request: Request, error: NotHereError) -> Response:
        return refuse(request, 404, str(error))

    @app.exception_handler(RailwatchError)
    def on_trouble(request: Request, error: RailwatchError) -> Response:
        return refuse(request, 500, f"{error} Nothing was recorded; your text is still here.")


_PLAIN = {
    404: "The desk has no such page.",
    405: "Nothing is changed by opening an address; use the page's own form.",
}
