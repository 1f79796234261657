"""How streams share the memory: who begins, who is filled, and who is closed early."""

import asyncio
import contextlib
import weakref

from domo_files_async.engine.buffers import SEGMENT, Buffers
from domo_files_async.engine.stream import StreamCutter, Unit
from tests.transport.tools import in_no_time

SENDING = 0.005


class Upload:
    """Cuts a producer's bytes into units and sends each; a unit goes when `sent` lets it."""

    def __init__(self, buffers, produced, unit=8 * SEGMENT):
        self.sizes = []
        self.sent = asyncio.Event()
        self.cutter = StreamCutter(produced, buffers, lambda _: unit)
        self.task = asyncio.create_task(self.run())

    async def run(self):
        async with self.cutter as cutter:
            while (unit := await cutter.next_unit()) is not None:
                self.sizes.append(unit.size)
                await self.sent.wait()
                await asyncio.sleep(SENDING)
                unit.release()


async def keeping_up(size, *, every=0):
    for _ in range(size // SEGMENT):
        # As a connection does: the next bytes are there some turns of the loop later.
        await asyncio.sleep(every)
        yield memoryview(bytes(SEGMENT))


async def stalling(size):
    async for chunk in keeping_up(size):
        yield chunk
    await asyncio.get_running_loop().create_future()


async def settle():
    for _ in range(200):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def beginning():
    uploads = []
    try:
        yield uploads
    finally:
        for one in uploads:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in uploads), return_exceptions=True)


@in_no_time
async def test_many_producers_that_keep_up_are_filled_a_few_at_a_time():
    async with beginning() as started:
        buffers = Buffers(128 * SEGMENT)
        for _ in range(200):
            started.append(Upload(buffers, keeping_up(32 * SEGMENT, every=0.002)))
            started[-1].sent.set()
        async with asyncio.timeout(15):
            await asyncio.gather(*(one.task for one in started))
        assert all(sum(one.sizes) == 32 * SEGMENT for one in started)
        # In whole units they would be 800; in crumbs, all begun at once, they are 4,000.
        assert sum(len(one.sizes) for one in started) < 2500
        assert buffers.held == 0


@in_no_time
async def test_stalled_producers_keep_nobody_from_beginning():
    async with beginning() as started:
        buffers = Buffers(64 * SEGMENT)
        started.extend(Upload(buffers, stalling(SEGMENT)) for _ in range(40))
        await settle()
        late = Upload(buffers, keeping_up(8 * SEGMENT))
        late.sent.set()
        started.append(late)
        async with asyncio.timeout(15):
            await late.task
        assert late.sizes == [8 * SEGMENT]
        assert not any(one.sizes for one in started[:40])


@in_no_time
async def test_while_somebody_waits_a_quarter_of_the_memory_is_on_its_way_back():
    async with beginning() as started:
        buffers = Buffers(64 * SEGMENT)
        started.extend(Upload(buffers, stalling(2 * SEGMENT)) for _ in range(32))
        async with asyncio.timeout(15):
            while buffers.held < 64 * SEGMENT:
                await asyncio.sleep(0.001)
        assert not any(one.sizes for one in started)
        waiting = asyncio.ensure_future(buffers.lease(4 * SEGMENT))
        await settle()
        assert sum(sum(one.sizes) for one in started) == 16 * SEGMENT
        assert not waiting.done()
        for one in started:
            one.sent.set()
        (await waiting).release()


@in_no_time
async def test_of_those_that_could_be_closed_early_the_stalled_come_first():
    async with beginning() as started:
        buffers = Buffers(32 * SEGMENT)
        stalled = Upload(buffers, stalling(4 * SEGMENT), unit=30 * SEGMENT)
        started.append(stalled)
        await settle()
        await asyncio.sleep(0.03)
        gate = asyncio.Event()

        async def gated():
            for _ in range(27):
                yield memoryview(bytes(SEGMENT))
            await gate.wait()
            for _ in range(3):
                yield memoryview(bytes(SEGMENT))

        busy = Upload(buffers, gated(), unit=30 * SEGMENT)
        started.append(busy)
        await settle()
        assert buffers.held == 31 * SEGMENT
        gate.set()
        await settle()
        assert stalled.sizes == [4 * SEGMENT]


async def test_memory_that_was_given_back_is_not_kept_by_whoever_still_knows_its_lease():
    buffers = Buffers(8 * SEGMENT)
    first = await buffers.lease(8 * SEGMENT)
    memory = weakref.ref(first.view.obj)
    piece = first.view[10:20]
    first.release()
    piece.release()
    (await buffers.lease(7 * SEGMENT)).release()
    assert memory() is None
    assert first.view is not None


async def test_a_unit_that_was_sent_knows_its_memory_no_more():
    unit = Unit([await Buffers(8 * SEGMENT).lease(SEGMENT)], SEGMENT, is_end=True)
    lease = weakref.ref(unit.leases[0])
    (piece,) = unit.pieces(SEGMENT)
    piece.release()
    assert lease() is None
    assert unit.size == SEGMENT
