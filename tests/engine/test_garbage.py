"""What failed lets go of the caller's data with its error, and waits for no garbage collector."""

import asyncio
import contextlib
import gc
import weakref

import pytest

from domo_files_async import DomoFilesError


class Data(bytearray):
    """Bytes whose end can be seen."""


@pytest.fixture
def _uncollected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def _is_gone(seen):
    # A thread that hashes them ends its step, and a connection needs some turns to close.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while seen() is not None:
                await asyncio.sleep(0)
    return seen() is None


async def freed(upload):
    """Run what is given data, let it fail, and say whether these are gone."""
    data = Data(b"x" * 5000)
    seen = weakref.ref(data)
    with pytest.raises((DomoFilesError, KeyError)):
        await upload(data)
    del data, upload
    return await _is_gone(seen)


async def broken(data):
    yield data
    raise KeyError("mine")


WAYS = {
    "whole": lambda domo: lambda data: domo.upload(data, name="x", verify="sha256"),
    "stream": lambda domo: lambda data: domo.upload(whole(data), name="x"),
    "simple": lambda domo: lambda data: domo.upload_file(data, name="x"),
}


async def whole(data):
    yield data


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize(
    ("way", "operation"),
    [
        ("whole", "create_multipart_session"),
        ("whole", "upload_part"),
        ("whole", "commit_multipart_session"),
        ("stream", "create_multipart_session"),
        ("stream", "upload_part"),
        ("simple", "upload_file"),
    ],
)
async def test_a_refused_upload_frees_its_source_at_once(domo, emulator, way, operation):
    emulator.faults.add(operation, status=400)
    assert await freed(WAYS[way](domo))


@pytest.mark.usefixtures("_uncollected")
async def test_an_upload_whose_answers_are_lost_frees_its_source_at_once(domo, emulator):
    emulator.faults.add("upload_file", status=500, times=9)
    assert await freed(WAYS["simple"](domo))
    emulator.faults.clear()


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("way", ["upload", "upload_file"])
async def test_a_source_that_fails_is_freed_at_once(domo, way):
    assert await freed(lambda data: getattr(domo, way)(broken(data), name="x"))


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("times", [1, 9], ids=["once", "to the end"])
async def test_a_retried_part_frees_its_source_at_once(domo, emulator, times):
    emulator.faults.add("upload_part", part=2, status=500, times=times)
    data = Data(b"x" * 5000)
    seen = weakref.ref(data)
    if times == 1:
        await domo.upload(data, name="x")
        del data
        assert seen() is None
    else:
        del data
        assert await freed(WAYS["whole"](domo))
    emulator.faults.clear()


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize(
    ("way", "operation"),
    [
        ("whole", "create_multipart_session"),
        ("whole", "upload_part"),
        ("whole", "commit_multipart_session"),
        ("simple", "upload_file"),
    ],
)
async def test_a_cancelled_upload_frees_its_source_at_once(domo, emulator, way, operation):
    emulator.faults.add(operation, stall=60)
    data = Data(b"x" * 5000)
    seen = weakref.ref(data)
    uploading = asyncio.create_task(WAYS[way](domo)(data))
    while operation not in {one.operation for one in emulator.requests}:
        await domo.list_files()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    del data, uploading
    assert await _is_gone(seen)
