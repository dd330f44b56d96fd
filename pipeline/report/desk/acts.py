"""The forms that change something: each needs a session, its own secret, and the POST method."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, Form, Request
from starlette.responses import RedirectResponse, Response

from pipeline.report.desk.desk import UnsaidError
from pipeline.report.desk.forms import EnterForm, SignedForm, WordForm
from pipeline.report.desk.pages import Page
from pipeline.report.desk.words import Subject, clean

NAME_MAX = 80


def add_acts(app: FastAPI, page: Page) -> None:
    """Add every POST."""

    @app.post("/enter")
    def enter(request: Request, form: Annotated[EnterForm, Form()]) -> Response:
        name = " ".join(clean(form.name).split())[:NAME_MAX]
        if not name and page.door.knows(form.token):
            return page.html(
                "enter.html", request, 422, token=form.token, error="Give the name that signs your words."
            )
        session = page.door.enter(form.token, name)
        if session is None:
            return page.refusal(request, 401, "This link is wrong or was already used; ask for a new one.")
        response = RedirectResponse("/", 303)
        response.set_cookie(page.cookie, session.session_id, httponly=True, samesite="strict", path="/")
        return response

    @app.post("/leave")
    def leave(request: Request, form: Annotated[SignedForm, Form()]) -> Response:
        session = page.person(request)
        page.signed(session, form.csrf)
        page.door.leave(session.session_id)
        response = page.html("left.html", request)
        response.delete_cookie(page.cookie, path="/", httponly=True, samesite="strict")
        return response

    @app.post("/invite")
    def invite(request: Request, form: Annotated[SignedForm, Form()]) -> Response:
        session = page.person(request)
        page.signed(session, form.csrf)
        link = f"http://{request.headers['host']}/enter?token={page.door.invite()}"
        return page.html("invite.html", request, link=link)

    @app.post("/surge/{surge_id}/word")
    def surge_word(request: Request, surge_id: str, form: Annotated[WordForm, Form()]) -> Response:
        page.person(request)
        page.desk.surge(surge_id)
        return take(request, "surge", surge_id, form)

    @app.post("/look/{observation_id}/word")
    def look_word(request: Request, observation_id: str, form: Annotated[WordForm, Form()]) -> Response:
        page.person(request)
        return take(request, "count", observation_id, form)

    def take(request: Request, subject: Subject, subject_id: str, form: WordForm) -> Response:
        session = page.person(request)
        page.signed(session, form.csrf)
        fragment = "hx-request" in request.headers
        place = "surge" if subject == "surge" else "look"
        try:
            panel = page.desk.take(subject, subject_id, form, session.name)
        except UnsaidError as unsaid:
            panel = page.desk.refused(subject, subject_id, form, str(unsaid))
            return page.html("panel.html" if fragment else "alone.html", request, unsaid.status, panel=panel)
        if fragment:
            return page.html("panel.html", request, panel=panel)
        if panel.meanwhile:
            return page.html("alone.html", request, panel=panel)
        return RedirectResponse(f"/{place}/{quote(subject_id, safe='')}?said={quote(panel.seen)}", 303)
