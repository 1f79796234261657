"""Takes up what an earlier run left in the journal, and puts away what it can't go on with."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from domo_files_async.engine.outcomes import Inquiry, seek
from domo_files_async.errors import (
    AccessNotSetError,
    ChecksumMismatchError,
    DomoFilesError,
    OutcomeUnknownError,
)
from domo_files_async.models import SessionId
from domo_files_async.planning.ledger import State
from domo_files_async.planning.outcome import Ambiguous, Made
from domo_files_async.planning.retry import is_mendable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domo_files_async.engine.journal import Draft, Entry, UploadJournal
    from domo_files_async.engine.shared import Shared

__all__ = ("began", "leave", "look_for_simple", "take_up")

_SLACK = 5.0
_DRIFT = 0.001
"""Seconds, and seconds in each, by which a machine's clock may have been set forward since."""


async def take_up(shared: Shared, journal: UploadJournal, draft: Draft, transfer: int) -> Entry:
    """Give the entry that an upload goes on with, or a new one.

    What can't be gone on with, since the source, the target or the parts are others now, is
    aborted and leaves the journal.

    Raises:
        JournalError: Somebody else uploads the same, or the file can't be used.
    """
    found = await journal.find(draft)
    try:
        for old in found.stale:
            session_id = None if old.ledger is None else old.ledger.session_id
            if session_id is not None:
                shared.open_sessions[SessionId(session_id)] = transfer
                if not await shared.abort(SessionId(session_id)):
                    # Whoever finds it in the journal later can still end it.
                    old.release()
                    continue
            old.drop()
    except BaseException:
        for old in (*found.stale, *([found.match] if found.match else ())):
            old.release()
        raise
    return found.match or journal.entry(draft)


def began(entry: Entry) -> float:
    """Give the loop's time at an entry's beginning, as early as it can have been.

    It counts only where the server's time wasn't known; this machine's clock may have been set.
    """
    age = max(0.0, time.time() - entry.began_at)
    return asyncio.get_running_loop().time() - age * (1 + _DRIFT) - _SLACK


async def look_for_simple(
    shared: Shared,
    entry: Entry,
    transfer: int,
    evidence: Callable[[], Awaitable[tuple[int | None, str | None]]],
) -> Made | None:
    """Find out whether a simple upload, whose answer no one saw, was made.

    Returns:
        What it made; `None` once all looks agree that there is nothing.

    Raises:
        OutcomeUnknownError: What is seen proves neither.
    """
    target, sent = entry.draft.target, entry.sent
    assert sent is not None
    is_new = target.data_file_id is None
    inquiry = Inquiry(
        operation="upload_file" if is_new else "upload_revision",
        began=began(entry),
        data_file_id=target.data_file_id,
        name=sent.name if is_new else None,
        transfer=transfer,
        since=entry.since,
    )
    inquiry.size, inquiry.sha256 = await evidence()
    shared.claims.begin(inquiry.key)
    try:
        verdict = await seek(shared, inquiry)
    finally:
        shared.claims.end(inquiry.key)
    if isinstance(verdict, Ambiguous):
        raise inquiry.unknown(verdict.seen, None)
    return verdict if isinstance(verdict, Made) else None


def leave(entry: Entry, error: BaseException) -> None:
    """Say what becomes of an entry whose upload ended with *error*."""
    ledger = entry.ledger
    if entry.is_made or (ledger is not None and ledger.data_file_id is not None):
        is_over = _is_for_good(error)
    elif ledger is None:
        is_over = not (entry.is_taken_up or _may_have_arrived(error))
    else:
        is_over = ledger.state is State.FAILED
    if is_over:
        entry.drop()
    else:
        entry.release()


def _may_have_arrived(error: BaseException) -> bool:
    return not isinstance(error, DomoFilesError) or isinstance(error, OutcomeUnknownError)


def _is_for_good(error: BaseException) -> bool:
    match error:
        case AccessNotSetError():
            return not is_mendable(error.cause)
        case ChecksumMismatchError(__cause__=DomoFilesError() as cause):
            return not is_mendable(cause)
        case ChecksumMismatchError():
            return True
        case DomoFilesError():
            return not is_mendable(error)
        case _:
            return False
