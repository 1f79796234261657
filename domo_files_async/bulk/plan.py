"""What a job does with an item, from what its journal knows.

Rule 1: what is done is not done again, unless its source has changed since.
Rule 2: what can't be known is never sent again blindly.
Rule 3: no clock, no file and no network here: all that counts is an argument.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import attrs

from domo_files_async.errors import (
    AccessNotSetError,
    AuthenticationError,
    ChecksumMismatchError,
    ConflictError,
    DestinationError,
    DomoFilesError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PermissionDeniedError,
    SessionStateError,
    SourceChangedError,
    SourceError,
    SourceTooLargeError,
    UnexpectedResponseError,
)
from domo_files_async.planning.retry import is_mendable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from domo_files_async.bulk.items import Item
    from domo_files_async.models import Revision

__all__ = (
    "Action",
    "Decision",
    "Failure",
    "Found",
    "Known",
    "Revise",
    "SetAccess",
    "Skip",
    "State",
    "Trace",
    "Upload",
    "Wanted",
    "classify",
    "decide",
    "is_wholly_wrong",
    "match_traces",
)


_FOR_PEOPLE = (
    AuthenticationError,
    DestinationError,
    JournalError,
    NotFoundError,
    PermissionDeniedError,
    SourceError,
)


class State(enum.StrEnum):
    """How far an item is."""

    NEW = "new"
    STARTED = "started"
    """It was being sent when the journal was last written."""
    MADE = "made"
    """It is there, but its access isn't as asked yet."""
    UPLOADED = "uploaded"
    REVISED = "revised"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self in {State.UPLOADED, State.REVISED}


class Failure(enum.StrEnum):
    """What can be done about a failed item."""

    LATER = "later"
    """Trying again later could mend it."""
    NEVER = "never"
    """It will always fail as it is."""
    PERSON = "person"
    """Somebody has to do something first."""


@attrs.frozen(kw_only=True)
class Known:
    """What the journal knows of an item.

    Attributes:
        state: How far it is.
        data_file_id: The data file that it became, if any.
        revision_id: Its revision, where known.
        done_fingerprint: Of the source as it was when it was last sent.
        failure: Of one that failed.
        error: What it failed with, in words.
        needs_access: Whether it is there, but its access isn't as asked yet.
    """

    state: State = State.NEW
    data_file_id: int | None = None
    revision_id: int | None = None
    done_fingerprint: str | None = None
    failure: Failure | None = None
    error: str | None = None
    needs_access: bool = False


@attrs.frozen
class Upload:
    """Make a new data file of it."""

    because: str


@attrs.frozen
class Revise:
    """Make a new revision of it."""

    data_file_id: int
    because: str


@attrs.frozen
class SetAccess:
    """Set its access and grants; it is there."""

    data_file_id: int
    because: str


@attrs.frozen
class Skip:
    """Leave it."""

    because: str


Decision: TypeAlias = Upload | Revise | SetAccess | Skip


class Action(enum.StrEnum):
    """A decision's kind, for people and reports."""

    UPLOAD = "upload"
    REVISE = "revise"
    ACCESS = "access"
    SKIP = "skip"


def decide(item: Item, known: Known, *, absent: bool = False) -> Decision:
    """Say what to do with an item.

    Args:
        item: What was asked for.
        known: What the journal knows of it.
        absent: Whether its source, or the data file to revise, is known not to be there.
    """
    has_changed = item.fingerprint != known.done_fingerprint
    # What was once made of it is never made a second time: it gets revisions.
    target = known.data_file_id if item.data_file_id is None else item.data_file_id
    if known.state.is_done and not has_changed:
        return Skip(f"done: it is data file {known.data_file_id}")
    if known.state is State.UNKNOWN:
        return Skip("unknown: look whether it is there, then resolve it")
    if known.state is State.FAILED and known.failure is Failure.NEVER and not has_changed:
        return Skip(f"failed for good: {known.error}")
    if known.needs_access and known.data_file_id is not None:
        return SetAccess(known.data_file_id, "it is there, but its access isn't set yet")
    if absent:
        what = "its source" if target is None else f"its source or data file {target}"
        return Skip(f"{what} isn't there")
    match known.state:
        case State.UPLOADED | State.REVISED:
            because = "its source has changed since it was uploaded"
        case State.STARTED:
            because = "it was being sent when the job was killed: looked for first"
        case State.FAILED:
            because = f"failed before: {known.error}"
        case _:
            because = "new" if item.data_file_id is None else "asked for"
    return Upload(because) if target is None else Revise(target, because)


def classify(error: DomoFilesError) -> Failure:
    """Say what can be done about an error."""
    if isinstance(error, PartUploadError | AccessNotSetError):
        return classify(error.cause)
    if isinstance(error, ChecksumMismatchError) and error.data_file_id is not None:
        # It is there, but not as it should be.
        return Failure.PERSON
    if isinstance(error, SourceChangedError | ConflictError | UnexpectedResponseError):
        return Failure.LATER
    if isinstance(error, _FOR_PEOPLE) and not isinstance(error, SourceTooLargeError):
        return Failure.PERSON
    return Failure.LATER if is_mendable(error) else Failure.NEVER


def is_wholly_wrong(error: DomoFilesError) -> bool:
    """Say whether an item's error says that no other item will fare better."""
    match error:
        case PartUploadError(cause=cause) | AccessNotSetError(cause=cause):
            return is_wholly_wrong(cause)
        case OutcomeUnknownError(cause=cause):
            return cause is not None and is_wholly_wrong(cause)
        case _:
            return isinstance(error, AuthenticationError | SessionStateError)


@attrs.frozen(kw_only=True)
class Wanted:
    """What an item would have left on the server.

    Attributes:
        number: The item's, in its journal.
        name: Of the new data file; `None` for a revision.
        size: Bytes.
        sha256: In lower-case hex, where known.
        since: The earliest that the server's clock can have shown when it was sent.
    """

    number: int
    name: str | None
    size: int | None
    sha256: str | None
    since: datetime | None


@attrs.frozen
class Trace:
    """What was seen on the server, and nobody has accounted for.

    Attributes:
        data_file_id: The data file.
        name: Its name.
        created: When it, or the revision, was made, by the server's clock.
        revision: The revision.
    """

    data_file_id: int
    name: str | None
    created: datetime | None
    revision: Revision


@attrs.frozen
class Found:
    """What looking for an item came to.

    Attributes:
        traces: Those that may be it; none if it wasn't seen.
        is_certain: Whether there is just one trace for it, and it can be nothing else.
    """

    traces: tuple[Trace, ...]
    is_certain: bool


def match_traces(wanted: Iterable[Wanted], traces: Iterable[Trace]) -> Mapping[int, Found]:
    """Find out which items are there.

    Items that would leave the same are interchangeable: as long as there aren't more traces than
    items, each trace is one of them, and it doesn't matter of which.

    Args:
        wanted: What is looked for, all of one kind and, for revisions, of one data file.
        traces: What is there and not accounted for.

    Returns:
        What was found of each, by its number.
    """
    seen = list(traces)
    result: dict[int, Found] = {}
    groups: dict[tuple[object, ...], list[Wanted]] = {}
    for one in wanted:
        groups.setdefault((one.name, one.size, one.sha256), []).append(one)
    uses = Counter(
        id(trace) for group in groups.values() for trace in seen if _is_alike(group[0], trace)
    )
    for group in groups.values():
        alike = [trace for trace in seen if _is_alike(group[0], trace)]
        # The latest start has the fewest traces to choose from.
        group.sort(key=lambda one: (one.since is not None, str(one.since)), reverse=True)
        young = [t for t in alike if any(not _is_older(t.created, one.since) for one in group)]
        undated = any(t.created is None for t in young) or any(one.since is None for one in group)
        shared = any(uses[id(trace)] > 1 for trace in young)
        if len(young) > len(group) or ((undated or shared) and young):
            result.update((one.number, Found(tuple(young), is_certain=False)) for one in group)
            continue
        for one in group:
            fits = [trace for trace in young if not _is_older(trace.created, one.since)]
            if fits:
                young.remove(fits[-1])
            result[one.number] = Found(tuple(fits[-1:]), is_certain=bool(fits))
    return result


def _is_alike(wanted: Wanted, trace: Trace) -> bool:
    if wanted.name not in {None, trace.name}:
        return False
    if wanted.size is not None and trace.revision.size_bytes not in {None, wanted.size}:
        return False
    digest = trace.revision.sha256_hash_value
    return not (wanted.sha256 and digest and wanted.sha256.lower() != digest.lower())


def _is_older(when: datetime | None, since: datetime | None) -> bool:
    if when is None or since is None:
        return False
    # A date without a fraction was probably cut to the second.
    return when < (since if when.microsecond else since.replace(microsecond=0))
