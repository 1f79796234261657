"""Which faults there are, and what each must lead to; written once, not for each cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domo_files_async import (
    AccessNotSetError,
    AuthenticationError,
    BadRequestError,
    ChecksumMismatchError,
    ConflictError,
    ConnectError,
    MaintenanceError,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    StalledError,
    TransportError,
    UnexpectedResponseError,
)

if TYPE_CHECKING:
    from tests.faults.operations import Operation

__all__ = ("ATTEMPTS", "FAULTS", "Expected", "FaultCase", "expect")

ATTEMPTS = 3

_STATUSES: dict[int, type[Exception]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: BadRequestError,
    409: ConflictError,
    412: BadRequestError,
    413: PayloadTooLargeError,
    416: BadRequestError,
    422: BadRequestError,
    429: RateLimitedError,
    500: ServerError,
    501: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
}
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_UNREAD = {"delete_revision", "delete_file", "copy_revision", "duplicate_file"}
"""Requests whose body the server doesn't read, so that it stalls only when it is done."""


@dataclass(frozen=True)
class FaultCase:
    """One kind of fault: the emulator's words for it, and what a single attempt ends with."""

    name: str
    words: dict[str, Any]
    error: type[Exception] | None
    transient: bool = False
    lost: bool = False
    kind: str = "answer"
    status: int | None = None

    def applies(self, operation: Operation) -> bool:
        """Say whether it makes sense there."""
        if self.kind == "odd body":
            return operation.reads != "stream"
        if self.kind in {"download", "other bytes"}:
            return operation.reads == "stream"
        if self.kind == "damage":
            # A simple upload has no checksum, and a stream is nobody's to verify.
            return operation.request not in {"upload_file", "upload_revision"} and (
                operation.reads != "stream" or operation.engine
            )
        return True

    def may_go_again(self, operation: Operation) -> bool:
        """Say whether it matters how many attempts meet it."""
        is_far = self.kind in {"redirect near", "redirect far", "damage"}
        return self.transient or is_far or (self.lost and not operation.repeatable)

    def processed(self, operation: Operation) -> bool:
        """Say whether the server does what was asked nevertheless."""
        if self.kind == "stall":
            return operation.request in _UNREAD
        if self.kind == "damage":
            return operation.reads != "part"
        return self.kind in {"after", "slow"}


def _status(status: int) -> FaultCase:
    transient = status in _TRANSIENT
    lost = status == 408 or status >= 500
    return FaultCase(
        f"status {status}",
        {"status": status},
        _STATUSES[status],
        transient=transient,
        lost=lost,
        status=status,
    )


def _odd(name: str, body: Any, **more: Any) -> FaultCase:
    return FaultCase(
        name,
        {"status": 200, "body": body, **more},
        UnexpectedResponseError,
        lost=True,
        kind="odd body",
        status=200,
    )


def _asked(status: int, name: str, value: str, *, transient: bool = True) -> FaultCase:
    return FaultCase(
        f"{status} with {name}",
        {"status": status, "headers": {"Retry-After": value}},
        _STATUSES[status],
        transient=transient,
        lost=status == 503,
        status=status,
    )


def _redirect(name: str, status: int, to: str, error: type[Exception]) -> FaultCase:
    words = {"status": status, "headers": {"Location": to}, "body": ""}
    return FaultCase(name, words, error, kind=name, status=status)


_LONG = "x" * 300_000
_WRONG_IDS = {"dataFileId": "x", "revisionId": [], "sessionId": {}, "id": "none", "name": 1}
_HTML = "<!DOCTYPE html><html><title>Elsewhere</title></html>"

FAULTS = (
    *(_status(status) for status in _STATUSES),
    _asked(429, "seconds", "0"),
    _asked(429, "a date", "Wed, 21 Oct 2015 07:28:00 GMT"),
    _asked(429, "nonsense", "soon"),
    _asked(429, "too long a wait", "7200", transient=False),
    _asked(503, "seconds", "0"),
    _asked(503, "too long a wait", "7200", transient=False),
    FaultCase(
        "an error of 300 kB",
        {"status": 400, "body": _LONG},
        BadRequestError,
        status=400,
    ),
    FaultCase("an early 413", {"status": 413, "early": True}, PayloadTooLargeError, status=413),
    FaultCase("maintenance", {"maintenance": True}, MaintenanceError, transient=True, lost=True),
    FaultCase(
        "maintenance with 200",
        {"maintenance": True, "status": 200},
        MaintenanceError,
        transient=True,
        lost=True,
    ),
    _odd("an empty body", ""),
    _odd("garbage", b"\xff\x00{"),
    _odd("HTML", _HTML),
    _odd("a wrong type", "[1]"),
    _odd("a missing field", '{"else": 1}'),
    _odd("wrong ids", _WRONG_IDS),
    FaultCase("reset before", {"reset": "before"}, TransportError, transient=True, lost=True),
    FaultCase(
        "reset in the body",
        {"reset": "body"},
        TransportError,
        transient=True,
        lost=True,
        kind="broken",
    ),
    FaultCase(
        "reset after",
        {"reset": "after"},
        TransportError,
        transient=True,
        lost=True,
        kind="after",
    ),
    FaultCase("stall", {"stall": 60}, StalledError, transient=True, lost=True, kind="stall"),
    FaultCase("slow", {"rate": 1_000_000}, None, kind="slow"),
    FaultCase("corrupt", {"corrupt": True}, UnexpectedResponseError, lost=True, kind="damage"),
    FaultCase("truncated", {"truncate": True}, TransportError, transient=True, kind="download"),
    FaultCase(
        "a page in place of a file",
        {"status": 200, "body": _HTML, "headers": {"Content-Type": "text/html"}},
        UnexpectedResponseError,
        kind="other bytes",
    ),
    FaultCase(
        "labelled as gzip",
        {"status": 200, "body": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}},
        UnexpectedResponseError,
        kind="other bytes",
    ),
    _redirect("redirect near", 307, "?again=1", UnexpectedResponseError),
    _redirect("redirect far", 307, "http://127.0.0.2:9/", UnexpectedResponseError),
    _redirect("redirect to a login", 302, "/auth/login", AuthenticationError),
)


@dataclass(frozen=True)
class Expected:
    """What a cell must end with: `cause` is what the error must be, or be wrapped around."""

    error: type[Exception] | None
    cause: type[Exception] | None = None
    effect: dict[str, int] = field(default_factory=dict)


def expect(operation: Operation, fault: FaultCase, *, always: bool) -> Expected:
    """Say what must come of a fault that one attempt meets, or every attempt."""
    error, transient = _single(operation, fault, always=always)
    processed = fault.processed(operation)
    is_create = operation.request.startswith("create_")
    if error is None:
        return _success(operation, fault, processed=processed)
    if transient and (operation.repeatable or fault.status == 429):
        attempts = ATTEMPTS if always else 1
        orphans = attempts if is_create and processed else 0
        if not always:
            return Expected(None, effect=_plus(operation.effect, orphans))
        return _failure(operation, error, processed=processed, orphans=orphans)
    if not operation.repeatable and fault.lost:
        is_commit = operation.request == "commit_multipart_session"
        if processed or (is_commit and not always):
            return Expected(None, effect=operation.effect)
        # The multipart session is left: whether it was committed can't be told.
        left = {"sessions": 1} if is_commit and operation.engine else {}
        return Expected(OutcomeUnknownError, error, left)
    return _failure(operation, error, processed=processed, orphans=int(is_create and processed))


def _single(
    operation: Operation, fault: FaultCase, *, always: bool
) -> tuple[type[Exception] | None, bool]:
    """Say what one attempt ends with, and whether another may mend it."""
    error, transient = fault.error, fault.transient
    reads, request = operation.reads, operation.request
    if fault.kind == "odd body" and reads in {"nothing", "part"} and fault.name != "HTML":
        error = None
    if fault.kind == "damage":
        if reads == "nothing":
            error = None
        elif reads == "part":
            error, transient = ChecksumMismatchError, True
        elif reads == "stream":
            error = ChecksumMismatchError
    if fault.kind == "redirect near" and not operation.writes and not always:
        error = None
    if fault.kind == "redirect far" and request == "open_download":
        error, transient = ConnectError, True
    if fault.kind in {"broken", "stall"} and reads == "stream":
        transient = operation.engine
    if fault.name == "truncated":
        transient = operation.engine
    if fault.kind == "other bytes":
        # A stored page looks the same, so that only the comparison of the whole can tell.
        error = ChecksumMismatchError if operation.engine else None
    return error, transient


def _success(operation: Operation, fault: FaultCase, *, processed: bool) -> Expected:
    if fault.kind == "odd body":
        # It was taken for done, and wasn't. The server knows of a gap, but not of a missing end,
        # and the API's page promises no body by which a part's reply could be told.
        if operation.engine and operation.part in {1, 2}:
            return Expected(ConflictError)
        return Expected(None, effect=operation.effect if operation.engine else {})
    del processed
    return Expected(None, effect=operation.effect)


def _failure(
    operation: Operation, error: type[Exception], *, processed: bool, orphans: int
) -> Expected:
    effect = operation.effect if processed and not operation.engine else {}
    if orphans:
        effect = {"sessions": orphans}
    if operation.name == "upload: access":
        return Expected(AccessNotSetError, error, operation.effect)
    if operation.engine and operation.reads == "part" and error is not AuthenticationError:
        return Expected(PartUploadError, error, effect)
    return Expected(error, effect=effect)


def _plus(effect: dict[str, int], sessions: int) -> dict[str, int]:
    if not sessions:
        return effect
    return {**effect, "sessions": effect.get("sessions", 0) + sessions}
