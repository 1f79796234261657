"""A worker's side: loads items, waits for leave, sends them, tells what came of it.

Rule 1: nothing is sent before the coordinator said that its journal has it as started.
Rule 2: nothing is begun, nor gone on with, once the lease ran out: the coordinator may believe this
worker dead. The lease counts from this worker's last answer that the coordinator heard, so that it
ends here before it ends there, and mail that comes late renews nothing.
"""

from __future__ import annotations

import asyncio
import functools
import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
from distributed import WorkerPlugin

from domo_files_async.bulk.carry import carry
from domo_files_async.dask.parts import send_parts
from domo_files_async.dask.words import (
    Failed,
    Loaded,
    Order,
    Partly,
    PartsSent,
    Sent,
    Silent,
    State,
    Told,
)
from domo_files_async.engine.outcomes import looked_for_later
from domo_files_async.errors import DomoFilesError, TransferError
from domo_files_async.events import (
    PartRetried,
    PartSent,
    PartStarted,
    RequestFinished,
    RequestRetried,
    Throttled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Worker

    from domo_files_async.bulk.carry import Flight, Made
    from domo_files_async.dask.words import Errand, Mail, Parts
    from domo_files_async.engine.shared import Shared
    from domo_files_async.events import Event
    from domo_files_async.session import DomoFilesSession

__all__ = ("DeskPlugin", "collect", "deliver", "tools")

_GATHER = 0.002
_THREADS = 2
_MOST_EVENTS = 1000
_SEEN = (PartRetried, PartSent, PartStarted, RequestFinished, RequestRetried, Throttled)


def tools(domo: DomoFilesSession) -> Shared:
    """Give what a session's transfers share: a cluster's are the session's own, spread out."""
    return domo._check()  # noqa: SLF001 - the one place


class DeskPlugin(WorkerPlugin):
    """Opens a desk on each worker that is there or comes, and closes it with the worker.

    Args:
        name: The run's, so that several can use a cluster.
        factory: Makes a session, on the worker.
    """

    def __init__(self, name: str, factory: Callable[[], DomoFilesSession]) -> None:
        self.name = name
        self._factory = factory
        self.desk: Desk | None = None

    async def setup(self, worker: Worker) -> None:  # noqa: ARG002 - Dask calls it so
        """Open the desk."""
        desk = Desk()
        await desk.open(self._factory)
        self.desk = desk

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask calls it so
        """Close the desk."""
        if self.desk is not None:
            await self.desk.close()


class Desk:
    """One worker's part of a run.

    Attributes:
        rate: Bytes a second that may be sent; 0 for no cap.
    """

    def __init__(self) -> None:
        self._name = uuid.uuid4().hex
        self._stack = AsyncExitStack()
        self._domo: DomoFilesSession
        self._shared: Shared
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="domo-files-dask")
        self._work: dict[int, asyncio.Task[None]] = {}
        self._leave: dict[int, asyncio.Event] = {}
        self._errands: list[Errand] = []
        self._events: list[Event] = []
        self._is_any = asyncio.Event()
        self._serial = 0
        self._share = 0
        self._ceiling = 0
        self._each: float | None = None
        self.rate = 0.0

    async def open(self, factory: Callable[[], DomoFilesSession]) -> None:
        """Open a session of this worker's own."""
        self._domo = await self._stack.enter_async_context(factory())
        self._stack.enter_context(self._domo.observing(self._see))
        self._shared = tools(self._domo)
        self._ceiling = self._shared.limits.ceiling
        self._shared.limits.set_ceiling(0)
        self._shared.limits.lend(0)

    async def close(self) -> None:
        """Send nothing more, and abort what was begun."""
        for task in self._work.values():
            task.cancel()
        # An abort makes nothing, however late.
        self._shared.limits.lend(math.inf)
        if self._work:
            await asyncio.wait(self._work.values())
        self._threads.shutdown(wait=False)
        await self._stack.aclose()

    def take(self, mail: Mail) -> State:
        """Do what the coordinator says; mail that was overtaken is let fall."""
        if mail.serial > self._serial:
            self._serial = mail.serial
            self._obey(mail)
        share = max(self._share, self._shared.limits.in_flight)
        self._pace(share)
        return State(self._name, self._now(), share)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _obey(self, mail: Mail) -> None:
        limits = self._shared.limits
        self._share = mail.share
        limits.set_ceiling(min(mail.share, self._ceiling))
        self._each = mail.rate
        if mail.silence:
            limits.hold(mail.silence)
        if mail.heard is not None:
            limits.lend(mail.heard + mail.lease)
        for order in mail.orders:
            if isinstance(order, Order):
                self._leave[order.number] = asyncio.Event()
            task = self._work[order.number] = asyncio.create_task(self._do(order))
            # One that is cancelled before it begins runs nothing but this.
            task.add_done_callback(functools.partial(self._forget, order.number))
        for number in mail.go:
            if number in self._leave:
                self._leave[number].set()
        # Last, since an order may be dropped in the mail that brings it.
        for number in mail.drop:
            if number in self._work:
                self._work[number].cancel()

    def _pace(self, share: int) -> None:
        """Send as fast as those requests may that are told of in the same breath."""
        if self._each is None:
            return
        own = self._shared.transfer.max_upload_bytes_per_second
        rate = min(own or math.inf, self._each * share)
        if rate != self.rate:
            self.rate = rate
            # Where nothing may be sent, no rate is needed.
            if rate:
                self._shared.limits.set_rate(rate)

    async def told(self, patience: float) -> Told:
        """Wait until there is something to tell, and give all of it."""
        try:
            async with asyncio.timeout(patience):
                await self._is_any.wait()
                await asyncio.sleep(_GATHER)
        except TimeoutError:
            pass
        errands, self._errands = self._errands, []
        events, self._events = self._events, []
        self._is_any.clear()
        return Told(self._name, self._now(), tuple(errands), tuple(events))

    def _tell(self, errand: Errand) -> None:
        self._errands.append(errand)
        self._is_any.set()

    def _see(self, event: Event) -> None:
        if isinstance(event, Throttled):
            self._tell(Silent(event.delay))
        if isinstance(event, _SEEN) and len(self._events) < _MOST_EVENTS:
            # Transfers are numbered on each worker anew.
            self._events.append(attrs.evolve(event, transfer=None))

    def _forget(self, number: int, _: object) -> None:
        self._work.pop(number, None)
        self._leave.pop(number, None)

    async def _do(self, order: Order | Parts) -> None:
        number = order.number
        try:
            if isinstance(order, Order):
                self._tell(await self._one(order))
            else:
                self._tell(await self._parts(order))
        except DomoFilesError as error:
            self._tell(Failed(number, error))
        except Exception as error:  # noqa: BLE001 - the coordinator says what it was
            self._tell(Failed(number, TransferError(f"A worker failed: {error!r}")))

    async def _one(self, order: Order) -> Errand:
        with looked_for_later():
            made = await carry(
                self._domo,
                order.item,
                order.target,
                _Teller(self, order.number),
                threads=self._threads,
                uploads=None,
            )
        return Sent(order.number, made)

    async def _parts(self, parts: Parts) -> Errand:
        return PartsSent(parts.number, await send_parts(self._shared, parts))

    async def leave_for(self, number: int, flight: Flight) -> None:
        """Tell that an item is loaded, and wait for leave to send it."""
        self._tell(Loaded(number, flight))
        await self._leave[number].wait()

    def made(self, number: int, made: Made) -> None:
        """Tell that an item is there, but for its access."""
        self._tell(Partly(number, made))


class _Teller:
    """Tells of one item."""

    def __init__(self, desk: Desk, number: int) -> None:
        self._desk = desk
        self._number = number

    async def started(self, flight: Flight) -> None:
        await self._desk.leave_for(self._number, flight)

    async def made(self, made: Made) -> None:
        self._desk.made(self._number, made)


def _desk(dask_worker: Any, name: str) -> Desk:
    desk = dask_worker.plugins[name].desk
    assert isinstance(desk, Desk)
    return desk


async def deliver(name: str, mail: Mail, dask_worker: Any = None) -> State:
    """Give a worker its mail; runs on the worker."""
    return _desk(dask_worker, name).take(mail)


async def collect(name: str, patience: float, dask_worker: Any = None) -> Told:
    """Ask a worker what it has to tell; runs on the worker."""
    return await _desk(dask_worker, name).told(patience)
