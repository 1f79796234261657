"""A job in a process of its own, killed and run again: each file exactly once on the server."""

from __future__ import annotations

import asyncio
import os
import random
import sys

import pytest

from domo_files_async import DeveloperToken, DomoFilesSession, bulk

CHILD = """
import asyncio, sys
from domo_files_async import DeveloperToken, DomoFilesSession, TransferConfig, bulk

async def main(url, token, folder, path, settle):
    async with DomoFilesSession(url, auth=DeveloperToken(token)) as domo, bulk.Job(path) as job:
        adding = asyncio.create_task(job.add(bulk.from_directory(folder)))
        async for outcome in job.run(domo, settle=float(settle), concurrency=8):
            if outcome.status in {"failed", "unknown"}:
                print(outcome)
        await adding

asyncio.run(main(*sys.argv[1:]))
"""


class Counted(list):
    """Requests, and an event for when so many came."""

    def __init__(self):
        super().__init__()
        self.awaited = None
        self.came = asyncio.Event()

    def append(self, request):
        super().append(request)
        if self.awaited is not None and len(self) >= self.awaited:
            self.came.set()

    def wait_for(self, more):
        self.awaited = len(self) + more
        self.came.clear()


async def start(*words):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture
def many(tmp_path):
    made = tmp_path / "many"
    made.mkdir()
    for number in range(int(os.environ.get("DOMO_FILES_KILL_FILES", "60"))):
        (made / f"{number}.bin").write_bytes(os.urandom(number % 7 * 10))
    with (made / "large.bin").open("wb") as large:
        large.write(b"large")
        large.truncate(40_000_000)
    return made


@pytest.mark.timeout(600)
async def test_a_job_that_is_killed_and_run_again_uploads_each_file_once(
    emulator, many, path, stored, wanted
):
    chance = random.Random(os.environ.get("DOMO_FILES_KILL_SEED"))  # noqa: S311 - no secret
    emulator.requests = Counted()
    files = len(wanted(many))
    kills = int(os.environ.get("DOMO_FILES_KILLS", "3"))
    words = (emulator.url, emulator.credential("ada"), many, path, 0.5)
    for _ in range(kills):
        emulator.requests.wait_for(chance.randint(1, max(2, 2 * files // kills)))
        child = await start(*words)
        came = asyncio.create_task(emulator.requests.came.wait())
        ended = asyncio.create_task(child.wait())
        await asyncio.wait({came, ended}, return_when=asyncio.FIRST_COMPLETED)
        came.cancel()
        if child.returncode is None:
            child.kill()
        await ended
        await child.communicate()
    child = await start(*words)
    out, err = await child.communicate()
    assert (child.returncode, out, err) == (0, b"", b"")
    assert await stored() == wanted(many)
    # What a killed process had open went on where it was, and was not begun anew.
    assert not emulator.open_sessions
    auth = DeveloperToken(emulator.credential("ada"))
    async with bulk.Job(path) as job, DomoFilesSession(emulator.url, auth=auth) as domo:
        before = len(emulator.requests)
        again = [outcome async for outcome in job.run(domo)]
        assert [str(one.status) for one in again] == ["skipped"] * files
        assert len(emulator.requests) == before
        status = await job.status()
    assert (status.done, status.unknown, status.failed) == (files, 0, 0)
