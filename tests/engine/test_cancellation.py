"""Cancelled, closed or given up while a server stands still; `tests/cancellation` has the rest."""

import asyncio
import gc
import os
import pathlib
import threading
from collections import Counter

import pytest

from domo_files_async import (
    DomoFilesSession,
    RetryPolicy,
    SessionStateError,
    StalledError,
    Timeouts,
    TransferConfig,
)
from domo_files_async.emulator import Emulator
from domo_files_async.events import Aborted, AbortFailed, SessionCreated

DATA = bytes(range(256)) * 20
QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def sockets_and_files():
    gc.collect()
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


def aborted_once(emulator):
    made = Counter()
    for request in emulator.requests:
        if request.operation == "abort_multipart_session":
            made[request.path] += 1
    return all(count == 1 for count in made.values())


async def test_a_cancel_in_mid_upload_leaves_nothing_behind(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(os.urandom(4_000_000))
    async with Emulator() as emulator:
        emulator.faults.add("upload_part", part=2, stall=60)
        before = sockets_and_files()
        async with emulator.session("ada", retry=QUICK, transfer=SMALL) as domo:
            sent = asyncio.Event()
            uploading = asyncio.create_task(
                domo.upload(path, name="x", part_size=100_000, progress=lambda _: sent.set())
            )
            await sent.wait()
            uploading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await uploading
    await settle()
    assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    assert sockets_and_files() <= before
    for thread in threading.enumerate():
        if thread.name.startswith("domo-files"):
            thread.join(5)
            assert not thread.is_alive()


async def test_a_stalled_part_is_cancelled_at_once_with_one_abort():
    async with Emulator() as emulator:
        emulator.faults.add("upload_part", part=2, stall=60)
        async with emulator.session("ada", retry=QUICK, transfer=SMALL) as domo:
            stalled = asyncio.Event()
            uploading = asyncio.create_task(
                domo.upload(
                    DATA,
                    name="x",
                    progress=lambda done: stalled.set() if done.parts_done == 5 else None,
                )
            )
            await stalled.wait()
            async with asyncio.timeout(2):
                uploading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await uploading
            assert not emulator.open_sessions
            assert aborted_once(emulator)


async def test_many_uploads_cancelled_at_once_open_few_connections_for_their_aborts():
    async with Emulator() as emulator:
        emulator.faults.add("upload_part", stall=60, times=4)
        emulator.faults.add("abort_multipart_session", stall=0.1, times=200)
        one_part = TransferConfig(multipart_threshold=0, max_concurrency=4, adaptive=False)
        async with emulator.session("ada", retry=QUICK, transfer=one_part) as domo:
            opened, all_open = Counter(), asyncio.Event()

            def count(event):
                opened[type(event)] += 1
                if opened[SessionCreated] == 200:
                    all_open.set()

            with domo.observing(count):
                uploads = [asyncio.create_task(domo.upload(DATA, name=f"x{n}")) for n in range(200)]
                await all_open.wait()
                for upload in uploads:
                    upload.cancel()
                await asyncio.wait(uploads)
        assert (opened[Aborted], opened[AbortFailed]) == (200, 0)
        assert not emulator.open_sessions
        assert emulator.max_in_flight <= 32 + 4


async def test_leaving_the_session_ends_what_was_not_awaited():
    async with Emulator() as emulator:
        emulator.faults.add("upload_part", part=2, stall=60)
        async with emulator.session("ada", retry=QUICK, transfer=SMALL) as domo:
            stalled = asyncio.Event()
            uploading = asyncio.create_task(
                domo.upload(
                    DATA,
                    name="x",
                    progress=lambda done: stalled.set() if done.parts_done == 5 else None,
                )
            )
            await stalled.wait()
        assert uploading.cancelled()
        assert not emulator.open_sessions
        with pytest.raises(SessionStateError):
            await domo.list_files()


async def test_a_server_that_stands_still_is_given_up_on():
    async with Emulator() as emulator:
        emulator.faults.add("upload_part", part=2, stall=60, times=2)
        policy = RetryPolicy(max_attempts=2, initial_backoff=0, max_backoff=0)
        async with emulator.session(
            "ada", retry=policy, transfer=SMALL, timeouts=Timeouts(stall=0.2)
        ) as domo:
            with pytest.raises(Exception, match="Part 2") as caught:
                await domo.upload(DATA, name="x")
        assert isinstance(caught.value.cause, StalledError)
        assert not emulator.open_sessions


def test_a_session_works_in_each_new_loop():
    async def once():
        async with Emulator() as emulator, emulator.session("ada") as domo:
            assert isinstance(domo, DomoFilesSession)
            return (await domo.upload(b"x", name="x")).size_bytes

    assert asyncio.run(once()) == asyncio.run(once()) == 1
