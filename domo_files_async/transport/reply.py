"""An answer whose head is there, and whose body comes in chunks or into memory that is lent.

Rule: a connection is kept only after a complete answer to a request that was fully written; any
other is dropped before `end` returns, so that the memory lent to it is free.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from domo_files_async.errors import TransportError, UnexpectedResponseError
from domo_files_async.protocol.messages import Reply
from domo_files_async.transport.intake import MOMENT, Intake
from domo_files_async.transport.lent import has_left
from domo_files_async.transport.wire import FAILURES, translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

    from domo_files_async.protocol.messages import Request
    from domo_files_async.transport.body import Outgoing
    from domo_files_async.transport.limits import Limits
    from domo_files_async.transport.wire import Answer

__all__ = ("ERROR_LIMIT", "FIRST_ERROR", "Receive", "ReplyStream")

Receive: TypeAlias = "Callable[[memoryview], int]"
"""Receives in a thread; see `Receiving.receive_into`."""

FIRST_ERROR: Final = 400
"""The first status that means that it wasn't done."""

ERROR_LIMIT: Final = 64 * 1024
"""Bytes of an error that are read."""

_ANSWER_LIMIT: Final = 256 * 1024 * 1024


class ReplyStream:
    """An answer whose body comes in chunks.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case; of a repeated header the first one.
        content_length: Bytes in the body; `None` where the server didn't say.
    """

    status: int
    headers: Mapping[str, str]
    content_length: int | None

    def __init__(self, request: Request[Any], outgoing: Outgoing, meter: Limits | None) -> None:
        self._request = request
        self._outgoing = outgoing
        self._meter = meter
        self._answer: Answer | None = None
        self._peeked: list[bytes] = []
        self._intake: Intake | None = None
        self._failure: TransportError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the rest of the body, in chunks as they come.

        Raises:
            StalledError: Nothing came for `Timeouts.stall` seconds.
            TransportError: The connection ended before the body did.
        """
        while self._peeked:
            yield self._peeked.pop(0)
        while chunk := await self._read():
            yield chunk

    async def peek(self, limit: int) -> bytes:
        """Read the first bytes, about *limit* of them; `chunks` will give them again."""
        self._peeked = await self._gather(limit)
        return b"".join(self._peeked)

    async def read_reply(self) -> Reply:
        """Read all of it; of an error, the beginning.

        Raises:
            UnexpectedResponseError: It is longer than any answer of the API.
        """
        is_error = self.status >= FIRST_ERROR
        body = b"".join(await self._gather(ERROR_LIMIT if is_error else _ANSWER_LIMIT))
        if is_error:
            body = body[:ERROR_LIMIT]
        elif len(body) > _ANSWER_LIMIT:
            raise UnexpectedResponseError(
                f"it is longer than {_ANSWER_LIMIT} bytes",
                status=self.status,
                method=self._request.method,
                path=self._request.path,
            )
        return self.reply(body)

    @property
    def path(self) -> str:
        """The request's path, without its query."""
        return self._request.path

    def reply(self, body: bytes) -> Reply:
        """Make a reply of the head and *body*."""
        asked, came = self._request, datetime.now(UTC)
        return Reply(self.status, self.headers, body, asked.method, asked.path, came)

    async def _gather(self, limit: int) -> list[bytes]:
        gathered, size = [], 0
        while size <= limit and (chunk := await self._read()):
            gathered.append(chunk)
            size += len(chunk)
        return gathered

    async def fill(self, view: memoryview) -> int:
        """Read until *view* is full, a moment is over, or the body is.

        Returns:
            Bytes that were read; 0 at the end of the body.

        Raises:
            StalledError: Nothing came for `Timeouts.stall` seconds.
            TransportError: The connection ended before the body did. What came before is given
                first, and the error raised by the next call.
        """
        assert self._intake is not None
        time = asyncio.get_running_loop().time
        count, until = 0, time() + MOMENT
        self._intake.give(self._peeked)
        watch = self._outgoing.watch
        try:
            with watch:
                watch.moved()
                while self._failure is None and count < len(view):
                    step = await self._intake.read_into(view[count:], watch.moved)
                    count += step
                    if not step or time() > until:
                        break
        except FAILURES as error:
            self._failure = self._translated(error)
        if self._meter is not None:
            self._meter.received(count)
        if not count and self._failure is not None:
            raise self._failure
        return count

    async def lend(self, moving: Callable[[Receive], Coroutine[Any, Any, object]]) -> int | None:
        """Let a thread receive what is there.

        Args:
            moving: Given what receives in a thread; it must be over when this has ended.

        Returns:
            Bytes that were received; `None` where only the loop can receive.

        Raises:
            Exception: What *moving* raises.
        """
        assert self._intake is not None
        self._intake.give(self._peeked)
        lent = None if self._failure is not None else self._intake.lend()
        if lent is None:
            return None
        moved = asyncio.ensure_future(moving(lent.receive_into))
        try:
            await asyncio.wait({moved})
        except asyncio.CancelledError:
            lent.stop()
            moved.cancel()
            await has_left(moved)
            raise
        finally:
            count = self._intake.take_back(lent)
        moved.result()
        if self._meter is not None:
            self._meter.received(count)
        return count

    async def _read(self) -> bytes:
        assert self._answer is not None
        content, watch = self._answer.content, self._outgoing.watch
        try:
            if content.is_eof():
                chunk = content.read_nowait()
            else:
                with watch:
                    watch.moved()
                    chunk = await content.readany()
        except FAILURES as error:
            failure = self._translated(error)
        else:
            if self._meter is not None:
                self._meter.received(len(chunk))
            if self._intake is not None:
                self._intake.came += len(chunk)
            return chunk
        try:
            raise failure
        finally:
            del failure

    @property
    def sent(self) -> int:
        """Bytes of the body that were sent."""
        return self._outgoing.written

    async def start(self, sending: Awaitable[Answer]) -> None:
        """Send the request, and wait for the answer's head."""
        outgoing = self._outgoing
        try:
            with outgoing.watch, self._metered():
                answer = self._answer = await sending
                outgoing.is_answered = True
        except FAILURES as error:
            failure = self._translated(outgoing.write_error or error)
        else:
            headers: dict[str, str] = {}
            for name, value in answer.headers.items():
                headers.setdefault(name.lower(), value)
            self.status, self.headers = answer.status, headers
            self.content_length = answer.content_length
            is_framed = "transfer-encoding" not in headers
            self._intake = Intake(answer, answer.content_length if is_framed else None)
            return
        # Raised out here, it has no context that would hold the request's headers.
        try:
            raise outgoing.source_error or failure
        finally:
            del failure

    def _metered(self) -> AbstractContextManager[None]:
        return nullcontext() if self._meter is None else self._meter.metered(self._outgoing.taken)

    def _translated(self, error: Exception) -> TransportError:
        return translated(error, f"{self._request.method} {self._request.path}", self._outgoing)

    async def end(self) -> None:
        """Keep the connection, or drop it with all that it refers to."""
        answer, outgoing = self._answer, self._outgoing
        if answer is not None and answer.content.is_eof() and outgoing.is_done:
            # Whoever takes the connection next finds nobody writing.
            await outgoing.settle()
            answer.release()
        else:
            outgoing.abandon()
            if answer is not None:
                answer.close()
            await outgoing.settle()

    def check_written(self) -> None:
        """Raise unless the request was fully written before its answer, or the answer is an error.

        Raises:
            TransportError: The server claims to have done it without having had all of it.
        """
        if self.status < FIRST_ERROR and not self._outgoing.is_done:
            raise self._outgoing.source_error or TransportError(
                f"{self._request.method} {self._request.path} was answered with {self.status} "
                "before its body was sent: what the server has of it isn't known"
            )
