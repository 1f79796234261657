"""Sources that take long: what they hold up, and what goes on after they were given up."""

import asyncio
import gc
import io
import os
import threading

import pytest

from domo_files_async import Surface, TransferConfig

DATA = os.urandom(200_000)
MANY = 6
"""More than the session's threads of any kind."""


class Endless(io.RawIOBase):
    """A file that is too large for anyone to read to its end."""

    def __init__(self):
        super().__init__()
        self.reads = 0
        self.is_given_back = False
        self.reads_after = 0
        self._at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._at

    def seek(self, offset, whence=0):
        self._at = (1 << 40) if whence == os.SEEK_END else offset
        return self._at

    def readinto(self, view):
        self.reads += 1
        self.reads_after += self.is_given_back
        return self.give(view)

    def give(self, view):
        self._at += len(view)
        return len(view)


class Gated(Endless):
    """Begins its reads, and ends them once it is let; then fails, if so told."""

    def __init__(self, error=None):
        super().__init__()
        self.gate = threading.Event()
        self.begun = threading.Event()
        self._error = error

    def give(self, view):
        self.begun.set()
        self.gate.wait()
        if self._error is not None:
            raise self._error
        return super().give(view[:1000])


@pytest.fixture
async def domo(emulator):
    async with emulator.session(
        "ada", surface=Surface.APP, transfer=TransferConfig(multipart_threshold=1000)
    ) as session:
        yield session


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(DATA)
    return path


async def given_up(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def until(happened):
    while not happened():
        await asyncio.sleep(0.001)


async def check_others_go_on(domo, emulator, path):
    async with asyncio.timeout(10):
        for source in (path, io.BytesIO(DATA)):
            result = await domo.upload(source, name="other")
            assert await emulator.content(result.data_file_id) == DATA
        await domo.download(result.data_file_id, path.with_name("back"))
    assert path.with_name("back").read_bytes() == DATA


def end_threads():
    for thread in threading.enumerate():
        if thread.name.startswith("domo-files"):
            thread.join(5)
            assert not thread.is_alive()


async def test_files_that_are_hashed_whole_hold_nobody_up(domo, emulator, path):
    files = [Endless() for _ in range(MANY)]
    uploads = [asyncio.create_task(domo.upload(file, name="x", verify="sha256")) for file in files]
    await until(lambda: all(file.reads for file in files))
    await check_others_go_on(domo, emulator, path)
    await given_up(*uploads)


@pytest.mark.parametrize("verify", ["parts", "sha256"])
async def test_a_file_that_was_given_up_is_read_no_more(emulator, verify):
    file = Endless()
    async with emulator.session("ada") as domo:
        uploading = asyncio.create_task(domo.upload(file, name="x", verify=verify))
        await until(lambda: file.reads > 4)
        await given_up(uploading)
        file.is_given_back = True
    end_threads()
    assert not file.reads_after


async def test_a_slow_file_that_was_given_up_is_read_once_more_at_most(emulator):
    file = Gated()
    async with emulator.session("ada") as domo:
        uploading = asyncio.create_task(domo.upload(file, name="x", verify="sha256"))
        await until(file.begun.is_set)
        await given_up(uploading)
        file.is_given_back = True
        file.gate.set()
    end_threads()
    assert not file.reads_after


async def test_an_error_that_comes_after_the_cancel_was_waited_for_is_nobodys(emulator):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    file = Gated(OSError("The disk is gone"))
    async with emulator.session("ada") as domo:
        uploading = asyncio.create_task(domo.upload(file, name="x", verify="sha256"))
        await until(file.begun.is_set)
        await given_up(uploading)
        del uploading
        file.gate.set()
    end_threads()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert not told
