"""Sources that take long or stall: what they hold up, and what goes on after they were given up."""

import asyncio
import fcntl
import functools
import gc
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from domo_files_async import Surface, TransferConfig

DATA = os.urandom(200_000)
MANY = 6
"""More than the session's threads of any kind."""

SILENT_STDIN = """
import asyncio, sys
from domo_files_async.emulator import Emulator

async def main():
    async with Emulator() as emulator, emulator.session("ada") as domo:
        uploading = asyncio.create_task(domo.upload(sys.stdin.buffer, name="x"))
        print(flush=True)
        done, _ = await asyncio.wait({uploading}, timeout=0.2)
        uploading.cancel()
        await asyncio.wait({uploading})
        assert uploading.cancelled()

asyncio.run(main())
"""


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


async def test_producers_that_stall_in_their_threads_hold_nobody_up(domo, emulator, path):
    pipes = [os.pipe() for _ in range(MANY)]
    files = [os.fdopen(fd, "rb") for fd, _ in pipes]
    writers = [os.fdopen(fd, "wb", buffering=0) for _, fd in pipes]
    uploads = [asyncio.create_task(domo.upload(file, name="x")) for file in files]
    for writer in writers:
        writer.write(b"begun")
    await check_others_go_on(domo, emulator, path)
    for writer in writers[1:]:
        writer.write(b", ended")
        writer.close()
    for result in await asyncio.gather(*uploads[1:]):
        assert await emulator.content(result.data_file_id) == b"begun, ended"
    await given_up(uploads[0])
    writers[0].close()
    for file in files:
        file.close()


async def test_named_pipes_without_a_writer_hold_nobody_up(domo, emulator, path, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = threading.active_count()
    uploads = [asyncio.create_task(domo.upload(tmp_path / "pipe")) for _ in range(MANY)]
    await check_others_go_on(domo, emulator, path)
    await given_up(*uploads)
    assert not [t for t in threading.enumerate() if t.daemon and t.name.startswith("domo-files")]
    assert threading.active_count() >= before


async def test_a_named_pipe_is_read_until_its_writer_closes_it(domo, emulator, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    uploading = asyncio.create_task(domo.upload(tmp_path / "pipe"))

    def write():
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            for start in range(0, len(DATA), 50_000):
                pipe.write(DATA[start : start + 50_000])

    await asyncio.to_thread(write)
    assert await emulator.content((await uploading).data_file_id) == DATA


async def test_a_named_pipe_whose_writer_wrote_nothing_is_empty(domo, emulator, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    uploading = asyncio.create_task(domo.upload(tmp_path / "pipe"))
    await asyncio.to_thread((tmp_path / "pipe").write_bytes, b"")
    assert (await uploading).size_bytes == 0


async def test_a_device_is_read_as_it_blocks(domo, emulator):
    ours, theirs = os.openpty()
    uploading = asyncio.create_task(domo.upload(os.ttyname(theirs), name="x"))
    os.write(ours, b"begun\n")
    await domo.upload("/dev/null", name="x")
    os.write(ours, b"ended\n\x04")
    assert await emulator.content((await uploading).data_file_id) == b"begun\nended\n"
    os.close(theirs)
    os.close(ours)


async def test_a_file_on_which_another_process_has_a_lease_is_waited_for(domo, emulator, path):
    with path.open("r+b") as file:
        loop = asyncio.get_running_loop()
        let_go = functools.partial(fcntl.fcntl, file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        loop.add_signal_handler(signal.SIGIO, let_go)
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            pytest.skip("this file system has no leases")
        result = await domo.upload(path)
        loop.remove_signal_handler(signal.SIGIO)
    assert await emulator.content(result.data_file_id) == DATA


async def test_a_silent_standard_input_keeps_no_process_from_its_end():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SILENT_STDIN,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert process.stdin
    try:
        async with asyncio.timeout(15):
            assert process.stderr
            said = await process.stderr.read()
            assert (await process.wait(), said) == (0, b"")
    finally:
        process.stdin.close()
        await process.wait()
