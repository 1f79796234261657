"""What is held of a file's parts, and what is read twice."""

from __future__ import annotations

import asyncio
import types
from contextlib import AsyncExitStack

import pytest

from domo_files_async.engine.buffers import Buffers
from domo_files_async.engine.parts import RereadParts
from domo_files_async.planning.ledger import SendPart
from domo_files_async.transport.limits import Limits

MIB = 1024 * 1024
BUDGET = 64 * MIB


@pytest.fixture
def _nothing_is_left():
    """There is no server here."""


async def held_by_each(size, count, *, ceiling=32, each=0):
    """Take so many parts at once; give the bytes that are leased for each."""
    limits, buffers = Limits(ceiling), Buffers(BUDGET)
    limits.each = each
    shared = types.SimpleNamespace(limits=limits, buffers=buffers)
    supply = RereadParts(shared, source=None, hashed=True)
    leased = []
    async with AsyncExitStack() as stack:
        for number in range(count):
            before = buffers.held
            taken = await supply.take(SendPart(number + 1, number * size, size))
            stack.callback(taken.release)
            leased.append(buffers.held - before)
            assert buffers.held <= BUDGET
    assert buffers.held == 0
    buffers.close()
    return leased


async def test_a_few_parts_are_held_and_there_is_memory_for_as_many_at_once_as_may_be():
    leased = await held_by_each(16 * MIB, 32)

    assert leased[:3] == [16 * MIB] * 3
    assert set(leased[3:]) == {MIB // 2}


async def test_where_all_parts_fit_all_are_held():
    assert set(await held_by_each(16 * MIB, 4, ceiling=4)) == {16 * MIB}
    assert set(await held_by_each(2 * MIB, 32)) == {2 * MIB}


async def test_where_connections_are_fast_parts_are_held_as_long_as_there_is_memory():
    assert set(await held_by_each(16 * MIB, 4, each=10**9)) == {16 * MIB}


async def test_whether_connections_are_fast_is_waited_for():
    limits, buffers = Limits(32), Buffers(BUDGET)
    shared = types.SimpleNamespace(limits=limits, buffers=buffers)
    supply = RereadParts(shared, source=None, hashed=True)

    async def take(number):
        return await supply.take(SendPart(number, 0, 16 * MIB))

    taken = [await take(number) for number in (1, 2, 3)]
    fourth = asyncio.create_task(take(4))
    await asyncio.sleep(0)
    assert not fourth.done()
    with limits.metered(lambda: 16 * MIB):
        pass
    assert limits.each > 10**9
    taken.append(await fourth)
    assert buffers.held == 4 * 16 * MIB

    for one in taken:
        one.release()
    buffers.close()


@pytest.mark.parametrize(("each", "leased"), [(0, MIB // 2), (10**9, 2 * MIB)])
async def test_larger_parts_are_never_held(each, leased):
    assert set(await held_by_each(100_000_000, 32, each=each)) == {leased}


async def test_with_many_permits_the_buffers_stay_large_enough_to_be_of_use():
    assert set(await held_by_each(100_000_000, 200, ceiling=200)) == {MIB // 4}
