"""The coordinator and a desk, each alone, with a cluster that is made of words."""

from __future__ import annotations

import asyncio
import time

import pytest

from domo_files_async import bulk
from domo_files_async.dask.crew import Crew, working
from domo_files_async.dask.desk import Desk, deliver
from domo_files_async.dask.words import Loaded, Mail, Order, Sent, State, Told
from domo_files_async.errors import ConnectError, TransferError
from tests.dask.cluster import factory_for

LEASE = 1.0


class Words:
    """A client whose workers answer all that they are told, and do nothing."""

    def __init__(self, *workers):
        self.scheduler = self
        self.workers = set(workers)
        self.desks = {}
        self.shares = []
        self.heard = {}
        self.is_lost = False

    async def identity(self, n_workers):  # noqa: ARG002 - as a scheduler's is called
        if self.is_lost:
            raise OSError("The scheduler is gone")
        return {"workers": dict.fromkeys(self.workers)}

    async def run(self, what, name, word, *, workers):  # noqa: ARG002 - as a client's
        (address,) = workers
        if address not in self.workers:
            raise OSError("There is no such worker")
        desk, now = self.desks.get(address, address), time.monotonic()
        self.heard[address] = now
        if what is deliver:
            self.shares.append((now, address, word.share))
            return {address: State(desk, now, word.share)}
        await asyncio.sleep(LEASE / 10)
        return {address: Told(desk, now, (), ())}


def crew_of(client):
    return Crew(client, "name", budget=8, rate=None, lease=LEASE, lease_bytes=2**20)


async def until(is_so):
    async with asyncio.timeout(15):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_the_share_of_one_that_is_gone_goes_to_others_once_its_lease_ran_out():
    client = Words("a")
    async with working(crew_of(client), lambda: None):
        await until(lambda: any(share == 8 for _, _, share in client.shares))
        client.workers = {"b"}
        await until(lambda: any(one == "b" and share == 8 for _, one, share in client.shares))
    first = min(at for at, one, share in client.shares if one == "b" and share)
    assert first >= client.heard["a"] + LEASE


async def test_another_process_at_the_same_address_is_another_worker():
    client = Words("a")
    crew = crew_of(client)
    async with working(crew, lambda: None):
        await until(lambda: any(share == 8 for _, _, share in client.shares))
        sending = asyncio.create_task(crew.have_sent(_parts))
        await asyncio.sleep(0)
        before = len(client.shares)
        client.desks["a"] = "another"
        # It is told anew what it may use, and from nothing.
        await until(lambda: any(not share for _, _, share in client.shares[before:]))
        await until(lambda: client.shares[-1][2] == 8)
        sending.cancel()
        await asyncio.wait({sending})


def _parts(number):
    return Order(number, bulk.Item(source="/x"), None) if number else _Sized()


class _Sized:
    size = 1


async def test_nobody_waits_for_a_cluster_that_is_lost():
    client, given_up = Words(), []
    crew = crew_of(client)
    with pytest.raises(TransferError, match="The cluster was lost"):
        async with working(crew, lambda: given_up.append(True)):
            waiting = asyncio.create_task(crew.have_sent(_parts))
            await asyncio.sleep(0)
            client.is_lost = True
            with pytest.raises(ConnectError, match="The cluster was lost"):
                await waiting
            with pytest.raises(ConnectError, match="The cluster was lost"):
                await crew.have_sent(_parts)
    assert given_up == [True]


async def test_nothing_is_sent_before_the_coordinator_says_so(emulator, tmp_path):
    source = tmp_path / "x"
    source.write_bytes(b"x")
    desk, heard = Desk(), asyncio.get_running_loop().time()
    await desk.open(factory_for(emulator))
    try:
        order = Order(7, bulk.Item(source=str(source)), None)
        desk.take(Mail(serial=1, share=1, lease=60, heard=heard, orders=(order,)))
        told = await desk.told(5)
        assert [type(one) for one in told.errands] == [Loaded]
        assert (await desk.told(0.05)).errands == ()
        assert emulator.requests == []
        desk.take(Mail(serial=2, share=1, lease=60, heard=heard, go=(7,)))
        told = await desk.told(5)
        assert [type(one) for one in told.errands] == [Sent]
        assert len(told.events) > 0
    finally:
        await desk.close()
    assert len(emulator.files) == 1


async def test_an_order_that_comes_with_its_own_end_is_not_begun(emulator, tmp_path):
    desk, heard = Desk(), asyncio.get_running_loop().time()
    await desk.open(factory_for(emulator))
    try:
        order = Order(7, bulk.Item(source=str(tmp_path / "missing")), None)
        desk.take(
            Mail(serial=1, share=1, lease=60, heard=heard, orders=(order,), go=(7,), drop=(7,))
        )
        assert (await desk.told(0.2)).errands == ()
    finally:
        await desk.close()
