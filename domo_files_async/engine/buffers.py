"""The session's memory budget, handed out as leases on reused buffers.

Rule 1: what is leased and what is kept for reuse never exceed the budget together.
Rule 2: who asked first is served first; a stream's part keeps the place of its first lease, so
that parts that were begun are filled before others begin. While many producers keep up, no others
begin; one that pauses makes room for the next.
Rule 3: while somebody waits, a quarter of the memory is on its way back: if need be, parts that
are being filled are closed and sent as they are, those of stalled producers before others, the
largest first.
Rule 4: a buffer goes back when its lease is released and no thread works on it any more.

Small leases have an allotment of their own beside the budget, a sixteenth of it, so that a small
upload is never stuck behind a large one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import itertools
import mmap
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ("SEGMENT", "Buffers", "Filler", "Lease", "Spare")

Buffer: TypeAlias = mmap.mmap | bytearray

SEGMENT = 128 * 1024
"""Bytes of one lease of a stream's part, and the largest lease that counts as small."""

_AT_ONCE = 16
"""Streams whose parts are filled at once while their producers keep up; more of them would share
the memory in crumbs, each of which is a part."""

_PAUSE = 0.02
"""Seconds after which a producer that asked for no more memory counts as stalled; on a loop that
is behind, some more."""

_TURNS = 8

_HUGE = 2 * 1024 * 1024
"""Bytes from which on memory is asked for in huge pages, where the system has them."""


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

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_buffers",
        "_pins",
        "_released",
        "filler",
        "size",
        "view",
    )

    def __init__(self, buffers: Buffers, buffer: Buffer, size: int, filler: Filler | None) -> None:
        self._buffers = buffers
        self._buffer: Buffer | None = buffer
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
        if self._released and not self._pins and self._buffer is not None:
            self.view.release()
            # Whoever still refers to the lease doesn't keep its memory.
            buffer, self._buffer = self._buffer, None
            self._buffers._take_back(self, buffer)  # noqa: SLF001 - two halves of one thing

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
        self._fillers: dict[Filler, float] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._pause = _PAUSE

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
        seniority = self._seniority_of(filler)
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

    async def spare(self, size: int) -> Spare:
        """Wait for memory of the small leases' allotment, for what is held elsewhere.

        Args:
            size: Bytes; where the whole allotment is smaller, less is given.
        """
        size = min(size, self._small.size)
        await self._small.wait(size)
        return Spare(size, functools.partial(self._small.give_back, size))

    def close_filling(self, filler: Filler, leases: list[Lease]) -> None:
        """Take note that *leases* come back by themselves from now on."""
        for lease in leases:
            lease.filler = None
            self._filling -= lease.size
            filler.held -= lease.size
        if not filler.held:
            self._fillers.pop(filler, None)
        if self._waiters:
            asyncio.get_running_loop().call_soon(self._serve)

    def rebalance(self) -> None:
        """Look again whether those who wait can be served."""
        if self._waiters:
            self._serve()

    def _seniority_of(self, filler: Filler | None) -> int:
        if filler is None:
            return self.next_seniority()
        if filler in self._fillers:
            self._note(filler)
        else:
            filler.seniority = self.next_seniority()
        return filler.seniority

    def _note(self, filler: Filler) -> None:
        # The last in the dictionary is the one that asked last.
        self._fillers.pop(filler, None)
        self._fillers[filler] = asyncio.get_running_loop().time()

    def _serve(self) -> None:
        while self._waiters:
            waiter = self._waiters[0][2]
            if waiter.future.done():
                heapq.heappop(self._waiters)
            elif self.held + waiter.size > self.budget:
                self._call_back(waiter.filler)
                return
            elif waiter.filler and waiter.filler not in self._fillers and self._is_busy():
                self._look_again()
                return
            else:
                heapq.heappop(self._waiters)
                waiter.future.set_result(self._grant(waiter.size, waiter.filler))

    def _is_busy(self) -> bool:
        asked = next(itertools.islice(reversed(self._fillers.values()), _AT_ONCE - 1, None), None)
        return asked is not None and asked > asyncio.get_running_loop().time() - self._pause

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _PAUSE

        def look() -> None:
            self._looking = None
            # Bytes that are there take a few turns of the loop, however long these are.
            self._pause = _PAUSE + _TURNS * (loop.time() - due)
            self._serve()

        if self._looking is None:
            self._looking = loop.call_at(due, look)

    def _call_back(self, asking: Filler | None) -> None:
        # This is asked with each lease that goes back, and a thousand may wait.
        if self._comes_back():
            return
        waiting = {waiter.filler for _, _, waiter in self._waiters if not waiter.future.done()}
        since = asyncio.get_running_loop().time() - self._pause
        closable = sorted(
            (filler for filler in self._fillers if filler.filled),
            key=lambda one: (
                one is not asking,
                one not in waiting and self._fillers[one] <= since,
                one.filled,
            ),
            reverse=True,
        )
        for filler in closable:
            filler.close_early()
            if self._comes_back():
                return

    def _comes_back(self) -> bool:
        return self.held - self._filling >= self.budget // 4

    def _grant(self, size: int, filler: Filler | None) -> Lease:
        self.held += size
        if filler is not None:
            self._filling += size
            filler.held += size
            self._note(filler)
        kept = self._kept[size]
        if kept:
            self._kept_bytes -= size
            return Lease(self, kept.pop(), size, filler)
        self._make_room()
        return Lease(self, _mapped(max(1, size)), size, filler)

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
                self._fillers.pop(lease.filler, None)
        self._kept[lease.size].append(buffer)
        self._kept_bytes += lease.size
        self._serve()

    def close(self) -> None:
        """Let go of what is kept for reuse."""
        if self._looking is not None:
            self._looking.cancel()
        self._kept.clear()
        self._kept_bytes = 0


@attrs.define(eq=False)
class Spare:
    """Memory that was set aside.

    Attributes:
        size: Bytes.
    """

    size: int
    _give_back: Callable[[], None]
    _is_released: bool = attrs.field(default=False, init=False)

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if not self._is_released:
            self._is_released = True
            self._give_back()


def _mapped(size: int) -> mmap.mmap:
    # A bytearray would be zeroed while it holds the interpreter's lock, which stalls the loop.
    if not hasattr(mmap, "MAP_PRIVATE"):  # pragma: no cover - on Windows
        return mmap.mmap(-1, size)
    # Huge pages take a tenth of the time to be touched first, and less to be found again; memory
    # that could be shared with other processes has none.
    buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # the system has none
            buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer


class _Allotment:
    """A bound on the sum of small leases; those who wait are served in order, and in groups."""

    __slots__ = ("_free", "_waiting", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int) -> bool:
        if size > self._free or self._waiting:
            return False
        self._free -= size
        return True

    async def wait(self, size: int) -> None:
        if self.take(size):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            raise

    def give_back(self, size: int) -> None:
        self._free += size
        if self._free < self.size // 4:
            return
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= size
                turn.set_result(None)


class _Waiter:
    __slots__ = ("filler", "future", "size")

    def __init__(self, size: int, filler: Filler | None, future: asyncio.Future[Lease]) -> None:
        self.size = size
        self.filler = filler
        self.future = future
