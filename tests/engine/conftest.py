import asyncio
import threading

import pytest

from domo_files_async import RetryPolicy, Surface, TransferConfig
from domo_files_async.emulator import Emulator

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture(params=Surface, ids=lambda surface: surface.value)
async def domo(request, emulator):
    async with emulator.session(
        "ada", surface=request.param, retry=QUICK, transfer=SMALL
    ) as session:
        yield session


@pytest.fixture(autouse=True)
async def _nothing_is_left(emulator):
    """Each test ends with its multipart sessions ended, its tasks done and its faults met."""
    yield
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    ours = [task for task in others if "domo_files_async/engine" in repr(task.get_coro())]
    assert not ours
    assert not emulator.faults.pending
    assert not emulator.open_sessions
    # One of a journal that nobody closed ends by itself, soon.
    daemons = [t for t in threading.enumerate() if t.daemon and t.name.startswith("domo-files")]
    for thread in daemons:
        if thread.name != "domo-files-journal":
            thread.join(5)
            assert not thread.is_alive(), thread.name
