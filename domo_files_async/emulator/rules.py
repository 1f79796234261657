"""What the service refuses, and with which words. No clock, no socket, no file."""

from __future__ import annotations

import http
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = (
    "ALL_RIGHTS",
    "LIKE_ANY_OTHER",
    "MAX_PARTS",
    "Refusal",
    "Right",
    "check_announced",
    "check_checksum",
    "check_complete",
    "check_content_type",
    "check_echo",
    "check_name",
    "check_part_index",
    "check_part_sizes",
    "check_session",
    "check_size",
    "error_body",
    "may",
    "parse_range",
    "read_expand",
    "read_flag",
    "read_ids",
    "read_permissions",
    "read_session_request",
)

MAX_PARTS = 10_000
ALL_RIGHTS = "READ_WRITE_DELETE_SHARE_ADMIN"
LIKE_ANY_OTHER = (0, 200)
"""In place of an error's status: there is no error."""

Right = str
_DIGEST = re.compile("[0-9a-fA-F]{64}")
_RANGE = re.compile("bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)
_NUMBER = re.compile("[0-9]{1,18}")
_MEDIA_TYPE = re.compile(r"[^\s/;]+/[^\s/;]+( *;[^\x00-\x1f\x7f]*)?")


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """The service says no.

    Attributes:
        status: The HTTP status.
        message: What it says.
        headers: What goes with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def error_body(status: int, message: str, toe: str) -> dict[str, object]:
    """Give an error in the shape that the API's errors have."""
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    return {"status": status, "statusReason": reason, "message": message, "toe": toe}


def check_name(name: object) -> str:
    """Read a data file's name."""
    if not isinstance(name, str) or not name.strip():
        raise Refusal(400, "The required parameter 'name' is missing or empty.")
    return name


def check_content_type(content_type: object) -> str:
    """Read a content type."""
    if not isinstance(content_type, str) or not _MEDIA_TYPE.fullmatch(content_type):
        raise Refusal(400, "The required property 'contentType' is missing or no media type.")
    return content_type


def read_flag(name: str, text: str | None, *, default: bool) -> bool:
    """Read a boolean parameter."""
    if text is None:
        return default
    if text.lower() not in {"true", "false"}:
        raise Refusal(400, f"The parameter '{name}' must be true or false.")
    return text.lower() == "true"


def read_ids(texts: Iterable[str]) -> list[int]:
    """Read ids that are repeated, or separated by commas."""
    words = [one.strip() for text in texts for one in text.split(",")]
    wrong = next((one for one in words if not _NUMBER.fullmatch(one)), None)
    if wrong is not None:
        raise Refusal(400, f"Ids must be whole numbers, and {wrong!r} is none.")
    return [int(one) for one in words]


def read_expand(texts: Iterable[str]) -> set[str]:
    """Read what is to be shown beside the rest."""
    asked = {one.strip() for text in texts for one in text.split(",")} - {""}
    if asked - {"revisions", "metadata"}:
        raise Refusal(400, "The parameter 'expand' takes revisions and metadata.")
    return asked


def check_part_index(text: str) -> int:
    """Read a part's index."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_PARTS:
        raise Refusal(400, f"The part index must be from 1 to {MAX_PARTS}, not {text}.")
    return int(text)


def check_announced(checksum: str | None) -> None:
    """Refuse a checksum that can't be one."""
    if checksum is not None and not _DIGEST.fullmatch(checksum):
        raise Refusal(400, "The checksum must be a SHA-256 in 64 hex digits.")


def check_checksum(index: int, announced: str | None, actual: str, *, status: int = 400) -> None:
    """Compare a part's checksum with the one of what arrived."""
    if announced is not None and announced.lower() != actual:
        raise Refusal(
            status,
            f"The checksum of part {index} does not match: {announced.lower()} was announced, "
            f"and {actual} arrived.",
        )


def check_session(state: str, *, aborted_status: int = 404, committed_status: int = 409) -> None:
    """Refuse what comes for a multipart session that is over."""
    if state == "committing":
        raise Refusal(409, "The upload session is being committed.")
    if state == "committed":
        raise Refusal(committed_status, "The upload session is committed already.")
    if state == "aborted":
        raise Refusal(aborted_status, "The upload session was aborted.")


def check_complete(indexes: Collection[int], *, missing_status: int = 409) -> None:
    """Refuse to commit what has no parts, or gaps between them unless these do no harm."""
    if not indexes:
        raise Refusal(409, "The upload session has no parts.")
    missing = next((i for i in range(1, max(indexes) + 1) if i not in indexes), None)
    if missing is not None and missing_status not in LIKE_ANY_OTHER:
        raise Refusal(missing_status, f"Part {missing} of the upload session is missing.")


def check_part_sizes(sizes: Mapping[int, int], least: int | None) -> None:
    """Refuse to commit parts that are too small, but for the last one."""
    for index in sorted(sizes)[:-1]:
        if least is not None and sizes[index] < least:
            raise Refusal(400, f"Part {index} is too small: {least} bytes are the least.")


def check_size(size: int, limit: int | None) -> None:
    """Refuse a file that is too large."""
    if limit is not None and size > limit:
        raise Refusal(413, f"The file is too large: {limit} bytes are allowed.")


def check_echo(value: object, name: str, expected: str) -> None:
    """Refuse a body that names another thing than its path does; it need not name any."""
    if not isinstance(value, dict):
        raise Refusal(400, "The request body must be a JSON object.")
    if str(value.get(name, expected)) != expected:
        raise Refusal(400, f"The property '{name}' is not the one in the path.")


def read_session_request(value: object) -> tuple[str, str | None, str]:
    """Read what a multipart session is opened with: name, description, content type."""
    if not isinstance(value, dict):
        raise Refusal(400, "The request body must be a JSON object.")
    description = value.get("description")
    if description is not None and not isinstance(description, str):
        raise Refusal(400, "The property 'description' must be a text.")
    return check_name(value.get("name")), description, check_content_type(value.get("contentType"))


def read_permissions(value: object) -> tuple[bool, list[dict[str, Any]]]:
    """Read permissions: public or not, and the entries as they were given."""
    if not isinstance(value, dict) or not isinstance(value.get("publicAccess"), bool):
        raise Refusal(400, "The property 'publicAccess' must be true or false.")
    entries = value.get("entries")
    if not isinstance(entries, list):
        raise Refusal(400, "The property 'entries' must be an array.")
    for entry in entries:
        for key in ("entityType", "entityId", "grant"):
            if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
                raise Refusal(400, f"Each entry must have a text '{key}'.")
    return value["publicAccess"], entries


def may(
    user_id: int, right: Right, *, public: bool, owner_id: int, entries: Sequence[dict[str, Any]]
) -> bool:
    """Say whether a user has a right on a data file."""
    if user_id == owner_id or (public and right == "READ"):
        return True
    return any(
        entry["entityType"] == "USER"
        and entry["entityId"] == str(user_id)
        and right in entry["grant"].split("_")
        for entry in entries
    )


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Read a Range header: first byte and the one after the last; `None` for the whole.

    Source: RFC 9110, section 14.2.
    """
    match = _RANGE.fullmatch(text or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < start:
        return None
    if start >= size:
        raise Refusal(416, "The range starts behind the end.", {"Content-Range": f"bytes */{size}"})
    return start, stop
