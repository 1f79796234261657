"""What a request carries, and how it is written: slice by slice, watched, never twice.

Rule 1: a chunk is no longer in use when the next one is asked for, and none when the writing is
over: each slice is waited for until the system has taken it.
Rule 2: waiting for the source or for the bandwidth cap is no stall of the network.
Rule 3: what the source raises is kept as it is; the network's failures are aiohttp's to tell.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, Protocol, Self

import aiohttp
from aiohttp.http import StreamWriter

from domo_files_async.errors import SourceChangedError

try:
    import fcntl
    import termios
except ImportError:  # pragma: no cover - on Windows the system's buffer isn't seen
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter

__all__ = ("SLICE", "TLS_SLICE", "Body", "Outgoing", "StallWatch")

SLICE = 1024 * 1024
"""Bytes in one write: large enough to be cheap, small enough to be copied when it must be."""

TLS_SLICE = 112 * 1024
"""The same where it is encrypted on the loop: each connection keeps memory for as much as that, and
128 KiB are what allocators begin to ask the system for, each time anew."""

_BREATH = 256 * 1024
"""Bytes after which the loop gets its turn."""

_SMALL = 16 * 1024


class Body(Protocol):
    """Data that is sent beside a request.

    Attributes:
        size: Bytes in it; `None` while unknown, which sends it in chunked transfer coding.
        repeatable: Whether `chunks` can be called again to start over.
    """

    size: int | None
    repeatable: bool

    def chunks(self) -> Sequence[memoryview] | AsyncIterator[memoryview | bytes]:
        """Give the bytes from the beginning.

        Where they have to be waited for, each chunk is used until the next is asked for.
        """
        ...


class StallWatch:
    """Ends a block with `TimeoutError` when nothing moved in it for *stall* seconds.

    A movement only notes the time; one timer looks now and then how long ago it was.

    Args:
        stall: Seconds.
        gauge: Tells how many bytes are on their way; each change is a movement.

    Attributes:
        stall: The same seconds.
    """

    def __init__(self, stall: float, gauge: Callable[[], int]) -> None:
        self.stall = stall
        self._gauge = gauge
        self._level = 0
        self._moved_at: float | None = None

    async def __aenter__(self) -> Self:
        """Begin; the time counts from the first `moved` on."""
        self._loop = asyncio.get_running_loop()
        self._moved_at = None
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._timer = self._loop.call_later(self.stall / 4, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def moved(self) -> None:
        """Start the time anew."""
        self._moved_at = self._loop.time()

    def pause(self) -> None:
        """Stop the time until something moves."""
        self._moved_at = None

    def _look(self) -> None:
        now = self._loop.time()
        level, self._level = self._level, self._gauge()
        after = self.stall / 4
        if self._moved_at is not None:
            if self._level != level:
                self._moved_at = now
            left = self._moved_at + self.stall - now
            if left <= 0:
                self._timeout.reschedule(now)
                return
            after = min(after, left)
        self._timer = self._loop.call_later(after, self._look)


def _unsent(transport: asyncio.Transport) -> int:
    """Count the bytes that the other side hasn't taken, those in the system's buffer included."""
    try:
        count = transport.get_write_buffer_size()
    except AttributeError:
        # asyncio's TLS transport has no buffer any more once it is closed.
        return 0
    raw = transport.get_extra_info("socket")
    if fcntl is not None and raw is not None:
        with suppress(OSError, ValueError):
            count += int.from_bytes(fcntl.ioctl(raw, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return count


class Outgoing(aiohttp.Payload):
    """The way out of one request, also of one without content: whoever writes is seen here.

    Args:
        prefix: Bytes before the body.
        body: The data, where there is any.
        suffix: Bytes after it.
        stall: Seconds in which something has to move.
        pace: Waits until bytes may be sent, and says how many of those asked for; `None` for no
            cap.

    Attributes:
        began: The loop's time when there was a connection to write to; `None` before.
        handed: Whether the last byte was handed over, so that the server may have it all.
        is_answered: Whether its answer has begun.
        written: Bytes that were handed over.
        source_error: What the source raised.
    """

    def __init__(
        self,
        prefix: bytes,
        body: Body | None,
        suffix: bytes,
        *,
        stall: float,
        pace: Callable[[int], Awaitable[int]] | None,
    ) -> None:
        super().__init__(None)
        self._prefix = prefix
        self._body = body
        self._suffix = suffix
        self.watch = StallWatch(stall, self.level)
        self._pace = pace
        size = body.size if body else 0
        self._size = None if size is None else len(prefix) + size + len(suffix)
        # What has to be waited for is no reason to hold back the head.
        is_small = self._size is not None and self._size <= _SMALL
        self._joined = bytearray() if is_small and (not body or body.repeatable) else None
        self._slice = SLICE
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._done = False
        # The first turn lets the HTTP client listen before the source can fail.
        self._unbroken = _BREATH
        self.began: float | None = None
        self.handed = False
        self.is_answered = False
        self.written = 0
        self.source_error: BaseException | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        """Refuse: the bytes are not here to be shown."""
        raise TypeError(f"A body isn't text, neither in {encoding} nor with errors={errors!r}")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it, once: aiohttp repeats some requests, which could make two revisions."""
        if self.began is not None:
            raise ConnectionResetError("A request is written once")
        assert isinstance(writer, StreamWriter)
        transport = writer.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The connection was found closed")
        self._task = asyncio.current_task()
        self._transport = transport
        self._slice = TLS_SLICE if transport.get_extra_info("sslcontext") else SLICE
        self.began = asyncio.get_running_loop().time()
        self.watch.moved()
        # With the least high-water mark, drain() returns only when the system has taken all
        # bytes; from Python 3.12 on, the transport would otherwise still refer to the memory.
        transport.set_write_buffer_limits(high=1, low=0)
        await self._put(writer, self._prefix)
        if self._body is not None:
            await self._put_body(writer, self._body)
        await self._put(writer, self._suffix)
        if self._joined:
            await self._write_slices(writer, memoryview(self._joined))
        transport.set_write_buffer_limits()
        self.handed = self._done = True

    def abandon(self) -> None:
        """Drop the connection with all that it still refers to, at once."""
        if self._transport is not None:
            self._transport.abort()

    async def settle(self) -> None:
        """Wait until the writing is over, and let go of what was written."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        self._body = None

    def level(self) -> int:
        """Count the bytes on their way."""
        return 0 if self._transport is None else _unsent(self._transport)

    def taken(self) -> int:
        """Count the bytes that the other side has taken."""
        if self.is_answered and self.handed:
            return self.written
        return max(0, self.written - self.level())

    @property
    def is_done(self) -> bool:
        """Whether all was written, and the system has taken it."""
        if self._done or self._transport is None:
            return self._done
        # A quick answer makes aiohttp cancel the writing in its last, empty wait.
        return self.handed and self._transport.get_write_buffer_size() == 0

    async def _put_body(self, writer: StreamWriter, body: Body) -> None:
        chunks = body.chunks()
        if isinstance(chunks, Sequence):
            for view in chunks:
                await self._put(writer, view)
            return
        left = body.size
        try:
            while (chunk := await self._next(chunks)) is not None:
                if left is not None:
                    left -= len(chunk)
                    self._check(left >= 0, "more")
                await self._put(writer, chunk)
            self._check(not left, "fewer")
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _next(self, chunks: AsyncIterator[memoryview | bytes]) -> memoryview | None:
        self.watch.pause()
        try:
            chunk = await anext(chunks, None)
        except BaseException as error:
            if not _is_cancelling():
                self.source_error = error
            raise
        self.watch.moved()
        return None if chunk is None else memoryview(chunk).cast("B")

    def _check(self, is_right: bool, found: str) -> None:
        if not is_right:
            assert self._body is not None
            self.source_error = SourceChangedError(
                f"The source gave {found} than the {self._body.size} bytes that it had; was it "
                "written to meanwhile? Nothing was kept of it: upload it again when it is at rest"
            )
            raise self.source_error

    async def _put(self, writer: StreamWriter, data: bytes | memoryview) -> None:
        if self._joined is None:
            await self._write_slices(writer, memoryview(data))
        else:
            self._joined += data

    async def _write_slices(self, writer: StreamWriter, rest: memoryview) -> None:
        while rest:
            # aiohttp joins the head and the first piece, which copies both.
            size = min(len(rest), self._slice if self.written else _SMALL)
            if self._pace is not None:
                self.watch.pause()
                size = await self._pace(size)
                self.watch.moved()
            piece, rest = rest[:size], rest[size:]
            self.written += len(piece)
            self.handed = self.written == self._size
            await writer.write(piece)
            await writer.drain()
            self._unbroken += len(piece)
            if self._unbroken >= _BREATH and not self.handed:
                self._unbroken = 0
                # Lets the loop see an early answer, or the end of the connection: neither is found
                # by writing, and a lost TLS connection swallows writes without an error.
                await asyncio.sleep(0)
            self.watch.moved()


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
