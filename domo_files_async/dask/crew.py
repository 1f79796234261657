"""The coordinator's side: gives items to workers, and has an answer for each of them.

Rule 1: an item whose worker is lost before it had leave to send goes to another one.
Rule 2: one that had leave is in doubt: it is looked for on the server. While its worker may only
be slow, it is never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.dask.desk import collect, deliver
from domo_files_async.dask.leases import Leases
from domo_files_async.dask.shares import Shares
from domo_files_async.dask.words import Failed, Loaded, Mail, Order, Partly, Sent, Silent
from domo_files_async.errors import OutcomeUnknownError, TransferError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from distributed import Client

    from domo_files_async.bulk.carry import Made, Teller
    from domo_files_async.bulk.items import Item
    from domo_files_async.dask.words import Errand, State
    from domo_files_async.engine.journal import UploadJournal
    from domo_files_async.session import DomoFilesSession

__all__ = ("Crew", "working")

_LOOK = 0.25


@attrs.frozen
class _Lost:
    worker: str
    is_gone: bool


@attrs.define(eq=False)
class _Worker:
    address: str
    orders: list[Order] = attrs.Factory(list)
    go: list[int] = attrs.Factory(list)
    drop: list[int] = attrs.Factory(list)
    silence: float = 0.0
    share: int = 0
    mail: asyncio.Event = attrs.Factory(asyncio.Event)
    tasks: tuple[asyncio.Task[None], ...] = ()


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
        self._rate = rate
        self._lease = lease
        self._leases = Leases(seconds=lease, max_bytes=lease_bytes)
        self._shares = Shares(budget)
        self._workers: dict[str, _Worker] = {}
        self._answers: dict[int, asyncio.Queue[Errand | _Lost]] = {}
        self._numbers = itertools.count()
        self._changed = asyncio.Condition()
        self._domo: DomoFilesSession | None = None
        self.held: set[str] = set()

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
        """Have an item sent by some worker.

        Raises:
            DomoFilesError: It failed, or its worker was lost while it was being sent.
        """
        self._domo = domo
        while (made := await self._try(item, target, tell)) is None:
            pass
        return made

    async def _try(self, item: Item, target: int | None, tell: Teller) -> Made | None:
        """Give an item to a worker; `None` if that was lost before it could send."""
        number = next(self._numbers)
        answers: asyncio.Queue[Errand | _Lost] = asyncio.Queue()
        worker = await self._place(number, item.size or 0)
        self._answers[number] = answers
        has_leave = is_over = False
        try:
            worker.orders.append(Order(number, item, target))
            worker.mail.set()
            while True:
                match await answers.get():
                    case Loaded(flight=flight):
                        await tell.started(flight)
                        has_leave = True
                        worker.go.append(number)
                        worker.mail.set()
                    case Partly(made=made):
                        await tell.made(made)
                    case Sent(made=made):
                        is_over = True
                        return made
                    case Failed(error=error):
                        is_over = True
                        raise error
                    case _Lost(worker=address, is_gone=is_gone):
                        is_over = is_gone
                        if not has_leave:
                            return None
                        if not is_gone:
                            self.held.add(item.key)
                        raise OutcomeUnknownError(
                            operation="upload",
                            seen=f"the worker {address} that was sending it "
                            + ("died" if is_gone else "doesn't answer"),
                            data_file_id=target,
                        )
                    case _:
                        pass
        finally:
            del self._answers[number]
            self._leases.give_back(number)
            if not is_over:
                worker.drop.append(number)
                worker.mail.set()
            await self._notify()

    async def _place(self, number: int, size: int) -> _Worker:
        async with self._changed:
            while True:
                now = time.monotonic()
                free = [
                    one
                    for one in self._workers.values()
                    if self._leases.fits(one.address, size, now)
                    and self._leases.count(one.address) < one.share
                ]
                if free:
                    best = min(free, key=lambda one: self._leases.count(one.address) / one.share)
                    self._leases.take(best.address, number, size)
                    return best
                await self._changed.wait()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

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
                for number, address in self._leases.expire(time.monotonic()).items():
                    self._answer(number, _Lost(address, is_gone=False))
                for worker in self._workers.values():
                    wanted = self._shares.offer(worker.address)
                    if wanted != worker.share or self._shares.held(worker.address) > wanted:
                        worker.share = wanted
                        worker.mail.set()
                await self._notify()
                await asyncio.sleep(_LOOK)
        finally:
            tasks = [task for worker in self._workers.values() for task in worker.tasks]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

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
        self._shares.leave(address)
        for number in self._leases.leave(address):
            self._answer(number, _Lost(address, is_gone=True))

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
                orders=tuple(orders),
                go=tuple(go),
                drop=tuple(drop),
                share=worker.share,
                rate=self._rate and self._rate * max(worker.share, 1) / self._shares.budget,
                silence=silence,
                lease=self._lease,
            )
            state: State = await self._ask(worker, deliver, mail)
            self._shares.lowered(worker.address, state.share)

    async def _collect(self, worker: _Worker) -> None:
        while True:
            for errand in await self._ask(worker, collect, self._lease / 4):
                if isinstance(errand, Silent):
                    self._keep_silence(worker, errand.seconds)
                else:
                    self._answer(errand.number, errand)
            # An idle worker's lease is renewed, too.
            worker.mail.set()

    def _keep_silence(self, told_by: _Worker, seconds: float) -> None:
        if self._domo is not None:
            self._domo._check().limits.hold(seconds)  # noqa: SLF001 - one silence for all
        for worker in self._workers.values():
            if worker is not told_by:
                worker.silence = max(worker.silence, seconds)
                worker.mail.set()

    async def _ask(self, worker: _Worker, what: Any, word: Any) -> Any:
        """Run something on a worker; whoever is gone is told by the scheduler."""
        while True:
            try:
                told = await self._client.run(what, self._name, word, workers=[worker.address])
            except (OSError, KeyError):
                # Where it is gone, the scheduler says so meanwhile, and this ends. Or its plugin
                # isn't there yet. Mail that may have arrived isn't sent twice.
                await asyncio.sleep(_LOOK * 4)
                if isinstance(word, Mail):
                    self._doubt(word, worker.address)
                    word = Mail(share=word.share, rate=word.rate, lease=word.lease)
                continue
            self._leases.renew(worker.address, time.monotonic())
            return told[worker.address]

    def _doubt(self, mail: Mail, address: str) -> None:
        for number in (*(order.number for order in mail.orders), *mail.go):
            self._answer(number, _Lost(address, is_gone=False))


@contextlib.asynccontextmanager
async def working(crew: Crew) -> Any:
    """Follow the workers for as long as an `async with` lasts."""
    task = asyncio.create_task(crew.watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is not None:
            raise TransferError(f"The cluster was lost: {task.exception()!r}")
