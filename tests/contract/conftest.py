"""The same session four times: both surfaces, on an emulator in memory and one in a folder."""

import asyncio

import pytest

from domo_files_async import RetryPolicy, Surface
from domo_files_async.emulator import Emulator

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)


@pytest.fixture(params=["memory", "folder"])
async def emulator(request, tmp_path):
    async with Emulator(tmp_path / "emulator" if request.param == "folder" else None) as running:
        yield running
        assert not running.faults.pending


@pytest.fixture(params=Surface, ids=lambda surface: surface.value)
def surface(request):
    return request.param


@pytest.fixture
def open_as(emulator, surface):
    """Give sessions of other users, or with other options, on the surface that is tested."""

    def make(name="ada", **options):
        return emulator.session(name, surface=surface, **{"retry": QUICK, **options})

    return make


@pytest.fixture
async def domo(open_as):
    async with open_as() as session:
        yield session
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if "domo_files_async/engine" in repr(task.get_coro())]


@pytest.fixture
async def product(emulator):
    """Give a session on the surface that can do all."""
    async with emulator.session("ada", surface=Surface.PRODUCT, retry=QUICK) as session:
        yield session
