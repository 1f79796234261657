"""What can be observed of a session: one stream of small events, for people and their tools.

No event holds a credential, a file's content or a clock's reading: times are durations.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.errors import DomoFilesError

__all__ = (
    "AbortFailed",
    "Aborted",
    "Committed",
    "Event",
    "Observer",
    "OutcomeSought",
    "Parked",
    "PartRetried",
    "PartSent",
    "PartStarted",
    "Progress",
    "ProgressFunction",
    "RequestFinished",
    "RequestRetried",
    "Resumed",
    "SessionCreated",
    "Throttled",
    "TransferFailed",
    "TransferFinished",
    "TransferStarted",
    "notify",
)

_log = logging.getLogger("domo_files_async")

_IDS = {"multipart": "{session_id}", "part": "{index}", "revisions": "{revision_id}"}


@attrs.frozen(kw_only=True)
class Event:
    """Something happened.

    Attributes:
        transfer: Number of the upload or download that it belongs to, from 1 in each session;
            `None` for what belongs to no transfer.
    """

    transfer: int | None = None


@attrs.frozen(kw_only=True)
class TransferStarted(Event):
    """An upload or a download began."""

    kind: str
    """`"upload"` or `"download"`."""
    name: str
    size: int | None
    """Bytes; `None` while unknown."""


@attrs.frozen(kw_only=True)
class TransferFinished(Event):
    """An upload or a download is done."""

    kind: str
    data_file_id: int
    revision_id: int | None
    size: int
    """Bytes."""
    elapsed: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class TransferFailed(Event):
    """An upload or a download ended without its result."""

    kind: str
    error: BaseException
    elapsed: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class SessionCreated(Event):
    """The server opened a multipart session."""

    session_id: str


@attrs.frozen(kw_only=True)
class PartStarted(Event):
    """A part is read and about to be sent."""

    session_id: str
    index: int
    size: int
    """Bytes in it."""


@attrs.frozen(kw_only=True)
class PartSent(Event):
    """The server accepted a part."""

    session_id: str
    index: int
    size: int
    """Bytes in it."""
    attempts: int
    elapsed: float
    """Seconds, from its first attempt on."""


@attrs.frozen(kw_only=True)
class PartRetried(Event):
    """An attempt of a part failed, and another one follows."""

    session_id: str
    index: int
    attempt: int
    """The attempt that failed, from 1."""
    delay: float
    """Seconds to wait before the next one."""
    error: DomoFilesError


@attrs.frozen(kw_only=True)
class RequestRetried(Event):
    """An attempt of a request failed, and another one follows."""

    operation: str
    attempt: int
    """The attempt that failed, from 1."""
    delay: float
    """Seconds to wait before the next one."""
    error: DomoFilesError


@attrs.frozen(kw_only=True)
class RequestFinished(Event):
    """One attempt of one request is over."""

    operation: str
    """The session's method that the request belongs to."""
    method: str
    path: str
    attempt: int
    status: int | None
    """The HTTP status; `None` where no answer came."""
    size: int
    """Bytes of the body that were sent."""
    elapsed: float
    """Seconds until its answer was read, or it failed."""
    origin: str = ""
    """Where it was sent to first, such as `https://acme.domo.com`."""

    @property
    def path_template(self) -> str:
        """The path with names in the place of ids, such as `/multipart/{session_id}/commit`."""
        names, before = [], ""
        for segment in self.path.split("/"):
            is_id = segment.lstrip("-").isdecimal() or before in {"multipart", "part"}
            names.append(_IDS.get(before, "{data_file_id}") if is_id and segment else segment)
            before = segment
        return "/".join(names)


@attrs.frozen(kw_only=True)
class Throttled(Event):
    """The server asked to wait; the whole session is silent for that time."""

    delay: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class OutcomeSought(Event):
    """An answer was lost; what became of the request was looked for."""

    operation: str
    verdict: str
    """`"made"`, `"not made"` or `"unknown"`."""


@attrs.frozen(kw_only=True)
class Committed(Event):
    """A multipart session was committed."""

    session_id: str
    data_file_id: int
    revision_id: int


@attrs.frozen(kw_only=True)
class Aborted(Event):
    """A multipart session was aborted."""

    session_id: str


@attrs.frozen(kw_only=True)
class AbortFailed(Event):
    """A multipart session couldn't be aborted; the server has to drop it by itself."""

    session_id: str
    error: BaseException


@attrs.frozen(kw_only=True)
class Parked(Event):
    """A multipart session was left open for a later run, which the journal tells of it."""

    session_id: str


@attrs.frozen(kw_only=True)
class Resumed(Event):
    """A multipart session that an earlier run left is taken up."""

    session_id: str
    bytes_done: int
    """Bytes that the server has already."""
    parts_done: int
    """Parts that it has."""


@attrs.frozen
class Progress:
    """How far a transfer is.

    Attributes:
        bytes_done: Bytes that the other side has for certain; only ever goes up.
        bytes_total: All bytes; `None` while unknown.
        parts_done: Parts that the server accepted; 0 where there are none.
        parts_total: All parts; `None` while unknown.
    """

    bytes_done: int
    bytes_total: int | None
    parts_done: int
    parts_total: int | None


Observer: TypeAlias = "Callable[[Event], object]"
ProgressFunction: TypeAlias = "Callable[[Progress], object]"


def notify(observer: Observer | None, event: Event) -> None:
    """Give *event* to *observer*, whose failure is logged and harms nothing."""
    if observer is None:
        return
    try:
        observer(event)
    except Exception:  # noqa: BLE001 - whatever a caller's function raises
        _log.exception("The observer failed on %s; the transfer goes on", type(event).__name__)
