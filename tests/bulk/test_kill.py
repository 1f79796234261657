"""A job in a process of its own, killed and run again: each file exactly once on the server."""

from __future__ import annotations

import asyncio
import os
import random
import sys

import pytest

from domo_files_async import DeveloperToken, DomoFilesSession, bulk
from domo_files_async.emulator import Emulator
from tests.arrivals import Arrivals

UPLOADS = """
import asyncio, sys
from domo_files_async import DeveloperToken, DomoFilesSession, TransferConfig, bulk

async def main(url, token, folder, path, settle, threshold):
    transfer = TransferConfig(multipart_threshold=int(threshold))
    auth = DeveloperToken(token)
    async with DomoFilesSession(url, auth=auth, transfer=transfer) as domo, bulk.Job(path) as job:
        adding = asyncio.create_task(job.add(bulk.from_directory(folder)))
        async for outcome in job.run(domo, settle=float(settle), concurrency=8):
            if outcome.status in {"failed", "unknown"}:
                print(outcome)
        await adding

asyncio.run(main(*sys.argv[1:]))
"""
MIGRATES = """
import asyncio, sys
from domo_files_async import DeveloperToken, DomoFilesSession, bulk

async def main(there, token, here, other, path, settle):
    async with (
        DomoFilesSession(there, auth=DeveloperToken(token)) as source,
        DomoFilesSession(here, auth=DeveloperToken(other)) as target,
        bulk.Job(path) as job,
    ):
        for one in await bulk.migrate(
            source, target, job, revisions="all", settle=float(settle), concurrency=4
        ):
            print(one)

asyncio.run(main(*sys.argv[1:]))
"""
KILLS = int(os.environ.get("DOMO_FILES_KILLS", "3"))
SETTLE = 0.5


async def start(*words):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def killed_and_run_again(emulator, most, *words):
    """Run a program, kill it at some request before *most* came, and again; then let it end."""
    chance = random.Random(os.environ.get("DOMO_FILES_KILL_SEED"))  # noqa: S311 - no secret
    emulator.requests = Arrivals()
    for _ in range(KILLS):
        enough = len(emulator.requests) + chance.randint(1, most)
        child = await start(*words)
        came = asyncio.create_task(emulator.requests.until("*", enough))
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
@pytest.mark.parametrize("threshold", [16 * 1024 * 1024, 20])
async def test_a_job_that_is_killed_and_run_again_uploads_each_file_once(
    emulator, many, path, stored, wanted, threshold
):
    files = len(wanted(many))
    words = (UPLOADS, emulator.url, emulator.credential("ada"), many, path, SETTLE, threshold)
    await killed_and_run_again(emulator, max(2, 2 * files // KILLS), *words)
    assert await stored() == wanted(many)
    # What a killed process had open went on where it was, and was not begun anew. One whose id
    # it was never told stays, empty.
    sent = [str(one) for one in emulator.requests if one.operation == "upload_part"]
    assert not [one for one in emulator.open_sessions if any(one in part for part in sent)]
    auth = DeveloperToken(emulator.credential("ada"))
    async with bulk.Job(path) as job, DomoFilesSession(emulator.url, auth=auth) as domo:
        before = len(emulator.requests)
        again = [outcome async for outcome in job.run(domo)]
        assert [str(one.status) for one in again] == ["skipped"] * files
        assert len(emulator.requests) == before
        status = await job.status()
    assert (status.done, status.unknown, status.failed) == (files, 0, 0)


@pytest.mark.timeout(600)
async def test_a_migration_that_is_killed_and_run_again_moves_each_revision_once(emulator, path):
    files = int(os.environ.get("DOMO_FILES_KILL_FILES", "60")) // 4
    async with Emulator() as other, emulator.session("ada") as source:
        for number in range(files):
            one = await source.upload(b"first %d" % number, name=f"{number}.txt")
            for turn in range(number % 4):
                await source.upload_revision(one.data_file_id, b"%d of %d" % (turn, number))
        # It is streamed, in several requests, and killed in mid-body, too.
        await source.upload(bytes(300_000), name="large")
        words = (
            *(MIGRATES, emulator.url, emulator.credential("ada")),
            *(other.url, other.credential("grace"), path, SETTLE),
        )
        await killed_and_run_again(other, max(2, 8 * files // KILLS), *words)
        assert await everything(other) == await everything(emulator)
        async with bulk.Job(path) as job, other.session("grace") as target:
            assert [one async for one in bulk.verify(job, target, thorough=True)] == []
            before = len(other.requests)
            assert await bulk.migrate(source, target, job, revisions="all") == []
            assert len(other.requests) == before


async def everything(emulator):
    """Give what is on a server: name and content of all revisions of each file."""
    return sorted(
        [
            [
                emulator._store.files[number].name,
                *[await emulator.content(number, one) for one in revisions],
            ]
            for number, revisions in emulator.files.items()
        ],
        key=repr,
    )
