"""Which worker gets an item next, and who waits for a worker. No clock: times are arguments.

Rule 1: the worker that uses the least of its share comes first; whoever waits longest is served
first, but for what is too large for those who have room.
Rule 2: what a decision costs grows neither with the items nor, but for a logarithm, with the
workers.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domo_files_async.dask.leases import Leases

__all__ = ("Places",)

_TRIES = 8
"""Workers, and items that wait, that are looked at before it is left for later."""


class Places:
    """Gives items to workers that have room.

    Args:
        leases: Who has what.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._shares: dict[str, int] = {}
        self._ticks = itertools.count(1)
        self._entries: dict[str, int] = {}
        self._free: list[tuple[float, int, str]] = []
        self._waiting: deque[tuple[int, int, asyncio.Future[str]]] = deque()

    async def take(self, number: int, size: int, now: float) -> str:
        """Wait for a worker that may have an item; give the worker, which has it then."""
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((number, size, turn))
        self.serve(now)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(number, turn.result(), now)
            raise

    def give_back(self, number: int, worker: str, now: float) -> None:
        """Take an item from the worker that has it."""
        self._leases.give_back(number)
        self.changed(worker, now)

    def set_share(self, worker: str, share: int, now: float) -> None:
        """Say how many items a worker may have at once; 0 once it has left."""
        if share:
            self._shares[worker] = share
        else:
            self._shares.pop(worker, None)
        self.changed(worker, now)

    def changed(self, worker: str, now: float) -> None:
        """Look at a worker again: what it has, or its lease, has changed."""
        self._enter(worker, now)
        self.serve(now)

    def renewed(self, worker: str, now: float) -> None:
        """Take note that a worker's lease holds again."""
        if worker not in self._entries:
            self.changed(worker, now)

    def refuse(self, error: Exception) -> None:
        """Let nobody wait any more."""
        for _, _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()

    def _enter(self, worker: str, now: float) -> None:
        self._entries.pop(worker, None)
        share = self._shares.get(worker, 0)
        if not share or self._leases.until(worker) <= now:
            return
        count = self._leases.count(worker)
        if count < share:
            tick = self._entries[worker] = next(self._ticks)
            heapq.heappush(self._free, (count / share, tick, worker))
        if len(self._free) > 4 * len(self._entries) + 64:
            self._free = [one for one in self._free if self._entries.get(one[2]) == one[1]]
            heapq.heapify(self._free)

    def serve(self, now: float) -> None:
        """Give what waits to whoever has room."""
        too_large: list[tuple[int, int, asyncio.Future[str]]] = []
        while self._waiting and len(too_large) < _TRIES:
            number, size, turn = self._waiting[0]
            if not turn.done():
                worker = self._pick(size, now)
                if worker is None and not self._free:
                    break
                if worker is None:
                    too_large.append(self._waiting.popleft())
                    continue
                self._leases.take(worker, number, size)
                self._enter(worker, now)
                turn.set_result(worker)
            self._waiting.popleft()
        self._waiting.extendleft(reversed(too_large))

    def _pick(self, size: int, now: float) -> str | None:
        full: list[tuple[float, int, str]] = []
        found = None
        while self._free and found is None and len(full) < _TRIES:
            entry = heapq.heappop(self._free)
            worker = entry[2]
            if self._entries.get(worker) != entry[1]:
                continue
            if self._leases.until(worker) <= now:
                del self._entries[worker]
            elif self._leases.fits(worker, size, now):
                del self._entries[worker]
                found = worker
            else:
                full.append(entry)
        for entry in full:
            heapq.heappush(self._free, entry)
        return found
