"""The pages that only read."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, replace
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipeline.report.desk.desk import RECORDED, Desk, Panel
from pipeline.report.desk.evidence import marks
from pipeline.report.desk.render import environment, static_files
from pipeline.report.desk.sessions import Door, Session
from pipeline.report.desk.words import REASONS

NO_STORE = {"cache-control": "no-store"}


class Page:
    """What every page needs: the desk, the door and the person before it."""

    def __init__(self, desk: Desk, door: Door, host: str, port: int) -> None:
        self.desk, self.door, self.host, self.port = desk, door, host, port
        self.cookie = f"railwatch_desk_{port}"  # cookies do not tell ports apart

    def person(self, request: Request) -> Session:
        """Return the session of a request.

        Raises
        ------
        HTTPException
            401 without one.
        """
        session = self.door.session(request.cookies.get(self.cookie, ""))
        if session is None:
            raise HTTPException(
                401,
                "Open the desk by the link that railwatch printed, or ask somebody at the desk for an invitation.",
            )
        return session

    def signed(self, session: Session, csrf: str) -> None:
        """Check that a form is one of this session's own.

        Raises
        ------
        HTTPException
            403 when it is not.
        """
        if not hmac.compare_digest(session.csrf.encode(), csrf.encode()):
            raise HTTPException(403, "This form is not one of your session; reload the page and send it again.")

    def html(self, template: str, request: Request, status: int = 200, **context: Any) -> HTMLResponse:
        """Render a template for the person of the request."""
        session = self.door.session(request.cookies.get(self.cookie, ""))
        body = (
            environment()
            .get_template(template)
            .render(site=self.desk.data.site, me=session, reasons=REASONS, **context)
        )
        return HTMLResponse(body, status, headers=NO_STORE)

    def refusal(self, request: Request, status: int, sentence: str) -> HTMLResponse:
        """Answer with a page that says why, or for htmx with a line for the page's notice."""
        if "hx-request" in request.headers:
            response = self.html("notice.html", request, status, sentence=sentence)
            response.headers.update({"hx-retarget": "#notice", "hx-reswap": "innerHTML"})
            return response
        return self.html("refusal.html", request, status, sentence=sentence, code=status)


def add_pages(app: FastAPI, page: Page) -> None:
    """Add every GET."""
    desk = page.desk

    @app.get("/enter")
    def enter(request: Request, token: str = "") -> Response:
        if page.door.session(request.cookies.get(page.cookie, "")) is not None and not token:
            return RedirectResponse("/", 303)
        if not page.door.knows(token):
            raise HTTPException(401, "This link is wrong or was already used; ask for a new one.")
        return page.html("enter.html", request, token=token, error="")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in static_files():
            raise HTTPException(404)
        content, kind = static_files()[name]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    @app.get("/")
    def front(request: Request, show: str = "") -> Response:
        page.person(request)
        rows = desk.queue()
        if show not in ("open", "silent", "all"):  # what waits for a word is shown first
            silent = any(row.verdict is None for row in rows)
            show = "open" if any(row.open for row in rows) else "silent" if silent else "all"
        kept = [r for r in rows if show == "all" or (r.open if show == "open" else r.verdict is None)]
        counts = {"open": sum(r.open for r in rows), "silent": sum(r.verdict is None for r in rows), "all": len(rows)}
        return page.html("queue.html", request, rows=kept, counts=counts, show=show)

    @app.get("/surge/{surge_id}")
    def surge(request: Request, surge_id: str, a: str = "", b: str = "", said: str = "") -> Response:
        page.person(request)
        found = desk.surge(surge_id)
        panel = _panel(desk, "surge", surge_id, said)
        return page.html("surge.html", request, surge=found, view=desk.viewer(found, a, b), panel=panel)

    @app.get("/surge/{surge_id}/viewer")
    def viewer(request: Request, surge_id: str, a: str = "", b: str = "") -> Response:
        page.person(request)
        return page.html("viewer.html", request, view=desk.viewer(desk.surge(surge_id), a, b))

    @app.get("/surge/{surge_id}/since")
    def surge_since(request: Request, surge_id: str, seen: str = "") -> Response:
        page.person(request)
        return page.html("meanwhile.html", request, meanwhile=desk.since("surge", surge_id, seen))

    @app.get("/look/{observation_id}")
    def look(request: Request, observation_id: str, said: str = "", surge: str = "") -> Response:
        page.person(request)
        found = desk.observation(observation_id)
        return page.html(
            "look.html",
            request,
            look=found,
            frame=desk.frame,
            marks=marks(found, desk.data.site, desk.frame),
            picture=desk.picture(found, None),
            surge=next((s for s in desk.data.surges() if s.surge_id == surge), None),
            panel=_panel(desk, "count", observation_id, said),
        )

    @app.get("/look/{observation_id}/since")
    def look_since(request: Request, observation_id: str, seen: str = "") -> Response:
        page.person(request)
        return page.html("meanwhile.html", request, meanwhile=desk.since("count", observation_id, seen))

    @app.get("/look/{observation_id}/chip.png")
    def chip(request: Request, observation_id: str, like: str = "") -> Response:
        page.person(request)
        other = desk.observation(like) if like else None
        found = desk.picture(desk.observation(observation_id), other)
        if found is None:
            raise HTTPException(404)
        return Response(found.content, media_type="image/png", headers={"cache-control": "private, max-age=600"})

    @app.get("/words")
    def words(request: Request) -> Response:
        page.person(request)
        said = tuple(reversed(desk.data.verdicts()))
        looks = {o.observation_id: o for o in desk.data.observations()} if said else {}
        surges = {s.surge_id: s for s in desk.data.surges()}
        return page.html("words.html", request, said=said, looks=looks, surges=surges)

    @app.get("/words.json")
    def export(request: Request) -> Response:
        page.person(request)
        rows = [{**asdict(v), "at": v.at.isoformat().replace("+00:00", "Z")} for v in desk.data.verdicts()]
        body = json.dumps({"site": desk.data.site.name, "verdicts": rows}, ensure_ascii=False, indent=1)
        return Response(
            body,
            media_type="application/json",
            headers={**NO_STORE, "content-disposition": 'attachment; filename="verdicts.json"'},
        )


def _panel(desk: Desk, subject: Any, subject_id: str, said: str) -> Panel:
    """Return a panel; after a redirect it says that the word was taken, when it was."""
    panel = desk.panel(subject, subject_id)
    word = next((w.verdict for w in panel.words if said and w.verdict.verdict_id == said), None)
    return panel if word is None else replace(panel, message=RECORDED[word.decision], recorded=said)
