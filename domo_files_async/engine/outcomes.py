"""Finds out what became of a request whose answer was lost.

Nothing here sends the lost request again: it looks at what the server has, waits, and looks again,
since answers may lag behind; `planning.outcome` judges what was seen.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from domo_files_async.config import Surface
from domo_files_async.errors import DomoFilesError, NotFoundError, OutcomeUnknownError
from domo_files_async.events import OutcomeSought
from domo_files_async.planning.outcome import (
    Ambiguous,
    Made,
    NotSeen,
    Sought,
    judge_new_file,
    judge_new_revision,
    look_delays,
)
from domo_files_async.planning.retry import is_answer_lost
from domo_files_async.protocol import requests
from domo_files_async.protocol.responses import passed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from datetime import datetime

    from domo_files_async.engine.shared import Shared
    from domo_files_async.models import DataFile, Revision
    from domo_files_async.planning.outcome import Evidence
    from domo_files_async.protocol.messages import Request

__all__ = ("Drafts", "Inquiry", "list_revisions", "listed", "looked_for_later", "seek", "send_once")

T = TypeVar("T")

_COMMIT = "commit_multipart_session"
_REMEMBERED = 10_000
_LONG = 64 * 1024
"""Bytes of an answer above which reading it would hold up the loop."""

_looked_for_later: ContextVar[bool] = ContextVar("looked_for_later", default=False)


@attrs.define(kw_only=True)
class Inquiry:
    """What a request would leave on the server if it was carried out.

    Attributes:
        operation: The session's method that sends it.
        began: The loop's time before anything was sent.
        data_file_id: The data file that gets a revision; `None` for a new data file.
        name: Of a new data file; `None` where the server chooses it.
        size: Bytes of the content, where known.
        sha256: Of the content, where known.
        session_id: The multipart session that was committed, if it was one.
        transfer: The transfer's number in events.
        since: The server's time at the beginning, where an earlier run wrote it down.
    """

    operation: str
    began: float
    data_file_id: int | None = None
    name: str | None = None
    size: int | None = None
    sha256: str | None = None
    session_id: str | None = None
    transfer: int | None = None
    since: datetime | None = None

    @property
    def key(self) -> object:
        """Two uploads with the same key leave traces that look the same."""
        return self.data_file_id, self.name

    @property
    def is_blind(self) -> bool:
        """Whether nothing is known by which its traces could be told from others."""
        return self.size is None and self.sha256 is None and self.name is None

    async def look(self, shared: Shared) -> Evidence:
        """Look once.

        Raises:
            DomoFilesError: The server can't be asked.
        """
        if self.is_blind:
            return NotSeen()
        kind = "file" if self.data_file_id is None else "revision"
        sought = Sought(
            name=self.name,
            size=self.size,
            sha256=self.sha256,
            since=None,
            known=shared.claims.known(kind),
        )
        if self.data_file_id is None:
            files = await _own_files(shared, sought)
            sought = attrs.evolve(sought, since=self._since(shared))
            verdict = judge_new_file(sought, files)
        else:
            try:
                revisions = await list_revisions(shared, self.data_file_id)
            except NotFoundError:
                revisions = []
            # Before ours there was at least one, or there would have been nothing to revise.
            oldest = min((one.data_file_revision_id for one in revisions), default=0)
            sought = attrs.evolve(sought, since=self._since(shared), known=sought.known | {oldest})
            verdict = judge_new_revision(sought, self.data_file_id, revisions)
        if isinstance(verdict, Made) and shared.claims.has_twin(self.key):
            return Ambiguous("another upload under way would leave the same")
        return verdict

    def _since(self, shared: Shared) -> datetime | None:
        return shared.clock.since(self.began) if self.since is None else self.since

    def unknown(self, seen: str, cause: DomoFilesError | None) -> OutcomeUnknownError:
        """Make the error that says that looking was in vain."""
        return OutcomeUnknownError(
            operation=self.operation,
            seen=seen,
            data_file_id=self.data_file_id,
            session_id=self.session_id,
            cause=cause,
        )


class Drafts:
    """The multipart sessions that the caller opened by hand, for what their commits would leave."""

    def __init__(self) -> None:
        self._drafts: OrderedDict[str, tuple[Inquiry, dict[int, int]]] = OrderedDict()

    def add(self, session_id: str, inquiry: Inquiry) -> None:
        """Remember a multipart session, and forget the oldest of very many."""
        self._drafts[session_id] = (inquiry, {})
        if len(self._drafts) > _REMEMBERED:
            self._drafts.popitem(last=False)

    def part_sent(self, session_id: str, index: int, size: int) -> None:
        """Take note of a part; the last one under an index counts."""
        if session_id in self._drafts:
            self._drafts[session_id][1][index] = size

    def forget(self, session_id: str) -> None:
        """Take note that it is over."""
        self._drafts.pop(session_id, None)

    def inquiry(self, session_id: str) -> Inquiry:
        """Say what the commit would leave; nothing is known of one that was opened elsewhere."""
        if session_id not in self._drafts:
            began = asyncio.get_running_loop().time()
            return Inquiry(operation=_COMMIT, began=began, session_id=session_id)
        inquiry, sizes = self._drafts[session_id]
        inquiry.size = sum(sizes.values())
        return inquiry


async def _own_files(shared: Shared, sought: Sought) -> list[DataFile]:
    """Give the caller's files that may be the one that is sought, with all their revisions."""
    user_id = None
    if shared.rules.surface is Surface.PRODUCT:
        user_id = await shared.attempts.send(requests.get_current_user(shared.rules))
    # Somebody may have very many files, and of most of them nothing more needs to be known.
    (request,) = requests.list_files(shared.rules, limit_to_owned=True, user_id=user_id)
    alike = [
        file.data_file_id
        for file in await listed(shared, [request])
        if file.data_file_id not in sought.known and sought.name in {None, file.name}
    ]
    if not alike:
        return []
    batches = requests.list_files(shared.rules, ids=alike, expand=("revisions",))
    return await listed(shared, batches)


async def listed(shared: Shared, batches: Iterable[Request[list[DataFile]]]) -> list[DataFile]:
    """Send requests for lists, and read long answers off the loop."""
    files: list[DataFile] = []
    for batch in batches:
        kept: Any = passed
        reply: Any = await shared.attempts.send(attrs.evolve(batch, reader=kept))
        is_long = len(reply.body) > _LONG
        files += await shared.threads.run(batch.reader, reply) if is_long else batch.reader(reply)
    return files


async def list_revisions(shared: Shared, data_file_id: int) -> list[Revision]:
    """Give all revisions of a data file, on either surface."""
    file = await shared.attempts.send(
        requests.get_file(shared.rules, data_file_id, expand=("revisions",))
    )
    revisions = {revision.data_file_revision_id: revision for revision in file.revisions or ()}
    if file.current_revision is not None:
        revisions.setdefault(file.current_revision.data_file_revision_id, file.current_revision)
    return list(revisions.values())


@contextmanager
def looked_for_later() -> Iterator[None]:
    """In this task, leave what a lost answer left to the caller, who looks once for many."""
    token = _looked_for_later.set(True)
    try:
        yield
    finally:
        _looked_for_later.reset(token)


async def send_once(
    shared: Shared,
    inquiry: Inquiry,
    send: Callable[[], Awaitable[T]],
    *,
    evidence: Callable[[], Awaitable[tuple[int | None, str | None]]],
) -> T | Made:
    """Send what must not happen twice; when its answer is lost, find out.

    Args:
        shared: The session's tools.
        inquiry: What it would leave.
        send: Sends it.
        evidence: Gives size and SHA-256 of what was sent; asked only when the answer is lost.

    Returns:
        The answer, or what looking found in its place.

    Raises:
        OutcomeUnknownError: It can't be known whether it happened.
        DomoFilesError: It failed for certain.
    """
    shared.claims.begin(inquiry.key)
    try:
        return await send()
    except DomoFilesError as error:
        if not is_answer_lost(error):
            raise
        try:
            inquiry.size, inquiry.sha256 = await evidence()
        except DomoFilesError as blind:
            raise inquiry.unknown(f"looking failed with {blind}", error) from blind
        if _looked_for_later.get():
            raise inquiry.unknown("nothing was looked for yet", error) from error
        return await _find_out(shared, inquiry, error)
    finally:
        shared.claims.end(inquiry.key)


async def _find_out(shared: Shared, inquiry: Inquiry, lost: DomoFilesError) -> Made:
    verdict = await seek(shared, inquiry)
    if isinstance(verdict, Made):
        return verdict
    _tell(shared, inquiry, "unknown")
    seen = verdict.seen if isinstance(verdict, Ambiguous) else "nothing like it was seen"
    raise inquiry.unknown(seen, lost)


async def seek(shared: Shared, inquiry: Inquiry) -> Evidence:
    """Look again and again until it is seen, for as long as answers may lag.

    Returns:
        What was made; `NotSeen` once every look found nothing; otherwise what was seen last.
    """
    verdict: Evidence = NotSeen()
    for delay in look_delays(shared.retry):
        await asyncio.sleep(delay)
        try:
            seen = await inquiry.look(shared)
        except DomoFilesError as error:
            seen = Ambiguous(f"looking failed with {error}")
        if isinstance(seen, Made):
            _tell(shared, inquiry, "made")
            return seen
        if isinstance(seen, Ambiguous):
            verdict = seen
    return verdict


def _tell(shared: Shared, inquiry: Inquiry, verdict: str) -> None:
    shared.emit(
        OutcomeSought(operation=inquiry.operation, verdict=verdict, transfer=inquiry.transfer)
    )
