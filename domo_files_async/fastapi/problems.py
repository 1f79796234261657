"""This library's errors as answers that a client can act on, and that give nothing away.

What Domo said, which credential was used and where it went stays in the log.
"""

from __future__ import annotations

import http
import logging
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
from fastapi.responses import JSONResponse

from domo_files_async.errors import (
    AccessNotSetError,
    ApiError,
    ChecksumMismatchError,
    ConflictError,
    DomoFilesError,
    InvalidArgumentError,
    MaintenanceError,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PayloadTooLargeError,
    RateLimitedError,
    ScanRejectedError,
    ScanTimeoutError,
    SourceTooLargeError,
    StalledError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.fastapi.uploads import UploadRefusedError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

__all__ = ("add_error_handlers",)

_log = logging.getLogger("domo_files_async")

_FIRST_FAILURE = 500
_UNAVAILABLE = 503
_AGAIN = "Try again later"

Row: TypeAlias = "tuple[type[DomoFilesError], int, str, str]"

# The first that an error is one of; what is in none of them is the application's own mistake.
_TABLE: tuple[Row, ...] = (
    (NotFoundError, 404, "", "There is no such file, or none that can be seen from here"),
    (PayloadTooLargeError, 413, "", "The file is larger than what can be stored"),
    (SourceTooLargeError, 413, "", "The file is larger than what can be stored"),
    (ConflictError, 409, "", "The file's state doesn't allow this now"),
    (InvalidArgumentError, 400, "", "A name, an id or another value of the request can't be right"),
    (RateLimitedError, 503, "", "Too much is asked of the storage at the moment"),
    (MaintenanceError, 503, "", "The storage is under maintenance"),
    (
        OutcomeUnknownError,
        504,
        "outcome-unknown",
        "Whether this was done isn't known: look before you send it again, or it may be done twice",
    ),
    (
        AccessNotSetError,
        502,
        "access-not-set",
        "The file was stored, but who may read it couldn't be set: don't send it again",
    ),
    (
        ChecksumMismatchError,
        502,
        "checksum-mismatch",
        "What the storage has is not what was sent, or couldn't be compared with it",
    ),
    (ScanRejectedError, 422, "scan-rejected", "The virus scan refused the file"),
    (ScanTimeoutError, 504, "scan-timeout", "The virus scan isn't over yet"),
    (StalledError, 504, "", f"The storage didn't answer in time. {_AGAIN}"),
    (TransportError, 502, "", f"The storage couldn't be reached. {_AGAIN}"),
    (UnexpectedResponseError, 502, "", "The storage gave an answer that makes no sense"),
    (ApiError, 502, "", f"The storage refused this application's request, or failed. {_AGAIN}"),
    (DomoFilesError, 500, "", "The application made a mistake"),
)


@attrs.frozen
class Problem:
    """One answer.

    Attributes:
        status: The HTTP status.
        detail: What went wrong, for the client.
        kind: Last word of its type; empty where the status says it all.
        headers: What goes with it.
        facts: Members beyond those of the RFC.
    """

    status: int
    detail: str
    kind: str = ""
    headers: dict[str, str] = attrs.field(factory=dict)
    facts: dict[str, Any] = attrs.field(factory=dict)

    def response(self) -> JSONResponse:
        """Write it.

        Source: RFC 9457, section 3.
        """
        content = {
            "type": f"tag:domo-files-async,2026:{self.kind}" if self.kind else "about:blank",
            "title": self.kind.replace("-", " ").capitalize()
            or http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.facts,
        }
        headers = {"Cache-Control": "no-store", **self.headers}
        return JSONResponse(content, self.status, headers, "application/problem+json")


def add_error_handlers(app: FastAPI) -> None:
    """Answer with problem details where an endpoint raises one of this library's errors.

    A client learns what it can do, and nothing of what lies behind: neither Domo's words nor its
    paths, and 502 where Domo refused the application's own credential. All of that is logged.

    Args:
        app: Gets the handlers; those of other errors stay as they are.

    Source: RFC 9457.
    """
    app.add_exception_handler(DomoFilesError, _answer)
    app.add_exception_handler(UploadRefusedError, _refuse)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomoFilesError)
    problem = _problem(error)
    if problem.status >= _FIRST_FAILURE:
        _log.error("%s %s failed: %s", request.method, request.url.path, error, exc_info=error)
    return problem.response()


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UploadRefusedError)
    headers = dict(error.headers or {})
    return Problem(error.status_code, error.detail, headers=headers).response()


def _problem(error: DomoFilesError) -> Problem:
    if isinstance(error, PartUploadError):
        return _problem(error.cause)
    _, status, kind, detail = next(row for row in _TABLE if isinstance(error, row[0]))
    asked = error.retry_after if isinstance(error, ApiError) else None
    headers = {"Retry-After": f"{math.ceil(asked)}"} if asked and status == _UNAVAILABLE else {}
    facts = {"data_file_id": error.data_file_id} if isinstance(error, AccessNotSetError) else {}
    return Problem(status, detail, kind, headers, facts)
