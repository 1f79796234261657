"""The coordinator's side: gives items to workers, and has an answer for each of them.

Rule 1: an item whose worker is lost before it had leave to send goes to another one.
Rule 2: one that had leave is in doubt: it is looked for on the server, once its worker's lease ran
out. While its worker may only be slow, it is never sent again.
Rule 3: parts of a multipart session go to another worker at once, since twice the same is the
same; it is committed when nobody who was lost may still send.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.dask.desk import collect, deliver, tools
from domo_files_async.dask.large import carry_large, cut
from domo_files_async.dask.leases import Leases
from domo_files_async.dask.places import Places
from domo_files_async.dask.shares import Shares
from domo_files_async.dask.words import (
    Failed,
    Loaded,
    Mail,
    Order,
    Partly,
    Parts,
    PartsSent,
    Sent,
    Silent,
)
from domo_files_async.errors import ConnectError, OutcomeUnknownError, TransferError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Executor

    from distributed import Client

    from domo_files_async.bulk.carry import Made, Teller
    from domo_files_async.bulk.items import Item
    from domo_files_async.dask.words import Errand, State, Told
    from domo_files_async.engine.journal import UploadJournal
    from domo_files_async.session import DomoFilesSession

__all__ = ("Crew", "working")

_LOOK = 0.25
_LOOKS_A_WORKER = 0.001


@attrs.frozen
class _Lost:
    """The worker of an item is lost; until when it may still begin something."""

    worker: str
    is_gone: bool
    until: float


@attrs.define(eq=False)
class _Worker:
    address: str
    orders: list[Order | Parts] = attrs.Factory(list)
    go: list[int] = attrs.Factory(list)
    drop: list[int] = attrs.Factory(list)
    silence: float = 0.0
    share: int = 0
    desk: str = ""
    heard: float | None = None
    serials: itertools.count[int] = attrs.Factory(lambda: itertools.count(1))
    mail: asyncio.Event = attrs.Factory(asyncio.Event)
    tasks: tuple[asyncio.Task[None], ...] = ()


@attrs.define(eq=False)
class _Place:
    """An item at a worker."""

    number: int
    worker: _Worker
    answers: asyncio.Queue[Errand | _Lost]
    is_over: bool = False

    def send(self, order: Order | Parts) -> None:
        self.worker.orders.append(order)
        self.worker.mail.set()

    def go(self) -> None:
        self.worker.go.append(self.number)
        self.worker.mail.set()

    def drop(self) -> None:
        self.worker.drop.append(self.number)
        self.worker.mail.set()


class Crew:
    """The workers of a cluster, as one carrier of items.

    Args:
        client: Asynchronous, of the cluster.
        name: The plugin's.
        budget: Requests in flight of all workers together.
        rate: Bytes a second of all workers together.
        lease: Seconds after which a worker that doesn't answer is believed dead.
        lease_bytes: Bytes of items that a worker has at a time.

    Attributes:
        held: Keys of items that may still be sent by a worker that doesn't answer.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        budget: int,
        rate: float | None,
        lease: float,
        lease_bytes: int,
    ) -> None:
        self._client = client
        self._name = name
        self._rate = None if rate is None else rate / budget
        self._lease = lease
        self._leases = Leases(seconds=lease, max_bytes=lease_bytes)
        self._places = Places(self._leases)
        self._shares = Shares(budget)
        self._workers: dict[str, _Worker] = {}
        self._answers: dict[int, asyncio.Queue[Errand | _Lost]] = {}
        self._numbers = itertools.count()
        self._domo: DomoFilesSession | None = None
        self._broken: ConnectError | None = None
        self.held: set[str] = set()

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    async def carry(
        self,
        domo: DomoFilesSession,
        item: Item,
        target: int | None,
        tell: Teller,
        *,
        threads: Executor,  # noqa: ARG002 - the workers have their own
        uploads: UploadJournal | None,  # noqa: ARG002 - a worker's disk may go with it
    ) -> Made:
        """Have an item sent by some worker, or the parts of a large one by several.

        Raises:
            DomoFilesError: It failed, or its worker was lost while it was being sent.
        """
        self._domo = domo
        pieces = await cut(tools(domo), item)
        if pieces is not None:
            return await carry_large(domo, tools(domo), pieces, target, tell, self)
        while (made := await self._try(item, target, tell)) is None:
            pass
        return made

    async def _try(self, item: Item, target: int | None, tell: Teller) -> Made | None:
        """Give an item to a worker; `None` if that was lost before it could send."""
        has_leave = False
        async with self._place(item.size or 0) as place:
            place.send(Order(place.number, item, target))
            while True:
                match await place.answers.get():
                    case Loaded(flight=flight):
                        await tell.started(flight)
                        has_leave = True
                        place.go()
                    case Partly(made=made):
                        await tell.made(made)
                    case Sent(made=made):
                        place.is_over = True
                        return made
                    case Failed(error=error):
                        place.is_over = True
                        raise error
                    case _Lost() as lost:
                        if not has_leave:
                            return None
                        if not lost.is_gone:
                            self.held.add(item.key)
                        await _outwait(lost.until)
                        raise OutcomeUnknownError(
                            operation="upload",
                            seen=f"the worker {lost.worker} that was sending it "
                            + ("died" if lost.is_gone else "doesn't answer"),
                            data_file_id=target,
                        )
                    case _:
                        pass

    async def have_sent(self, order: Callable[[int], Parts]) -> tuple[int, float]:
        """Have parts sent by some worker, and by another one if that is lost.

        Args:
            order: Makes the order, given its number.

        Returns:
            How many attempts it took, and until when somebody else may still send them.

        Raises:
            DomoFilesError: One of them can't be sent.
        """
        fence, size = 0.0, order(0).size
        while True:
            async with self._place(size) as place:
                place.send(order(place.number))
                match await place.answers.get():
                    case PartsSent(attempts=attempts):
                        place.is_over = True
                        return attempts, fence
                    case Failed(error=error):
                        place.is_over = True
                        raise error
                    case _Lost(until=until):
                        fence = max(fence, until)
                    case _:
                        pass

    @contextlib.asynccontextmanager
    async def _place(self, size: int) -> AsyncIterator[_Place]:
        if self._broken is not None:
            raise self._broken
        number = next(self._numbers)
        answers = self._answers[number] = asyncio.Queue()
        try:
            address = await self._places.take(number, size, time.monotonic())
            # One that left meanwhile has answered so.
            worker = self._workers.get(address) or _Worker(address)
            place = _Place(number, worker, answers)
            try:
                yield place
            finally:
                self._places.give_back(number, address, time.monotonic())
                if not place.is_over:
                    place.drop()
        finally:
            del self._answers[number]

    async def watch(self) -> None:
        """Follow the workers as they come and go, until cancelled."""
        try:
            while True:
                scheduler: Any = self._client.scheduler
                found = set((await scheduler.identity(n_workers=-1))["workers"])
                for address in found - set(self._workers):
                    self._join(address)
                for address in set(self._workers) - found:
                    self._leave(address)
                now = time.monotonic()
                for number, address in self._leases.expire(now).items():
                    self._answer(number, _Lost(address, is_gone=False, until=now))
                for worker in self._workers.values():
                    wanted = self._shares.offer(worker.address)
                    if wanted != worker.share or self._shares.held(worker.address) > wanted:
                        worker.share = wanted
                        self._places.set_share(worker.address, wanted, now)
                        worker.mail.set()
                await asyncio.sleep(max(_LOOK, len(self._workers) * _LOOKS_A_WORKER))
        except Exception as error:
            self._give_up(error)
            raise
        finally:
            tasks = [task for worker in self._workers.values() for task in worker.tasks]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def _give_up(self, error: Exception) -> None:
        """Let nobody wait for a cluster that is lost."""
        self._broken = ConnectError(f"The cluster was lost: {error!r}")
        self._places.refuse(self._broken)
        until = time.monotonic() + self._lease
        for number in self._answers:
            self._answer(number, _Lost("of the cluster", is_gone=False, until=until))

    def _join(self, address: str) -> None:
        worker = self._workers[address] = _Worker(address)
        self._shares.join(address)
        self._leases.join(address, time.monotonic())
        worker.tasks = (
            asyncio.create_task(self._deliver(worker)),
            asyncio.create_task(self._collect(worker)),
        )

    def _leave(self, address: str) -> None:
        worker = self._workers.pop(address)
        for task in worker.tasks:
            task.cancel()
        until = self._leases.until(address)
        # Whoever is gone may be out of reach only: its requests count until it begins no more.
        loop, left = asyncio.get_running_loop(), max(0.0, until - time.monotonic())
        loop.call_later(left, self._shares.back, self._shares.leave(address))
        for number in self._leases.leave(address):
            self._answer(number, _Lost(address, is_gone=True, until=until))
        self._places.set_share(address, 0, time.monotonic())

    def _answer(self, number: int, answer: Errand | _Lost) -> None:
        if number in self._answers:
            self._answers[number].put_nowait(answer)

    async def _deliver(self, worker: _Worker) -> None:
        while True:
            await worker.mail.wait()
            worker.mail.clear()
            orders, worker.orders = worker.orders, []
            go, worker.go = worker.go, []
            drop, worker.drop = worker.drop, []
            silence, worker.silence = worker.silence, 0.0
            mail = Mail(
                serial=next(worker.serials),
                orders=tuple(orders),
                go=tuple(go),
                drop=tuple(drop),
                share=worker.share,
                rate=self._rate,
                silence=silence,
                lease=self._lease,
                heard=worker.heard,
            )
            state: State | None = await self._ask(worker, deliver, mail)
            if state is None:
                # It may have arrived, and is not sent twice; but for what does no harm.
                self._doubt(mail, worker.address)
                worker.drop.extend(drop)
                worker.silence = max(worker.silence, silence)
                worker.mail.set()
            else:
                self._shares.lowered(worker.address, state.share)

    async def _collect(self, worker: _Worker) -> None:
        while True:
            told: Told | None = await self._ask(worker, collect, self._lease / 4)
            if told is None:
                continue
            for errand in told.errands:
                if isinstance(errand, Silent):
                    self._keep_silence(worker, errand.seconds)
                else:
                    self._answer(errand.number, errand)
            if self._domo is not None:
                for event in told.events:
                    tools(self._domo).emit(event)
            # An idle worker's lease is renewed, too.
            worker.mail.set()

    def _keep_silence(self, told_by: _Worker, seconds: float) -> None:
        if self._domo is not None:
            tools(self._domo).limits.hold(seconds)
        for worker in self._workers.values():
            if worker is not told_by:
                worker.silence = max(worker.silence, seconds)
                worker.mail.set()

    async def _ask(self, worker: _Worker, what: Any, word: Any) -> Any:
        """Run something on a worker; `None` where no answer came.

        Whoever is gone is told of by the scheduler, and this ends; or its plugin isn't there yet.
        """
        try:
            told = await self._client.run(what, self._name, word, workers=[worker.address])
            answer = told[worker.address]
        except (OSError, KeyError):
            await asyncio.sleep(_LOOK * 4)
            return None
        if worker.desk not in {"", answer.desk}:
            # Another process has its address.
            asyncio.get_running_loop().call_soon(self._replace, worker)
            await asyncio.sleep(_LOOK)
            return None
        worker.desk, worker.heard = answer.desk, max(worker.heard or 0.0, answer.at)
        now = time.monotonic()
        self._leases.renew(worker.address, now)
        self._places.renewed(worker.address, now)
        return answer

    def _replace(self, worker: _Worker) -> None:
        if self._workers.get(worker.address) is worker:
            self._leave(worker.address)

    def _doubt(self, mail: Mail, address: str) -> None:
        until = self._leases.until(address)
        for number in (*(order.number for order in mail.orders), *mail.go):
            self._answer(number, _Lost(address, is_gone=False, until=until))


async def _outwait(until: float) -> None:
    await asyncio.sleep(max(0.0, until - time.monotonic()))


@contextlib.asynccontextmanager
async def working(crew: Crew, give_up: Callable[[], None]) -> AsyncIterator[None]:
    """Follow the workers for as long as an `async with` lasts.

    Args:
        crew: Whose workers.
        give_up: Ends what waits for them, should the cluster be lost.

    Raises:
        TransferError: The cluster was lost.
    """
    task = asyncio.create_task(crew.watch())
    task.add_done_callback(lambda _: give_up())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is not None:
            raise TransferError(f"The cluster was lost: {task.exception()!r}")
