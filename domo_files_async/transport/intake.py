"""Reads a body into memory that is lent for it, straight from the connection where that pays.

Rule 1: a connection is taken over between two readings, with all that arrived, and given back with
the last byte of the body, or when it is lost.
Rule 2: while it is taken over, nothing is received unless memory is lent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domo_files_async.transport.lent import Receiving

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("MOMENT", "Intake")

MOMENT = 0.5
"""Seconds after which what came is given out, however little it is."""

_LONG = 64 * 1024
_SCRATCH = 64 * 1024


class Intake:
    """The way of one body into lent memory.

    Args:
        answer: The HTTP client's answer, with its `content` and its `connection`.
        size: Bytes in the body; `None` where the connection doesn't carry just these bytes.

    Attributes:
        came: Bytes that were read from the answer.
    """

    def __init__(self, answer: Any, size: int | None) -> None:
        self._answer = answer
        self._size = size
        self._rest = memoryview(b"")
        self._direct: _Direct | None = None
        self.came = 0

    def give(self, chunks: list[bytes]) -> None:
        """Take back what was read already; *chunks* are empty then."""
        if chunks:
            self._rest = memoryview(b"".join(chunks))
            chunks.clear()

    async def read_into(self, view: memoryview, moved: Callable[[], None]) -> int:
        """Read what is there, or until *view* is full, a moment is over, or the body is.

        Args:
            view: Where to; in use until this returned or raised.
            moved: Called whenever something came.

        Returns:
            Bytes that were read; 0 at the end of the body.

        Raises:
            EOFError: The connection ended before the body did.
            Exception: What the HTTP client raises.
        """
        if not self._rest and self._direct is None:
            self._take_over()
        if not self._rest and self._direct is not None:
            return await self._direct.fill(view, moved)
        if not self._rest:
            self._rest = memoryview(await self._answer.content.readany())
            self.came += len(self._rest)
            moved()
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def lend(self) -> Receiving | None:
        """Lend the connection to a thread, with what came; `None` where only the loop receives."""
        if not self._rest and self._direct is None:
            self._take_over()
        lent = None if self._direct is None else self._direct.lend(self._rest)
        if lent is not None:
            self._rest = memoryview(b"")
        return lent

    def take_back(self, lent: Receiving) -> int:
        """Take back what `lend` gave; say how many bytes the thread gave out."""
        assert self._direct is not None
        self._direct.take_back(lent)
        self._rest = lent.rest
        return lent.given

    def _take_over(self) -> None:
        """Take the connection over if much is still to come; what came is put aside first."""
        content, connection = self._answer.content, self._answer.connection
        if self._size is None or self._size - self.came < _LONG:
            return
        if connection is None or connection.transport is None or content.exception() is not None:
            return
        self._rest = memoryview(content.read_nowait())
        self.came += len(self._rest)
        left = self._size - self.came
        if left and connection.transport.is_reading():
            self._direct = _Direct(
                connection.transport, connection.protocol, left, content.feed_eof
            )


class _Direct(asyncio.BufferedProtocol):
    """Stands in for a connection's protocol until a body is complete.

    Args:
        transport: The connection's.
        protocol: Whom it is given back to.
        left: Bytes that are still to come.
        done: Called when they came, and the connection was given back.
    """

    def __init__(
        self, transport: asyncio.Transport, protocol: Any, left: int, done: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._left = left
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._view = memoryview(b"")
        self._moved = _ignore
        self._until = 0.0
        self._count = 0
        self._waiter: asyncio.Future[None] | None = None
        self._scratch = memoryview(b"")
        self._spilled = bytearray()
        self._receiving: Receiving | None = None
        self._is_lost = False
        transport.pause_reading()
        transport.set_protocol(self)

    async def fill(self, view: memoryview, moved: Callable[[], None]) -> int:
        """Receive; see `Intake.read_into`."""
        self._view, self._moved, self._count = view[: self._left], moved, 0
        self._until = self._loop.time() + MOMENT
        try:
            self._take_spilled()
            if self._is_short and not self._is_lost:
                await self._wait()
            count = self._count
        finally:
            self._view, self._moved = memoryview(b""), _ignore
        if not count and self._left:
            raise EOFError
        self._took(count)
        return count

    def lend(self, rest: memoryview) -> Receiving | None:
        """Lend the connection, with *rest* that came before; see `Intake.lend`."""
        if self._spilled:
            return None
        if self._receiving is None:
            self._receiving = Receiving.of(self._transport)
        if self._receiving is not None:
            self._receiving.begin(self._left, rest)
        return self._receiving

    def take_back(self, lent: Receiving) -> None:
        """Take it back; see `Intake.take_back`."""
        lent.end()
        self._took(lent.received)

    def _took(self, count: int) -> None:
        self._left -= count
        if count and not self._left:
            self._give_back()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend memory to the transport."""
        if self._is_short:
            return self._view[self._count :]
        # Some transports hold bytes already when they are told to stop.
        self._scratch = memoryview(bytearray(max(sizehint, _SCRATCH)))
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of bytes in it."""
        if not self._is_short:
            self._spilled += self._scratch[:nbytes]
            return
        self._count += nbytes
        self._moved()
        if not self._is_short or self._loop.time() > self._until:
            self._wake()

    def eof_received(self) -> None:
        """Take note that no more comes; the transport closes itself."""
        self._lose()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that no more comes, and let the other protocol know."""
        self._lose()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._protocol.resume_writing()

    @property
    def _is_short(self) -> bool:
        return self._count < len(self._view)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        self._transport.resume_reading()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._pause()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
            self._pause()

    def _pause(self) -> None:
        if not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()

    def _lose(self) -> None:
        self._is_lost = True
        if self._receiving is not None:
            self._receiving.stop()
        self._close_lent()
        self._wake()

    def _take_spilled(self) -> None:
        count = min(len(self._spilled), len(self._view))
        self._view[:count] = self._spilled[:count]
        del self._spilled[:count]
        self._count = count

    def _close_lent(self) -> None:
        if self._receiving is not None:
            self._receiving.close()
            self._receiving = None

    def _give_back(self) -> None:
        self._close_lent()
        if self._is_lost:
            return
        self._transport.set_protocol(self._protocol)
        if self._spilled:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.resume_reading()
        self._done()


def _ignore() -> None:
    """Do nothing."""
