"""Downloads that a thread receives: what comes fast, in order."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from domo_files_async import PermissionDeniedError, TransferConfig
from domo_files_async.engine import partial as partial_module
from domo_files_async.engine import ranges as ranges_module
from domo_files_async.engine.destination import FileDestination
from domo_files_async.engine.partial import Partial
from domo_files_async.engine.ranges import Fetch
from domo_files_async.planning.ranges import Ranges

DATA = os.urandom(3_000_000)
SIZE = 500_000
RANGED = TransferConfig(multipart_threshold=SIZE, part_size=SIZE, adaptive=False)
STREAM = TransferConfig(multipart_threshold=10 * SIZE)


@pytest.fixture(params=[RANGED, STREAM], ids=["ranges", "stream"])
async def domo(request, emulator):
    async with emulator.session("ada", transfer=request.param) as session:
        yield session


@pytest.fixture
async def data_file_id(domo):
    return (await domo.upload(DATA, name="x", part_size=1_000_000)).data_file_id


async def test_a_thread_receives(domo, data_file_id, tmp_path, monkeypatch):
    names, receive = set(), Partial.receive

    def noting(self, *args, **more):
        names.add(threading.current_thread().name)
        receive(self, *args, **more)

    monkeypatch.setattr(Partial, "receive", noting)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert names
    assert threading.main_thread().name not in names


async def test_one_range_after_the_other_is_received_in_a_thread(
    domo, data_file_id, tmp_path, monkeypatch
):
    active, most, receive = set(), [], FileDestination.receive

    async def noting(self, reply, offset, *args, **more):
        active.add(offset)
        most.append(len(active))
        try:
            return await receive(self, reply, offset, *args, **more)
        finally:
            active.remove(offset)

    monkeypatch.setattr(FileDestination, "receive", noting)
    await domo.download(data_file_id, tmp_path / "x")
    assert max(most) == 1


@pytest.mark.parametrize(
    ("part_size", "fast", "longest"),
    [(None, 0, 2 * SIZE), (None, 1e15, SIZE), (SIZE, 0, SIZE)],
    ids=["fast", "slow", "asked"],
)
async def test_longer_ranges_are_asked_for_where_bytes_come_fast(
    emulator, tmp_path, monkeypatch, part_size, fast, longest
):
    asked, take = [], Ranges.take

    def noting(self, times):
        asked.append(take(self, times))
        return asked[-1]

    monkeypatch.setattr(Ranges, "take", noting)
    monkeypatch.setattr(ranges_module, "RANGE_SIZE", SIZE)
    monkeypatch.setattr(ranges_module, "_FAST", fast)
    # What a thread receives tells nothing of how fast it comes from a busy emulator.
    monkeypatch.setattr(FileDestination, "receive", lambda *_, **__: asyncio.sleep(0))
    config = TransferConfig(
        multipart_threshold=SIZE, part_size=part_size, max_concurrency=1, adaptive=False
    )
    async with emulator.session("ada", transfer=config) as domo:
        made = await domo.upload(DATA, name="x", part_size=1_000_000)
        await domo.download(made.data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert max(stop - start for start, stop in asked) == longest
    assert asked[0] == (0, SIZE)


async def test_what_comes_slowly_is_received_on_the_loop(domo, emulator, data_file_id, tmp_path):
    emulator.faults.add("open_download", rate=10_000_000, times=100)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    emulator.faults.clear()


async def break_off(domo, emulator, data_file_id, path):
    """Leave a partial file to go on with."""
    emulator.faults.add("open_download", reset="body")
    emulator.faults.add("open_download", status=403)
    with pytest.raises(PermissionDeniedError):
        await domo.download(data_file_id, path)
    (left,) = path.parent.iterdir()
    assert left.stat().st_size > 0


@pytest.mark.parametrize("domo", [STREAM], indirect=True, ids=["stream"])
async def test_a_digest_that_is_behind_is_waited_for(
    domo, emulator, data_file_id, tmp_path, monkeypatch
):
    await break_off(domo, emulator, data_file_id, tmp_path / "x")
    waiting, digest, catch_up = threading.Event(), Partial.digest, Fetch._catch_up

    def digest_late(self, *args):
        assert waiting.wait(30)
        digest(self, *args)

    async def wait_for_it(self, lease):
        waiting.set()
        await catch_up(self, lease)

    monkeypatch.setattr(Partial, "digest", digest_late)
    monkeypatch.setattr(Fetch, "_catch_up", wait_for_it)
    await domo.download(data_file_id, tmp_path / "x")
    assert waiting.is_set()
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("domo", [STREAM], indirect=True, ids=["stream"])
async def test_who_waits_brings_the_digest_on(domo, emulator, data_file_id, tmp_path, monkeypatch):
    await break_off(domo, emulator, data_file_id, tmp_path / "x")
    reached = asyncio.Event()
    behind, catch_up = Fetch._digest_behind, Fetch._catch_up

    async def wait_for_memory(self):
        await reached.wait()
        await behind(self)

    async def note(self, lease):
        await catch_up(self, lease)
        assert self.digest.at >= self.frontier > 0
        reached.set()

    monkeypatch.setattr(Fetch, "_digest_behind", wait_for_memory)
    monkeypatch.setattr(Fetch, "_catch_up", note)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


async def test_whoever_cancels_does_not_wait_for_a_slow_disk(
    domo, data_file_id, tmp_path, monkeypatch
):
    begun, released, write_at = threading.Event(), threading.Event(), partial_module._write_at

    def write_slowly(*args):
        begun.set()
        assert released.wait(30)
        return write_at(*args)

    monkeypatch.setattr(partial_module, "_write_at", write_slowly)
    task = asyncio.create_task(domo.download(data_file_id, tmp_path / "x", resume=False))
    try:
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        released.set()
    await domo.download(data_file_id, tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == DATA
    assert [one.name for one in tmp_path.iterdir()] == ["y"]


async def test_a_session_that_closes_ends_what_a_thread_receives(emulator, tmp_path, monkeypatch):
    begun, write_at = threading.Event(), partial_module._write_at

    def note(*args):
        begun.set()
        return write_at(*args)

    monkeypatch.setattr(partial_module, "_write_at", note)
    async with emulator.session("ada", transfer=STREAM) as domo:
        uploaded = await domo.upload(DATA, name="x", part_size=1_000_000)
        task = asyncio.create_task(domo.download(uploaded.data_file_id, tmp_path / "x"))
        while not begun.is_set():
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "x").exists()
