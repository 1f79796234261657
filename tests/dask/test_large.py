"""Large files on a cluster: several workers send the parts of one, and it is committed once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from collections import Counter

import pytest

from domo_files_async import bulk
from domo_files_async.config import MIB
from domo_files_async.dask import run_on_dask
from domo_files_async.emulator import Emulator
from tests.dask.cluster import WORKERS, factory_for, stopped

PART = 1536 * 1024


@pytest.fixture
def large(tmp_path, request):
    """Make a file whose blocks differ; a very large one is sparse, but for some of them."""
    size = request.config.getoption("--cluster-size", default=18) * MIB
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        for offset in range(0, size, max(MIB, size // 64)):
            file.seek(offset)
            file.write(offset.to_bytes(8) * 1000)
        file.truncate(size)
    return path


def digest_of(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def part_size_for(path):
    return max(PART, path.stat().st_size // 256)


async def run(job, client, emulator, path, **options):
    given = {"concurrency": 8, "settle": 0.5, "pass_delay": 0.05, "lease": 1} | options
    factory = factory_for(emulator, part_size=part_size_for(path))
    return [one async for one in run_on_dask(job, client, factory, **given)]


def sent(emulator, operation):
    return [one for one in emulator.requests if one.operation == operation]


async def check_stored(emulator, path, name="large.bin"):
    """Compare what the server has with the file: one of that name, of one revision."""
    async with emulator.session("ada") as domo:
        (file,) = [one for one in await domo.list_files() if one.name == name]
        details = await domo.get_file(file.data_file_id, expand=("revisions",))
    assert len(emulator.files[file.data_file_id]) == 1
    assert details.current_revision.size_bytes == path.stat().st_size
    stored = details.current_revision.sha256_hash_value.lower()
    assert stored == await asyncio.to_thread(digest_of, path)
    assert emulator.open_sessions == []


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("way", ["path", "url"])
async def test_several_workers_send_the_parts_of_one_file(way, client, tmp_path, large):
    folder = tmp_path / "server"
    async with Emulator(folder) as emulator, bulk.Job(tmp_path / "job") as job:
        items = [bulk.Item(source=str(large))]
        if way == "url":
            items = bulk.from_urls(large.as_uri())
        await job.add(items)
        (outcome,) = await run(job, client, emulator, large, lease=10)
        assert outcome.status == "uploaded", outcome
        parts = sent(emulator, "upload_part")
        count = -(-large.stat().st_size // part_size_for(large))
        assert sorted(int(one.path.rpartition("/")[2]) for one in parts) == [*range(1, count + 1)]
        assert len({one.headers["User-Agent"] for one in parts}) == WORKERS
        assert len(sent(emulator, "create_multipart_session")) == 1
        assert len(sent(emulator, "commit_multipart_session")) == 1
        assert emulator.max_in_flight <= 8
        await check_stored(emulator, large)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
async def test_a_worker_that_is_lost_in_the_middle_leaves_one_commit(
    sign, client, emulator, tmp_path, large
):
    emulator.faults.add("upload_part", part=5, stall=30)
    async with contextlib.AsyncExitStack() as stack, bulk.Job(tmp_path / "job") as job:
        await job.add([bulk.Item(source=str(large))])
        running = asyncio.create_task(run(job, client, emulator, large))
        lost = await process_of_part(emulator, 5)
        if sign == signal.SIGKILL:
            os.kill(lost, sign)
        else:
            await stack.enter_async_context(stopped(client, lost))
        (outcome,) = await running
    # One that was paused is awake again.
    assert outcome.status == "uploaded", outcome
    sessions = Counter(one.path.split("/")[-3] for one in sent(emulator, "upload_part"))
    assert len(sessions) == 1
    assert len(sent(emulator, "commit_multipart_session")) == 1
    await check_stored(emulator, large)


async def process_of_part(emulator, index):
    """Wait until a part arrives; give the process that sends it."""
    async with asyncio.timeout(15):
        while True:
            for one in sent(emulator, "upload_part"):
                if one.path.endswith(f"/{index}"):
                    return int(one.headers["User-Agent"].split()[1])
            await asyncio.sleep(0.01)


async def test_a_worker_that_wakes_up_commits_nothing(client, emulator, tmp_path):
    async with emulator.session("ada") as domo:
        data_file_id = await domo.upload_file(b"before", name="small.txt")
    source = tmp_path / "small.txt"
    source.write_bytes(b"after")
    # A description goes along only with a multipart session; and a part of 5 bytes is one worker's.
    item = bulk.Item(source=str(source), description="new", data_file_id=data_file_id)
    emulator.faults.add("upload_part", stall=1)
    async with bulk.Job(tmp_path / "job") as job:
        await job.add([item])
        running = asyncio.create_task(run(job, client, emulator, source, settle=2))
        async with stopped(client, await process_of_part(emulator, 1)):
            async with asyncio.timeout(15):
                while (await job.status()).unknown == 0:
                    await asyncio.sleep(0.01)
        (outcome,) = await running
        assert outcome.status == "unknown"
        assert len(emulator.files[data_file_id]) == 1
        assert sent(emulator, "commit_multipart_session") == []
        # No later run sends it again, until somebody says that it may.
        (outcome,) = await run(job, client, emulator, source, settle=0)
        assert outcome.status == "unknown"
        async with emulator.session("ada") as domo:
            (outcome,) = [one async for one in job.run(domo, settle=0)]
        assert outcome.status == "unknown"
        await job.resolve(str(source), data_file_id=None)
        (outcome,) = await run(job, client, emulator, source, settle=0)
        assert outcome.status == "revised"
    assert len(emulator.files[data_file_id]) == 2


async def test_a_source_that_changes_is_not_committed(client, emulator, tmp_path, large):
    emulator.faults.add("upload_part", part=1, stall=0.3)
    async with bulk.Job(tmp_path / "job") as job:
        await job.add([bulk.Item(source=str(large))])
        running = asyncio.create_task(run(job, client, emulator, large, passes=1))
        await process_of_part(emulator, 1)
        os.utime(large, ns=(1, 1))
        (outcome,) = await running
    assert outcome.status == "failed"
    assert "isn't" in str(outcome.error) or "changed" in str(outcome.error)
    assert sent(emulator, "commit_multipart_session") == []
    assert emulator.open_sessions == []
