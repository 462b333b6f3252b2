"""The service's face, put together."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from claude_tiu import AsyncTiu

from .api import api
from .pages import HERE, pages
from .problems import add_problems


def create_app(tiu: AsyncTiu, stopping: asyncio.Event) -> FastAPI:
    """Return the app on a connection; its event streams end when `stopping` is set."""
    app = FastAPI(title="Orchestrator", docs_url=None, redoc_url=None)  # those pages take their scripts from elsewhere
    app.state.tiu, app.state.stopping = tiu, stopping
    app.include_router(api)
    app.include_router(pages, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    add_problems(app)
    return app
