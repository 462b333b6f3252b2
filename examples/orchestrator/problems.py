"""Refusals and failures as problem details (RFC 9457), each with the code that claude-tiu gives it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from claude_tiu import (
    CommandIdReused,
    Contended,
    InvalidCommand,
    InvalidQuery,
    NotFound,
    Refused,
    StoreUnavailable,
    TiuError,
)

STATUS_OF: list[tuple[type[TiuError], HTTPStatus]] = [  # the first that fits counts
    (NotFound, HTTPStatus.NOT_FOUND),
    (CommandIdReused, HTTPStatus.UNPROCESSABLE_ENTITY),  # as the draft on Idempotency-Key has it
    (Refused, HTTPStatus.CONFLICT),
    (InvalidCommand, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidQuery, HTTPStatus.UNPROCESSABLE_ENTITY),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Contended, HTTPStatus.SERVICE_UNAVAILABLE),
]


def add_problems(app: FastAPI) -> None:
    """Let an app answer every error as a problem."""
    app.add_exception_handler(TiuError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _other)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TiuError)
    status = next((status for kind, status in STATUS_OF if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return _problem(status, error.message, code=error.code, details=error.details)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the request is not as it should be", details={"faults": faults})


def _other(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _problem(HTTPStatus(error.status_code), str(error.detail))


def _problem(status: HTTPStatus, detail: str, **more: Any) -> JSONResponse:
    content = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **more}
    headers = {"Retry-After": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse(content, status.value, headers, media_type="application/problem+json")
