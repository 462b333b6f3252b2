"""The pages: HTML that stands by itself, and a part of it that is fetched again as events come."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from .depending import Seen, Tiu

HERE = Path(__file__).parent
RECENT = 200
"""How many positions back the page's list of events begins."""

POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""What a page may load, and what may be done with it: what was made of a hostile name would not run."""

pages = APIRouter(default_response_class=HTMLResponse)
templates = Jinja2Templates(directory=HERE / "templates")


def _page(request: Request, name: str, **shown: Any) -> Response:
    return templates.TemplateResponse(request, name, shown, headers={"Content-Security-Policy": POLICY})


@pages.get("/")
async def index(request: Request, tiu: Tiu) -> Response:
    return _page(request, "index.html", projects=await tiu.read.projects(limit=100), key=uuid4())


@pages.get("/projects/{project_id}")
async def project(request: Request, tiu: Tiu, view: Seen) -> Response:
    after = max(0, (await tiu.lag()).position - RECENT)
    return _page(request, "project.html", view=view, after=after, key=uuid4())


@pages.get("/projects/{project_id}/live")
async def live(request: Request, view: Seen) -> Response:
    """The part of a project's page that changes."""
    return _page(request, "live.html", view=view)
