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
from typing import TYPE_CHECKING, Protocol

from domo_files_async.errors import SourceChangedError
from domo_files_async.transport.lent import Sending
from domo_files_async.transport.stalls import StallWatch
from domo_files_async.transport.tls import RECORDS

try:
    import fcntl
    import termios
except ImportError:  # pragma: no cover - on Windows the system's buffer isn't seen
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.transport.senders import Senders
    from domo_files_async.transport.stalls import Stalls

__all__ = ("SLICE", "Body", "Outgoing", "Writer")

SLICE = 1024 * 1024
"""Bytes in one write: large enough to be cheap, small enough to be copied when it must be."""

_SMALL = 16 * 1024
_LONG = 256 * 1024
_TURN = 4 * 1024 * 1024
"""Bytes that a thread sends in one go; a bandwidth cap counts from the next one on."""


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


class Writer(Protocol):
    """Writes to a connection, in the transfer coding that the head tells of."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection's; `None` once that is lost."""
        ...

    async def write(self, chunk: bytes | memoryview) -> None:
        """Hand *chunk* to the connection."""
        ...

    async def drain(self) -> None:
        """Wait until the connection takes more."""
        ...

    async def write_eof(self) -> None:
        """Say that all was written."""
        ...


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


class Outgoing:
    """The way out of one request, also of one without content: whoever writes is seen here.

    Args:
        prefix: Bytes before the body.
        body: The data, where there is any.
        suffix: Bytes after it.
        stalls: Ends it when nothing moves.
        senders: Send what is long.
        pace: Waits until bytes may be sent, and says how many of those asked for; `None` for no
            cap.

    Attributes:
        size: Bytes that will be written; `None` while unknown.
        watch: Tells when nothing moves.
        began: The loop's time when there was a connection to write to; `None` before.
        handed: Whether the last byte was handed over, so that the server may have it all.
        is_answered: Whether its answer has begun.
        written: Bytes that were handed over.
        source_error: What the source raised.
        write_error: What the connection raised.
    """

    def __init__(
        self,
        prefix: bytes,
        body: Body | None,
        suffix: bytes,
        *,
        stalls: Stalls,
        senders: Senders,
        pace: Callable[[int], Awaitable[int]] | None,
    ) -> None:
        self._prefix = prefix
        self._body = body
        self._suffix = suffix
        self.watch = StallWatch(stalls, self._progress, self.abandon)
        self._senders = senders
        self._lent: Sending | None = None
        self._pace = pace
        size = body.size if body else 0
        self.size = None if size is None else len(prefix) + size + len(suffix)
        self._held: Sequence[memoryview] | None = None
        if self.size is not None and self.size <= _SMALL:
            chunks = () if body is None else body.chunks()
            # What has to be waited for is no reason to hold back the head.
            self._held = chunks if isinstance(chunks, Sequence) else None
        self._slice = SLICE
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._done = False
        self.began: float | None = None
        self.handed = False
        self.is_answered = False
        self.written = 0
        self.source_error: BaseException | None = None
        self.write_error: Exception | None = None

    @property
    def is_small(self) -> bool:
        """Whether it is little and all there, so that all of it is written at once."""
        return self._held is not None

    def start(self, writer: Writer, head: bytes) -> None:
        """Begin to write all of it after *head*, beside whoever reads the answer.

        When it fails, the connection is dropped, from which the reader learns it.
        """
        transport = self._begin(writer.transport)
        transport.write(head)
        self._task = asyncio.create_task(self._write_to_its_end(writer, transport))

    async def write(self, writer: Writer) -> None:
        """Write all of it, once: aiohttp repeats some requests, which could make two revisions."""
        self._task = asyncio.current_task()
        if self._held is None:
            await self._write_lent(writer, self._begin(writer.transport))
        else:
            await self._pay()
            self._begin(writer.transport)
            await writer.write(self._joined(self._held))
            self._end_small()

    async def write_small(self, transport: asyncio.Transport | None, head: bytes) -> None:
        """Write *head* and all of a small one at once."""
        assert self._held is not None
        await self._pay()
        self._begin(transport).write(head + self._joined(self._held))
        self._end_small()

    def abandon(self) -> None:
        """Drop the connection with all that it still refers to, at once."""
        if self._lent is not None:
            self._lent.shut_down()
        if self._transport is not None:
            self._transport.abort()

    async def settle(self) -> None:
        """Wait until the writing is over, and let go of what was written."""
        if self._task is not None and not self._task.done():
            if not self.is_done:
                self._task.cancel()
            await asyncio.wait({self._task})
        self._body = self._held = self._task = None
        # Their tracebacks lead here, so that all of it would wait for a garbage collection.
        self.source_error = self.write_error = None

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

    def _begin(self, transport: asyncio.Transport | None) -> asyncio.Transport:
        if self.began is not None:
            raise ConnectionResetError("A request is written once")
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The connection was found closed")
        self._transport = transport
        self.began = asyncio.get_running_loop().time()
        self.watch.moved()
        return transport

    async def _pay(self) -> None:
        left = self.size or 0
        while self._pace is not None and left:
            left -= await self._pace(left)

    def _joined(self, held: Sequence[memoryview]) -> bytes:
        return b"".join((self._prefix, *held, self._suffix))

    def _end_small(self) -> None:
        self.written = self.size or 0
        self.handed = self._done = True

    async def _write_to_its_end(self, writer: Writer, transport: asyncio.Transport) -> None:
        try:
            if self.size is not None and self.size > _LONG:
                self._lent = Sending.of(transport)
            await self._write_lent(writer, transport)
            await writer.write_eof()
        except Exception as error:  # noqa: BLE001 - whatever the source raises
            self.write_error = error
            transport.abort()
        except BaseException:
            transport.abort()
            raise
        finally:
            if self._lent is not None:
                self._lent.close()

    async def _write_lent(self, writer: Writer, transport: asyncio.Transport) -> None:
        self._slice = RECORDS if transport.get_extra_info("sslcontext") else SLICE
        # With the least high-water mark, drain() returns only when the system has taken all
        # bytes; from Python 3.12 on, the transport would otherwise still refer to the memory.
        transport.set_write_buffer_limits(high=1, low=0)
        await self._write_slices(writer, memoryview(self._prefix))
        if self._body is not None:
            await self._write_body(writer, self._body)
        await self._write_slices(writer, memoryview(self._suffix))
        transport.set_write_buffer_limits()
        self.handed = self._done = True

    async def _write_body(self, writer: Writer, body: Body) -> None:
        chunks = body.chunks()
        if isinstance(chunks, Sequence):
            for view in chunks:
                await self._write_slices(writer, view)
            return
        left = body.size
        try:
            while (chunk := await self._next(chunks)) is not None:
                with chunk:
                    if left is not None:
                        left -= len(chunk)
                        self._check(left >= 0, "more")
                    await self._write_slices(writer, chunk)
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

    async def _write_slices(self, writer: Writer, rest: memoryview) -> None:
        while rest:
            # aiohttp joins the head and the first piece, which copies both.
            size = min(len(rest), _TURN if self._lent else self._slice if self.written else _SMALL)
            if self._pace is not None:
                self.watch.pause()
                size = await self._pace(size)
                self.watch.moved()
            piece, rest = rest[:size], rest[size:]
            while piece:
                piece = piece[await self._write_some(writer, piece) :]

    async def _write_some(self, writer: Writer, piece: memoryview) -> int:
        """Write the beginning; give how much that was."""
        sent = 0
        if self._lent is not None and len(piece) >= _LONG:
            sent = await self._senders.send(self._lent, piece[:-_SMALL], self._count)
            self.watch.moved()
        slice_ = piece[sent : sent + self._slice]
        self._count(len(slice_))
        self.handed = self.written == self.size
        await writer.write(slice_)
        await writer.drain()
        if not self.handed:
            # Lets the loop see an early answer, or the end of the connection: neither is found by
            # writing, and a lost TLS connection swallows writes without an error. And others wait
            # for their turn while all slices of many connections are encrypted.
            await asyncio.sleep(0)
        self.watch.moved()
        return sent + len(slice_)

    def _count(self, size: int) -> None:
        self.written += size

    def _progress(self) -> int:
        return self.written - self.level()


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
