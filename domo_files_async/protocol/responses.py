"""Replies to values, or to the errors that they mean.

Rule 1: whatever a server sends becomes a value or one of our errors, never anything else.
Rule 2: the maintenance page is looked for in every reply: it comes with status 200, too.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from domo_files_async.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ChecksumMismatchError,
    ConflictError,
    MaintenanceError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from domo_files_async.models import CommittedUpload, DataFile, Permissions, Revision, SessionId
from domo_files_async.protocol.codec import FieldError, structure
from domo_files_async.protocol.headers import read_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.protocol.messages import Reply

__all__ = (
    "is_maintenance_page",
    "passed",
    "raise_for_error",
    "read_committed",
    "read_data_file",
    "read_data_file_id",
    "read_data_files",
    "read_done",
    "read_no_stream",
    "read_nothing",
    "read_part_accepted",
    "read_permissions",
    "read_revision",
    "read_revision_id",
    "read_revisions",
    "read_session_id",
    "read_user_id",
)

T = TypeVar("T")

_ERRORS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    429: RateLimitedError,
}
_MISMATCH = frozenset({400, 409, 412, 422})
_CHECKSUM = re.compile(r"check[\s_-]?sum|sha[\s_-]?256", re.IGNORECASE)
_HTML_HEAD = 65_536
_LONGEST_MESSAGE = 500
_NESTED = 4


def is_maintenance_page(body: bytes) -> bool:
    """Say whether *body* is the HTML page that Domo shows while it is maintained."""
    return _is_html(body) and b" ".join(_title(body).lower().split()) == b"domo maintenance"


def raise_for_error(reply: Reply) -> None:
    """Raise the error that a reply means; return where it means success.

    Raises:
        ApiError: The one for its status.
        MaintenanceError: It is the maintenance page.
        UnexpectedResponseError: It is a redirect, or another status that means nothing here.
    """
    if is_maintenance_page(reply.body):
        raise _api_error(MaintenanceError, reply, "Domo Maintenance", None)
    if 200 <= reply.status < 300:  # noqa: PLR2004 - success
        return
    if reply.status < 400:  # noqa: PLR2004 - neither success nor an error
        raise _unexpected(reply, f"a status of {reply.status} means nothing here")
    default = BadRequestError if reply.status < 500 else ServerError  # noqa: PLR2004
    message, toe = _read_error(reply.body)
    raise _api_error(_ERRORS.get(reply.status, default), reply, message, toe)


def passed(reply: Reply) -> Reply:
    """Give a reply that means success as it is, to be read elsewhere."""
    raise_for_error(reply)
    return reply


def read_nothing(reply: Reply) -> None:
    """Read a reply whose body says nothing.

    Raises:
        UnexpectedResponseError: It is a page, which something else than the API answered.
    """
    raise_for_error(reply)
    if _is_html(reply.body):
        raise _unexpected(reply, "nothing was due, and HTML came")


def read_done(reply: Reply) -> None:
    """Read a reply that says, if anything, "success or error".

    Raises:
        BadRequestError: It says error, with a status of success.

    Source: Files API, "Delete a file" and "Update file permissions".
    """
    read_nothing(reply)
    try:
        said = json.loads(reply.body or b"null")
    except (ValueError, RecursionError):
        return
    if not isinstance(said, dict) or said.get("success"):
        return
    if said.get("success") is False or said.get("error"):
        raise _api_error(BadRequestError, reply, *_read_error(reply.body))


def read_no_stream(reply: Reply) -> None:
    """Read what came in place of a file.

    Raises:
        UnexpectedResponseError: It is no error, and no file either.
    """
    raise_for_error(reply)
    raise _unexpected(reply, f"a file was due, and status {reply.status} came")


def read_part_accepted(checksum: str | None) -> Callable[[Reply], None]:
    """Give the reader of a part's reply.

    Args:
        checksum: The SHA-256 that went with the part; `None` if none did.
    """

    def read(reply: Reply) -> None:
        try:
            read_nothing(reply)
        except ApiError as error:
            spoken = checksum is not None and _CHECKSUM.search(error.message)
            if error.status in _MISMATCH and spoken:
                raise ChecksumMismatchError(
                    f"{reply.method} {reply.path} was refused because of its checksum "
                    f"({error.status}: {error.message}): the bytes were damaged on the way. "
                    "Send it again; if it always fails, a proxy between here and Domo changes it",
                    expected=checksum,
                ) from None
            raise

    return read


def read_data_file_id(reply: Reply) -> int:
    """Read the id of a new data file."""
    return _read_field(reply, "dataFileId", int)


def read_revision_id(reply: Reply) -> int:
    """Read the id of a new revision."""
    return _read_field(reply, "revisionId", int)


def read_session_id(reply: Reply) -> SessionId:
    """Read the id of a new multipart session."""
    session_id = _read_field(reply, "sessionId", str)
    if not session_id or session_id in {".", ".."} or not session_id.isprintable():
        raise _unexpected(reply, "it can't be used as an id", "sessionId")
    return SessionId(session_id)


def read_user_id(reply: Reply) -> int:
    """Read the id of the user whose credential it is."""
    return _read_field(reply, "id", int)


def read_committed(reply: Reply) -> CommittedUpload:
    """Read what a commit made."""
    return _read(reply, CommittedUpload)


def read_data_file(reply: Reply) -> DataFile:
    """Read one data file."""
    return _read(reply, DataFile)


def read_data_files(reply: Reply) -> list[DataFile]:
    """Read a list of data files."""
    return _read(reply, list[DataFile])


def read_revision(reply: Reply) -> Revision:
    """Read one revision."""
    return _read(reply, Revision)


def read_revisions(reply: Reply) -> list[Revision]:
    """Read a list of revisions."""
    return _read(reply, list[Revision])


def read_permissions(reply: Reply) -> Permissions:
    """Read who may do what with a data file."""
    return _read(reply, Permissions)


def _read(reply: Reply, cls: type[T]) -> T:
    try:
        return structure(_json(reply), cls)
    except FieldError as error:
        raise _unexpected(reply, error.problem, error.field or None) from None


def _read_field(reply: Reply, name: str, cls: type[T]) -> T:
    value = _json(reply)
    if not isinstance(value, dict) or value.get(name) is None:
        raise _unexpected(reply, "it is missing", name)
    try:
        return structure(value[name], cls)
    except FieldError as error:
        raise _unexpected(reply, error.problem, name) from None


def _json(reply: Reply) -> Any:
    raise_for_error(reply)
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        what = "HTML" if _is_html(reply.body) else "something else"
        raise _unexpected(reply, f"JSON was due, and {what} came") from None


def _unexpected(reply: Reply, problem: str, field: str | None = None) -> UnexpectedResponseError:
    return UnexpectedResponseError(
        f"{field}: {problem}" if field else problem,
        status=reply.status,
        method=reply.method,
        path=reply.path,
        field=field,
    )


def _api_error(cls: type[ApiError], reply: Reply, message: str, toe: str | None) -> ApiError:
    return cls(
        message,
        status=reply.status,
        method=reply.method,
        path=reply.path,
        toe=toe,
        retry_after=read_retry_after(reply.headers, reply.came),
    )


def _read_error(body: bytes) -> tuple[str, str | None]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        text = _title(body) if _is_html(body) else body[: 4 * _LONGEST_MESSAGE]
        return _tidy(text.decode("utf-8", "replace")), None
    toe = said.get("toe") if isinstance(said, dict) else None
    return (
        _tidy(_find_message(said, _NESTED)),
        _tidy(str(toe)) if isinstance(toe, str | int) and not isinstance(toe, bool) else None,
    )


def _find_message(said: Any, depth: int) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        inner = said[:1]
    elif isinstance(said, dict):
        names = ("message", "errors", "error", "statusReason")
        inner = [said[name] for name in names if said.get(name)]
    else:
        inner = []
    found = (_find_message(one, depth - 1) for one in inner if depth)
    return next((text for text in found if text), "")


def _is_html(body: bytes) -> bool:
    # JSON never begins so, whatever names and descriptions it carries.
    return body[:_HTML_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def _title(body: bytes) -> bytes:
    # Looked for by hand: a pattern takes quadratic time on a page made to be slow.
    head = body[:_HTML_HEAD]
    _, tag, rest = head.lower().partition(b"<title")
    _, close, text = rest.partition(b">")
    end = text.find(b"</title")
    if not (tag and close) or end < 0:
        return b""
    start = len(head) - len(text)
    return head[start : start + end]


def _tidy(text: str) -> str:
    clean = "".join(one if one.isprintable() else " " for one in text[: 4 * _LONGEST_MESSAGE])
    clean = " ".join(clean.split())
    return clean if len(clean) <= _LONGEST_MESSAGE else clean[: _LONGEST_MESSAGE - 1] + "…"
