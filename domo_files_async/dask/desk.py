"""A worker's side: loads items, waits for leave, sends them, tells what came of it.

Rule 1: nothing is sent before the coordinator said that its journal has it as started.
Rule 2: nothing is begun once the lease ran out: the coordinator may believe this worker dead.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin

from domo_files_async.bulk.carry import carry
from domo_files_async.dask.words import Failed, Loaded, Partly, Sent, Silent, State
from domo_files_async.engine.outcomes import looked_for_later
from domo_files_async.errors import DomoFilesError, TransferError
from domo_files_async.events import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Worker

    from domo_files_async.bulk.carry import Flight, Made
    from domo_files_async.dask.words import Errand, Mail, Order
    from domo_files_async.events import Event
    from domo_files_async.session import DomoFilesSession

__all__ = ("DeskPlugin", "collect", "deliver")

_GATHER = 0.002
_THREADS = 2


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
        self.desk = Desk()
        await self.desk.open(self._factory)

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - Dask calls it so
        """Close the desk."""
        if self.desk is not None:
            await self.desk.close()


class Desk:
    """One worker's part of a run."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._domo: DomoFilesSession | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="domo-files-dask")
        self._work: dict[int, asyncio.Task[None]] = {}
        self._leave: dict[int, asyncio.Event] = {}
        self._errands: list[Errand] = []
        self._is_any = asyncio.Event()
        self._until = 0.0
        self._ceiling = 1

    async def open(self, factory: Callable[[], DomoFilesSession]) -> None:
        """Open a session of this worker's own."""
        self._domo = await self._stack.enter_async_context(factory())
        self._stack.enter_context(self._domo.observing(self._see))
        limits = self._domo._check().limits  # noqa: SLF001 - a share is a ceiling of its permits
        self._ceiling = limits.ceiling
        limits.ceiling = 0

    async def close(self) -> None:
        """Send nothing more."""
        for task in self._work.values():
            task.cancel()
        if self._work:
            await asyncio.wait(self._work.values())
        self._threads.shutdown(wait=False)
        await self._stack.aclose()

    def take(self, mail: Mail) -> State:
        """Do what the coordinator says."""
        assert self._domo is not None
        self._until = time.monotonic() + mail.lease
        limits = self._domo._check().limits  # noqa: SLF001 - as above
        limits.ceiling = min(mail.share, self._ceiling)
        limits.set_rate(mail.rate)
        # Who waits for a permit is looked at only when one is given back.
        limits._admit()  # noqa: SLF001 - as above
        if mail.silence:
            limits.hold(mail.silence)
        for order in mail.orders:
            self._leave[order.number] = asyncio.Event()
            task = asyncio.create_task(self._one(order))
            self._work[order.number] = task
        for number in mail.go:
            if number in self._leave:
                self._leave[number].set()
        for number in mail.drop:
            if number in self._work:
                self._work[number].cancel()
        return State(max(mail.share, limits.in_flight))

    async def errands(self, patience: float) -> list[Errand]:
        """Wait until there is something to tell, and give all of it."""
        try:
            async with asyncio.timeout(patience):
                await self._is_any.wait()
                await asyncio.sleep(_GATHER)
        except TimeoutError:
            pass
        told, self._errands = self._errands, []
        self._is_any.clear()
        return told

    def _tell(self, errand: Errand) -> None:
        self._errands.append(errand)
        self._is_any.set()

    def _see(self, event: Event) -> None:
        if isinstance(event, Throttled):
            self._tell(Silent(event.delay))

    async def _one(self, order: Order) -> None:
        assert self._domo is not None
        number = order.number
        try:
            with looked_for_later():
                made = await carry(
                    self._domo,
                    order.item,
                    order.target,
                    _Teller(self, number),
                    threads=self._threads,
                    uploads=None,
                )
            self._tell(Sent(number, made))
        except DomoFilesError as error:
            self._tell(Failed(number, error))
        except Exception as error:  # noqa: BLE001 - the coordinator says what it was
            self._tell(Failed(number, TransferError(f"A worker failed: {error!r}")))
        finally:
            self._work.pop(number, None)
            self._leave.pop(number, None)

    async def leave_for(self, number: int, flight: Flight) -> None:
        """Tell that an item is loaded, and wait for leave to send it.

        Raises:
            TransferError: The lease ran out.
        """
        self._tell(Loaded(number, flight))
        await self._leave[number].wait()
        if time.monotonic() >= self._until:
            raise TransferError("The worker's lease ran out before it could send this")

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


async def collect(name: str, patience: float, dask_worker: Any = None) -> list[Errand]:
    """Ask a worker what it has to tell; runs on the worker."""
    return await _desk(dask_worker, name).errands(patience)
