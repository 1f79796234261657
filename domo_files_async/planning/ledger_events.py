"""What can happen to a multipart upload, as the ledger is told of it and the journal keeps it."""

from __future__ import annotations

from typing import TypeAlias

import attrs

__all__ = (
    "AbortFailed",
    "Aborted",
    "AccessFailed",
    "AccessSet",
    "AnswerLost",
    "Cancelled",
    "CommitRefused",
    "CommitSent",
    "Committed",
    "Event",
    "Failed",
    "Made",
    "NotSeen",
    "PartAccepted",
    "PlanGrown",
    "Resumed",
    "SessionLost",
    "SessionOpened",
    "SourceEnded",
    "StillUnknown",
)


@attrs.frozen
class SessionOpened:
    """The server gave a multipart session."""

    session_id: str


@attrs.frozen
class SessionLost:
    """The server doesn't know the multipart session any more."""


@attrs.frozen
class PlanGrown:
    """A stream gave the next part, of this many bytes."""

    size: int


@attrs.frozen
class SourceEnded:
    """A stream gave its last byte with the parts so far."""


@attrs.frozen
class PartAccepted:
    """The server has this part for certain."""

    index: int
    size: int
    checksum: str | None = None


@attrs.frozen
class CommitSent:
    """The commit is about to be sent."""


@attrs.frozen
class Committed:
    """The server said that it made this revision."""

    data_file_id: int
    revision_id: int


@attrs.frozen
class CommitRefused:
    """The server said no to the commit; *mendable* if trying again later could help."""

    mendable: bool = False


@attrs.frozen
class AnswerLost:
    """The commit was sent, and no answer came."""


@attrs.frozen
class Made:
    """Looking found the one revision that the commit made."""

    data_file_id: int
    revision_id: int


@attrs.frozen
class NotSeen:
    """Looking didn't find it, which proves nothing yet."""


@attrs.frozen
class StillUnknown:
    """Looking is over without an answer."""


@attrs.frozen
class AccessSet:
    """The data file's access is what was asked for."""


@attrs.frozen
class AccessFailed:
    """The data file is there, but its access couldn't be set; *mendable* as for `Failed`."""

    mendable: bool = False


@attrs.frozen
class Failed:
    """The upload can't go on; *mendable* if trying again later could help."""

    mendable: bool = False


@attrs.frozen
class Cancelled:
    """The caller wants no more of it."""


@attrs.frozen
class Aborted:
    """The server dropped the multipart session."""


@attrs.frozen
class AbortFailed:
    """The multipart session couldn't be aborted; that is left to the server."""


@attrs.frozen
class Resumed:
    """A later run takes up what was parked, or what a dead process left."""


Event: TypeAlias = (
    SessionOpened
    | SessionLost
    | PlanGrown
    | SourceEnded
    | PartAccepted
    | CommitSent
    | Committed
    | CommitRefused
    | AnswerLost
    | Made
    | NotSeen
    | StillUnknown
    | AccessSet
    | AccessFailed
    | Failed
    | Cancelled
    | Aborted
    | AbortFailed
    | Resumed
)
