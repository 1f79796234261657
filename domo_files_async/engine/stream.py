"""Cuts a stream into parts whose memory is leased as the bytes come.

A producer that stalls holds only what it gave. When all memory waits for stalled producers, the
largest part is closed early: it becomes shorter than planned, and the stream goes on in the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

import attrs

from domo_files_async.engine.buffers import SEGMENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from domo_files_async.engine.buffers import Buffers, Lease

__all__ = ("Piece", "StreamCutter", "Unit")


class Piece:
    """One part's share of a unit."""

    def __init__(self, unit: Unit, views: list[memoryview], size: int) -> None:
        self._unit = unit
        self._released = False
        self.views = views
        self.size = size

    @property
    def leases(self) -> list[Lease]:
        """The memory that its bytes are in, with those of its neighbours."""
        return self._unit.leases

    def release(self) -> None:
        """Give the unit's memory back with its last piece; a second time does nothing."""
        if not self._released:
            self._released = True
            self._unit.piece_done()


@attrs.define(eq=False)
class Unit:
    """Bytes that came one after the other, in the order of their leases.

    Attributes:
        leases: The memory.
        size: Bytes in it.
        is_end: Whether the stream ended with it.
    """

    leases: list[Lease]
    size: int
    is_end: bool
    _pieces: int = attrs.field(default=1, init=False)

    @property
    def views(self) -> list[memoryview]:
        """The memory that is filled."""
        left, views = self.size, []
        for lease in self.leases:
            views.append(lease.view[: min(lease.size, left)])
            left -= len(views[-1])
        return views

    def pieces(self, size: int) -> Iterator[Piece]:
        """Cut it into pieces of *size* bytes, the last one shorter; each is to be released."""
        self._pieces = max(1, -(-self.size // size))
        views = deque(self.views)
        for start in range(0, max(1, self.size), size):
            wanted = min(size, self.size - start)
            taken, left = [], wanted
            while left:
                view = views.popleft()
                taken.append(view[:left])
                if len(view) > left:
                    views.appendleft(view[left:])
                left -= len(taken[-1])
            yield Piece(self, taken, wanted)

    def piece_done(self) -> None:
        """Count one piece less."""
        self._pieces -= 1
        if not self._pieces:
            self.release()

    def release(self) -> None:
        """Give all memory back."""
        while self.leases:
            self.leases.pop().release()


class StreamCutter:
    """Reads a producer ahead of whoever takes the units, by one unit at most.

    Args:
        chunks: What the producer gives.
        buffers: Where memory is leased.
        unit_size: Bytes in the unit with this index, from 1.
    """

    def __init__(
        self,
        chunks: AsyncIterator[memoryview],
        buffers: Buffers,
        unit_size: Callable[[int], int],
    ) -> None:
        self._chunks = chunks
        self._buffers = buffers
        self._unit_size = unit_size
        self._index = 0
        self._limit = 0
        self._leases: list[Lease] = []
        self._free = memoryview(b"")
        self._room = 0
        self._ready: deque[Unit] = deque()
        self._given: Unit | None = None
        self._changed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self.seniority = buffers.next_seniority()
        self.held = 0
        self.filled = 0

    async def __aenter__(self) -> Self:
        self._pump = asyncio.create_task(self._read())
        self._pump.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._pump is not None
        self._pump.cancel()
        try:
            await asyncio.wait({self._pump})
        finally:
            if self._pump.done() and not self._pump.cancelled():
                self._pump.exception()
            # Its error's traceback leads here.
            self._pump = None
            self._close_unit(is_end=True)
            while self._ready:
                self._ready.popleft().release()
            if self._given is not None:
                # Of the last one, pieces may be left that nobody came to take.
                self._given.release()

    async def next_unit(self) -> Unit | None:
        """Wait for the next unit; `None` when the stream has ended before it.

        Raises:
            Exception: Whatever the producer raised.
        """
        assert self._pump is not None
        while not self._ready:
            if self._pump.done():
                self._pump.result()
                return None
            self._changed.clear()
            await self._changed.wait()
        self._changed.set()
        self._given = self._ready.popleft()
        return self._given

    def close_early(self) -> None:
        """Let go of what is there: the memory is wanted."""
        self._close_unit(is_end=False)

    async def _read(self) -> None:
        async for chunk in self._chunks:
            start = 0
            while start < len(chunk):
                if not self._room:
                    await self._make_room()
                start += self._copy(chunk[start:])
        self._close_unit(is_end=True)

    async def _make_room(self) -> None:
        if self.filled and self.filled >= self._limit:
            self._close_unit(is_end=False)
            while self._ready:
                self._changed.clear()
                await self._changed.wait()
        self._limit = self._limit or self._unit_size(self._index + 1)
        size = min(SEGMENT, self._limit - self.filled)
        lease = await self._buffers.lease(size, filler=self)
        # While this waited, the unit may have been closed early; then this begins the next.
        self._limit = self._limit or self._unit_size(self._index + 1)
        self._leases.append(lease)
        self._free = lease.view
        self._room = min(lease.size, self._limit - self.filled)
        self._buffers.rebalance()

    def _copy(self, data: memoryview) -> int:
        count = min(len(data), self._room)
        self._free[:count] = data[:count]
        self._free = self._free[count:]
        self._room -= count
        self.filled += count
        return count

    def _close_unit(self, *, is_end: bool) -> None:
        unit = Unit(self._leases, self.filled, is_end)
        self._buffers.close_filling(self, unit.leases)
        self._leases, self._room, self._limit, self.filled = [], 0, 0, 0
        self.seniority = self._buffers.next_seniority()
        if unit.size:
            self._index += 1
            self._ready.append(unit)
        else:
            unit.release()
        self._changed.set()
