"""The session's memory budget, handed out as leases on reused buffers.

Rule 1: what is leased and what is kept for reuse never exceed the budget together.
Rule 2: who asked first is served first; a stream's part keeps the place of its first lease, so
that parts that were begun are filled before others begin.
Rule 3: memory that only stalled producers could give back is called back: the largest part that
is being filled is closed and sent as it is.
Rule 4: a buffer goes back when its lease is released and no thread works on it any more.

Small leases have an allotment of their own beside the budget, a sixteenth of it, so that a small
upload is never stuck behind a large one.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import mmap
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ("SEGMENT", "Buffers", "Filler", "Lease")

Buffer: TypeAlias = mmap.mmap | bytearray

SEGMENT = 128 * 1024
"""Bytes of one lease of a stream's part, and the largest lease that counts as small."""


class Filler(Protocol):
    """Something whose leases come back only when its producer goes on, or when it is closed."""

    seniority: int
    held: int
    filled: int

    def close_early(self) -> None:
        """Let go of what is there; called only while `filled` is above 0."""
        ...


class Lease:
    """Leave to use a buffer; `view` is its memory.

    Leaving the `async with`, or `release`, gives it back once no pinned job uses it.
    """

    __slots__ = ("_buffer", "_buffers", "_pins", "_released", "filler", "size", "view")

    def __init__(self, buffers: Buffers, buffer: Buffer, size: int, filler: Filler | None) -> None:
        self._buffers = buffers
        self._buffer = buffer
        self._pins = 0
        self._released = False
        self.size = size
        self.filler = filler
        self.view = memoryview(buffer)[:size]

    def pin(self) -> None:
        """Keep the buffer from being reused while a thread works on it."""
        self._pins += 1

    def unpin(self) -> None:
        """Take one pin back."""
        self._pins -= 1
        self._settle()

    def release(self) -> None:
        """Give the buffer back; a second time does nothing."""
        if not self._released:
            self._released = True
            self._settle()

    def _settle(self) -> None:
        if self._released and not self._pins:
            self.view.release()
            self._buffers._take_back(self, self._buffer)  # noqa: SLF001 - two halves of one thing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Buffers:
    """All buffers of a session.

    Args:
        budget: Bytes that may be leased or kept at once.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held = 0
        self._filling = 0
        self._small = _Allotment(budget // 16)
        self._kept: defaultdict[int, list[mmap.mmap]] = defaultdict(list)
        self._kept_bytes = 0
        self._seniority = itertools.count()
        self._waiters: list[tuple[int, int, _Waiter]] = []
        self._fillers: set[Filler] = set()

    @property
    def share(self) -> int:
        """Bytes up to which a part is held in memory; a larger one is read twice."""
        return self.budget // 4

    @property
    def chunk(self) -> int:
        """Bytes of one of the two buffers through which a larger part is read."""
        return max(1, min(1024 * 1024, self.budget // 8))

    def next_seniority(self) -> int:
        """Give a place in the queue, behind all given before."""
        return next(self._seniority)

    async def lease(self, size: int, *, filler: Filler | None = None) -> Lease:
        """Wait for *size* bytes.

        Args:
            size: Bytes, at most the budget.
            filler: The part of a stream that it is for.
        """
        assert size <= self.budget
        if filler is None and size <= SEGMENT and self._small.take(size):
            return Lease(self, bytearray(size), size, None)
        seniority = self.next_seniority() if filler is None else filler.seniority
        waiter = _Waiter(size, filler, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, (seniority, self.next_seniority(), waiter))
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                waiter.future.result().release()
            else:
                waiter.future.cancel()
                self._serve()
            raise

    def spare(self, size: int) -> Callable[[], None] | None:
        """Take memory of the small leases' allotment for something that is held elsewhere.

        Returns:
            What gives it back; `None` where there isn't enough.
        """
        if not self._small.take(size):
            return None
        return functools.partial(self._small.give_back, size)

    def close_filling(self, filler: Filler, leases: list[Lease]) -> None:
        """Take note that *leases* come back by themselves from now on."""
        for lease in leases:
            lease.filler = None
            self._filling -= lease.size
            filler.held -= lease.size
        if not filler.held:
            self._fillers.discard(filler)

    def rebalance(self) -> None:
        """Look again whether those who wait can be served."""
        if self._waiters:
            self._serve()

    def _serve(self) -> None:
        while self._waiters:
            waiter = self._waiters[0][2]
            if waiter.future.done():
                heapq.heappop(self._waiters)
            elif self.held + waiter.size <= self.budget:
                heapq.heappop(self._waiters)
                waiter.future.set_result(self._grant(waiter.size, waiter.filler))
            else:
                if self.held == self._filling:
                    self._call_back(waiter.filler)
                return

    def _call_back(self, asking: Filler | None) -> None:
        closable = [filler for filler in self._fillers if filler.filled]
        others = [filler for filler in closable if filler is not asking]
        if closable:
            max(others or closable, key=lambda filler: filler.filled).close_early()

    def _grant(self, size: int, filler: Filler | None) -> Lease:
        self.held += size
        if filler is not None:
            self._filling += size
            filler.held += size
            self._fillers.add(filler)
        kept = self._kept[size]
        if kept:
            self._kept_bytes -= size
            return Lease(self, kept.pop(), size, filler)
        self._make_room()
        # A bytearray would be zeroed while it holds the interpreter's lock, which stalls the loop.
        return Lease(self, mmap.mmap(-1, max(1, size)), size, filler)

    def _make_room(self) -> None:
        while self._kept_bytes and self.held + self._kept_bytes > self.budget:
            other = next(kept_size for kept_size, kept in self._kept.items() if kept)
            self._kept[other].pop()
            self._kept_bytes -= other

    def _take_back(self, lease: Lease, buffer: Buffer) -> None:
        if isinstance(buffer, bytearray):
            self._small.give_back(lease.size)
            return
        self.held -= lease.size
        if lease.filler is not None:
            self._filling -= lease.size
            lease.filler.held -= lease.size
            if not lease.filler.held:
                self._fillers.discard(lease.filler)
        self._kept[lease.size].append(buffer)
        self._kept_bytes += lease.size
        self._serve()

    def close(self) -> None:
        """Let go of what is kept for reuse."""
        self._kept.clear()
        self._kept_bytes = 0


class _Allotment:
    """A bound on the sum of small leases."""

    __slots__ = ("_free",)

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> bool:
        if size > self._free:
            return False
        self._free -= size
        return True

    def give_back(self, size: int) -> None:
        self._free += size


class _Waiter:
    __slots__ = ("filler", "future", "size")

    def __init__(self, size: int, filler: Filler | None, future: asyncio.Future[Lease]) -> None:
        self.size = size
        self.filler = filler
        self.future = future
