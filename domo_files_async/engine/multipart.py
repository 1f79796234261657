"""Carries out one multipart upload: asks the ledger what to do, does it, says what came of it.

Each part goes lease → data → permit → reply. Nobody holds a permit while waiting for memory, so
whoever has one gives it back soon; and the next parts are read and hashed while others are sent.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

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
    PartRetried,
    PartSent,
    PartStarted,
    Progress,
    SessionCreated,
)
from domo_files_async.models import SessionId
from domo_files_async.planning import ledger as deeds
from domo_files_async.planning.ledger import State
from domo_files_async.planning.outcome import Ambiguous, Made, NotSeen, look_delays
from domo_files_async.planning.retry import is_answer_lost, is_mendable
from domo_files_async.protocol import requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.engine.outcomes import Inquiry
    from domo_files_async.engine.parts import PartSupply, TakenPart
    from domo_files_async.engine.shared import Shared
    from domo_files_async.events import ProgressFunction
    from domo_files_async.planning.ledger import UploadLedger
    from domo_files_async.protocol.messages import Request
    from domo_files_async.transport.body import Body

__all__ = ("MultipartUpload",)

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
    ) -> None:
        self.attempts = 0
        self._shared = shared
        self._ledger = ledger
        self._supply = supply
        self._opening = opening
        self._content_type = content_type
        self._inquiry = inquiry
        self._set_access = set_access
        self._transfer = inquiry.transfer
        self._progress = progress
        self._reported: Progress | None = None
        self._lost: DomoFilesError | None = None
        self._seen = "nothing like it was seen"

    async def run(self) -> None:
        """Carry it out; what came of it is in the ledger.

        Raises:
            DomoFilesError: It failed; the multipart session was aborted.
        """
        try:
            while not self._ledger.state.is_end:
                await self._perform(self._ledger.next_actions()[0])
        except BaseException as error:
            await self._give_up(error)
            raise
        if self._ledger.state is State.UNKNOWN:
            raise self._inquiry.unknown(self._seen, self._lost)

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
        creating = self._shared.owned.start(self._create())
        try:
            session_id = await asyncio.shield(creating)
        except asyncio.CancelledError:
            aborting = self._shared.owned.start(self._abort_created(creating))
            await asyncio.wait({aborting}, timeout=ABORT_WITHIN)
            raise
        self._ledger.advance(deeds.SessionOpened(session_id))
        self._inquiry.session_id = session_id
        self._shared.emit(SessionCreated(session_id=session_id, transfer=self._transfer))

    async def _create(self) -> SessionId:
        session_id = await self._shared.attempts.send(self._opening)
        self._shared.open_sessions[session_id] = self._transfer
        return session_id

    async def _abort_created(self, creating: asyncio.Task[SessionId]) -> None:
        try:
            session_id = await creating
        except DomoFilesError:
            return
        await self._shared.abort(session_id)

    async def _send_parts(self, first: deeds.SendPart) -> None:
        slots = asyncio.Semaphore(self._shared.limits.ceiling + _AHEAD)
        action: deeds.Action | None = first
        async with _group() as group:
            while isinstance(action, deeds.SendPart):
                await slots.acquire()
                part = await self._supply.take(action)
                if part is None:
                    self._ledger.advance(deeds.SourceEnded())
                else:
                    if not self._ledger.ended:
                        self._ledger.advance(deeds.PlanGrown(part.size))
                    # A task that is cancelled before it begins runs nothing but its callbacks.
                    task = group.create_task(self._part(action.index, part))
                    task.add_done_callback(_then(part.release))
                    task.add_done_callback(_then(slots.release))
                action = next(iter(self._ledger.next_actions()), None)
        await self._supply.check()
        self._report()

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
            failed = PartUploadError(index=index, attempts=attempts, cause=error)
            if isinstance(error, ChecksumMismatchError) and self._shared.is_behind_dev_proxy:
                failed.args = (f"{failed}. {_DEV_PROXY}",)
            raise failed from error
        finally:
            self.attempts += attempts
        self._ledger.advance(deeds.PartAccepted(index, size, checksum))
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

    def _report(self) -> None:
        ledger = self._ledger
        now = Progress(
            ledger.bytes_accepted,
            ledger.bytes_planned if ledger.ended else None,
            ledger.parts_accepted,
            ledger.parts_planned if ledger.ended else None,
        )
        if self._progress is not None and now != self._reported:
            self._reported = now
            self._progress(now)

    async def _commit(self) -> None:
        session_id = self._session_id
        self._inquiry.size = self._ledger.bytes_planned
        self._ledger.advance(deeds.CommitSent())
        request = requests.commit_multipart_session(self._shared.rules, session_id)
        try:
            made = await self._shared.attempts.send(request)
        except DomoFilesError as error:
            self._lost = self._lost or error
            if is_answer_lost(error):
                self._ledger.advance(deeds.AnswerLost())
                return
            self._ledger.advance(deeds.CommitRefused())
            if self._ledger.state is State.ABORTING:
                raise
        else:
            self._finish(deeds.Committed(made.data_file_id, made.revision_id))

    def _finish(self, event: deeds.Committed | deeds.Made) -> None:
        self._ledger.advance(event)
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
            self._ledger.advance(deeds.StillUnknown())
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
                self._ledger.advance(deeds.NotSeen())
            case _:
                self._ledger.advance(deeds.NotSeen())

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
        except AccessNotSetError:
            self._ledger.advance(deeds.AccessFailed())
            raise
        self._ledger.advance(deeds.AccessSet())

    @property
    def _session_id(self) -> SessionId:
        assert self._ledger.session_id is not None
        return SessionId(self._ledger.session_id)

    async def _give_up(self, error: BaseException) -> None:
        if self._ledger.state.is_end:
            return
        if isinstance(error, DomoFilesError):
            self._ledger.advance(deeds.Failed(is_mendable(error)))
        else:
            self._ledger.advance(deeds.Cancelled())
        if self._ledger.state is State.ABORTING:
            aborted = await self._shared.abort(self._session_id)
            self._ledger.advance(deeds.Aborted() if aborted else deeds.AbortFailed())


def _then(deed: Callable[[], None]) -> Callable[[object], None]:
    return lambda _: deed()


@asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group whose first error comes out as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
