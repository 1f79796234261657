"""Carries out one multipart upload: asks the ledger what to do, does it, says what came of it.

Each part goes lease → data → permit → reply. Nobody holds a permit while waiting for memory, so
whoever has one gives it back soon; and the next parts are read and hashed while others are sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from domo_files_async.engine.groups import TaskGroup
from domo_files_async.engine.shared import ABORT_WITHIN
from domo_files_async.errors import (
    AccessNotSetError,
    ApiError,
    AuthenticationError,
    ChecksumMismatchError,
    DomoFilesError,
    PartUploadError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.events import (
    Committed,
    OutcomeSought,
    Parked,
    PartRetried,
    PartSent,
    PartStarted,
    Progress,
    Resumed,
    SessionCreated,
)
from domo_files_async.models import SessionId
from domo_files_async.planning import ledger as deeds
from domo_files_async.planning.ledger import State
from domo_files_async.planning.outcome import Ambiguous, Made, NotSeen, look_delays
from domo_files_async.planning.retry import GONE, is_answer_lost, is_mendable
from domo_files_async.protocol import requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from domo_files_async.engine.journal import Entry
    from domo_files_async.engine.outcomes import Inquiry
    from domo_files_async.engine.parts import PartSupply, TakenPart
    from domo_files_async.engine.shared import Shared
    from domo_files_async.events import ProgressFunction
    from domo_files_async.planning.ledger import UploadLedger
    from domo_files_async.protocol.messages import Request
    from domo_files_async.transport.body import Body

__all__ = ("MultipartUpload",)

Deed: TypeAlias = "Callable[[], None]"

_AHEAD = 2
"""Parts that may be read and hashed while all permits are in use."""

_DEV_PROXY = (
    "The app dev proxy on this machine turns binary bodies into text, which damages parts: upload "
    "without it, on the product surface, or with what is below multipart_threshold"
)


class MultipartUpload:
    """One multipart upload.

    Args:
        shared: The session's tools.
        ledger: What is known of it.
        supply: Where parts come from.
        inquiry: What the commit would leave on the server.
        opening: The request that opens the multipart session.
        content_type: Of the parts.
        set_access: Makes the data file's access what was asked for.
        progress: The caller's function.
        entry: Where the ledger's events are written down, if they are to outlive the process.
    """

    def __init__(
        self,
        shared: Shared,
        ledger: UploadLedger,
        supply: PartSupply,
        inquiry: Inquiry,
        *,
        opening: Request[SessionId],
        content_type: str,
        set_access: Callable[[int], Awaitable[None]],
        progress: ProgressFunction | None,
        entry: Entry | None = None,
    ) -> None:
        # What an earlier run sent was sent once at least.
        self.attempts = ledger.parts_accepted
        self._shared = shared
        self._ledger = ledger
        self._supply = supply
        self._opening = opening
        self._content_type = content_type
        self._inquiry = inquiry
        self._set_access = set_access
        self._transfer = inquiry.transfer
        self._progress = progress
        self._entry = entry
        self._reported: Progress | None = None
        self._lost: DomoFilesError | None = None
        self._seen = "nothing like it was seen"

    async def run(self) -> None:
        """Carry it out; what came of it is in the ledger.

        Raises:
            DomoFilesError: It failed; the multipart session was aborted.
        """
        try:
            await self._run()
        finally:
            # Its traceback leads here.
            self._lost = None

    async def _run(self) -> None:
        try:
            if self._ledger.resumed and self._ledger.session_id is not None:
                self._take_up()
            while not self._ledger.state.is_end:
                await self._perform(self._ledger.next_actions()[0])
        except BaseException as error:
            await self._give_up(error)
            raise
        if self._ledger.state is State.UNKNOWN:
            raise self._inquiry.unknown(self._seen, self._lost)

    def _advance(self, event: deeds.Event) -> None:
        self._ledger.advance(event)
        if self._entry is not None:
            self._entry.note(event)

    async def _advance_surely(self, event: deeds.Event) -> None:
        self._ledger.advance(event)
        if self._entry is not None:
            await self._entry.write(event)

    def _take_up(self) -> None:
        session_id = self._session_id
        self._inquiry.session_id = session_id
        self._shared.emit(
            Resumed(
                session_id=session_id,
                bytes_done=self._ledger.bytes_accepted,
                parts_done=self._ledger.parts_accepted,
                transfer=self._transfer,
            )
        )
        self._report()

    async def _perform(self, action: deeds.Action) -> None:
        match action:
            case deeds.OpenSession():
                await self._open()
            case deeds.SendPart():
                await self._send_parts(action)
            case deeds.Commit():
                await self._commit()
            case deeds.FindOut(look):
                await self._find_out(look)
            case deeds.SetAccess():
                await self._access()
            case deeds.Abort():
                raise AssertionError("An abort is performed by whoever gives up")

    async def _open(self) -> None:
        # Cancelled or not, a multipart session whose id reaches us is aborted.
        creating = self._shared.owned.start(_create(self._shared, self._opening, self._transfer))
        try:
            session_id = await asyncio.shield(creating)
        except asyncio.CancelledError:
            aborting = self._shared.owned.start(_abort_created(self._shared, creating))
            await asyncio.wait({aborting}, timeout=ABORT_WITHIN)
            raise
        finally:
            # Its error's traceback holds this frame.
            del creating
        self._inquiry.session_id = session_id
        if self._entry is not None and self._entry.since is None:
            self._entry.since = self._shared.clock.since(self._inquiry.began)
        await self._advance_surely(deeds.SessionOpened(session_id))
        if self._entry is not None:
            # Whoever finds it in the journal can end it.
            self._shared.open_sessions.pop(session_id, None)
        self._shared.emit(SessionCreated(session_id=session_id, transfer=self._transfer))

    async def _send_parts(self, first: deeds.SendPart) -> None:
        try:
            await self._send_offered(first)
        except _SessionLostError:
            await self._lose_session()
            return
        await self._supply.check()
        self._report()

    async def _send_offered(self, first: deeds.SendPart) -> None:
        room = self._shared.limits.room(_AHEAD)
        action: deeds.Action | None = first
        async with TaskGroup() as group:
            while isinstance(action, deeds.SendPart):
                await room.enter()
                part = await self._supply.take(action)
                if part is None:
                    self._advance(deeds.SourceEnded())
                else:
                    if not self._ledger.ended:
                        self._advance(deeds.PlanGrown(part.size))
                    _begin(group, self._part(action.index, part), part.release, room.leave)
                action = next(iter(self._ledger.next_actions()), None)

    async def _lose_session(self) -> None:
        session_id = self._session_id
        self._advance(deeds.SessionLost())
        if self._ledger.state is State.NEW:
            self._inquiry.session_id = None
            self._shared.open_sessions[session_id] = self._transfer
            await self._shared.abort(session_id)

    def _is_session_lost(self, error: DomoFilesError) -> bool:
        """Say whether the multipart session of an earlier run seems to be gone."""
        is_gone = isinstance(error, ApiError) and error.status in GONE
        return is_gone and self._ledger.resumed

    async def _part(self, index: int, part: TakenPart) -> None:
        body, checksum = await part.prepare()
        async with self._shared.limits.permit(self):
            await self._send(index, part.size, body, checksum)

    async def _send(self, index: int, size: int, body: Body, checksum: str | None) -> None:
        session_id = self._session_id
        loop = asyncio.get_running_loop()
        began = loop.time()
        attempts = 1

        def on_retry(attempt: int, delay: float, error: DomoFilesError) -> None:
            nonlocal attempts
            attempts += 1
            self._shared.emit(
                PartRetried(
                    session_id=session_id,
                    index=index,
                    attempt=attempt,
                    delay=delay,
                    error=error,
                    transfer=self._transfer,
                )
            )

        self._shared.emit(
            PartStarted(session_id=session_id, index=index, size=size, transfer=self._transfer)
        )
        request = requests.upload_part(
            self._shared.rules,
            session_id,
            index,
            content_type=self._content_type,
            checksum=checksum,
        )
        try:
            await self._shared.attempts.send(request, body, on_retry=on_retry)
        except AuthenticationError:
            raise
        except (ApiError, TransportError, ChecksumMismatchError, UnexpectedResponseError) as error:
            if isinstance(error, ChecksumMismatchError):
                await self._supply.check()
            if self._is_session_lost(error):
                raise _SessionLostError from error
            raise self._part_failed(index, attempts, error) from error
        finally:
            self.attempts += attempts
        self._advance(deeds.PartAccepted(index, size, checksum))
        self._shared.emit(
            PartSent(
                session_id=session_id,
                index=index,
                size=size,
                attempts=attempts,
                elapsed=loop.time() - began,
                transfer=self._transfer,
            )
        )
        self._report()

    def _part_failed(self, index: int, attempts: int, error: DomoFilesError) -> PartUploadError:
        failed = PartUploadError(index=index, attempts=attempts, cause=error)
        if isinstance(error, ChecksumMismatchError) and self._shared.is_behind_dev_proxy:
            failed.args = (f"{failed}. {_DEV_PROXY}",)
        return failed

    def _report(self) -> None:
        ledger = self._ledger
        now = Progress(
            ledger.bytes_accepted,
            ledger.bytes_planned if ledger.ended else None,
            ledger.parts_accepted,
            ledger.parts_planned if ledger.ended else None,
        )
        before = self._reported
        # What was started afresh is behind for a while.
        is_news = before is None or (now != before and now.bytes_done >= before.bytes_done)
        if self._progress is not None and is_news:
            self._reported = now
            self._progress(now)

    async def _commit(self) -> None:
        session_id = self._session_id
        self._inquiry.size = self._ledger.bytes_planned
        await self._advance_surely(deeds.CommitSent())
        request = requests.commit_multipart_session(self._shared.rules, session_id)
        try:
            made = await self._shared.attempts.send(request)
        except DomoFilesError as error:
            self._lost = self._lost or error
            if is_answer_lost(error):
                self._advance(deeds.AnswerLost())
                return
            if self._is_session_lost(error):
                await self._lose_session()
                return
            self._advance(deeds.CommitRefused(is_mendable(error)))
            if self._ledger.state is not State.COMMIT_UNKNOWN:
                raise
        else:
            self._finish(deeds.Committed(made.data_file_id, made.revision_id))

    def _finish(self, event: deeds.Committed | deeds.Made) -> None:
        self._advance(event)
        session_id = self._session_id
        self._shared.open_sessions.pop(session_id, None)
        self._shared.claims.made("file", event.data_file_id)
        self._shared.claims.made("revision", event.revision_id)
        self._shared.emit(
            Committed(
                session_id=session_id,
                data_file_id=event.data_file_id,
                revision_id=event.revision_id,
                transfer=self._transfer,
            )
        )

    async def _find_out(self, look: int) -> None:
        delays = look_delays(self._shared.retry)
        if look >= len(delays):
            self._sought("unknown")
            self._shared.open_sessions.pop(self._session_id, None)
            self._advance(deeds.StillUnknown())
            return
        await asyncio.sleep(delays[look])
        verdict: Made | NotSeen | Ambiguous
        try:
            verdict = await self._inquiry.look(self._shared)
        except DomoFilesError as error:
            verdict = Ambiguous(f"looking failed with {error}")
        match verdict:
            case Made(data_file_id, revision_id) if revision_id is not None:
                self._sought("made")
                self._finish(deeds.Made(data_file_id, revision_id))
            case Ambiguous(seen):
                self._seen = seen
                self._advance(deeds.NotSeen())
            case _:
                self._advance(deeds.NotSeen())

    def _sought(self, verdict: str) -> None:
        self._shared.emit(
            OutcomeSought(
                operation=self._inquiry.operation, verdict=verdict, transfer=self._transfer
            )
        )

    async def _access(self) -> None:
        data_file_id = self._ledger.data_file_id
        assert data_file_id is not None
        try:
            await self._set_access(data_file_id)
        except AccessNotSetError as error:
            self._advance(deeds.AccessFailed(is_mendable(error.cause)))
            raise
        self._advance(deeds.AccessSet())

    @property
    def _session_id(self) -> SessionId:
        assert self._ledger.session_id is not None
        return SessionId(self._ledger.session_id)

    async def _give_up(self, error: BaseException) -> None:
        if not self._ledger.state.is_end:
            if isinstance(error, DomoFilesError):
                self._advance(deeds.Failed(is_mendable(error)))
            else:
                self._advance(deeds.Cancelled())
        if self._ledger.state is State.ABORTING:
            session_id = self._session_id
            if self._entry is not None:
                self._shared.open_sessions[session_id] = self._transfer
            aborted = await self._shared.abort(session_id)
            self._advance(deeds.Aborted() if aborted else deeds.AbortFailed())
        elif self._ledger.state is State.PARKED:
            self._shared.open_sessions.pop(self._session_id, None)
            if self._ledger.data_file_id is None:
                self._shared.emit(Parked(session_id=self._session_id, transfer=self._transfer))


# These two may outlive a cancelled upload, and don't keep its source.
async def _create(shared: Shared, opening: Request[SessionId], transfer: int | None) -> SessionId:
    session_id = await shared.attempts.send(opening)
    shared.open_sessions[session_id] = transfer
    return session_id


async def _abort_created(shared: Shared, creating: asyncio.Task[SessionId]) -> None:
    try:
        session_id = await creating
    except Exception:  # noqa: BLE001 - the caller is cancelled, and nothing was opened
        return
    await shared.abort(session_id)


class _SessionLostError(Exception):
    """The multipart session of an earlier run is gone."""


def _begin(group: TaskGroup, work: Coroutine[Any, Any, None], *deeds: Deed) -> None:
    """Begin work, and do *deeds* when it is over; what it raises isn't held here."""
    task = group.create_task(work)
    for deed in deeds:
        # A task that is cancelled before it begins runs nothing but its callbacks.
        task.add_done_callback(_then(deed))


def _then(deed: Callable[[], None]) -> Callable[[object], None]:
    return lambda _: deed()
