"""A job on a cluster of processes, counted on the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from domo_files_async import DomoFilesSession, PermissionEntry, bulk
from domo_files_async.dask import run_on_dask
from domo_files_async.emulator import Emulator
from domo_files_async.errors import InvalidArgumentError
from tests.dask.cluster import factory_for, stopped

BUDGET = 8
FAULTY = 20
"""One request in so many fails."""


@pytest.fixture
def count(request):
    return request.config.getoption("--cluster-files", default=100)


def files(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_bytes(b"file %d" % number)
    return folder


async def names_on(emulator):
    async with emulator.session("ada") as domo:
        return Counter(file.name for file in await domo.list_files())


def fail_often(emulator, count):
    """Have one upload in twenty refused, broken off, or its answer lost."""
    ways = ({"status": 503}, {"reset": "before"}, {"reset": "after"}, {"reset": "body"})
    for number, nth in enumerate(range(FAULTY, count, FAULTY)):
        emulator.faults.add("upload_file", nth=nth, **ways[number % len(ways)])


def as_seen(outcomes):
    """Give what an outcome says, but for what the server and the clock decide."""
    return {
        one.item.key: (one.status, one.size_bytes, one.sha256, one.failure, type(one.error))
        for one in outcomes
    }


async def requests_sampled(job):
    rows = await job.journal.look("SELECT figures FROM samples")
    return sum(json.loads(figures).get("requests", 0) for (figures,) in rows)


async def on_cluster(job, client, emulator, **options):
    given = {"concurrency": BUDGET, "settle": 0.5, "pass_delay": 0.05} | options
    async for one in run_on_dask(job, client, factory_for(emulator), **given):
        yield one


async def test_outcomes_are_those_of_one_machine(client, emulator, tmp_path, count):
    folder = files(tmp_path / "data", count)
    items = [
        *bulk.from_directory(folder),
        bulk.Item(source=str(tmp_path / "missing")),
        bulk.Item(source=str(folder / "1.txt"), data_file_id=987654),
        bulk.Item(
            source=str(folder / "2.txt"),
            name="granted",
            grants=[PermissionEntry("USER", "5", "READ")],
        ),
    ]
    async with Emulator() as other:
        fail_often(other, count)
        async with other.session("ada") as domo, bulk.Job(tmp_path / "one") as job:
            await job.add(items)
            running = job.run(domo, concurrency=BUDGET, settle=0.5, pass_delay=0.05)
            alone = [one async for one in running]
            requests_alone = await requests_sampled(job)
        names = await names_on(other)
    fail_often(emulator, count)
    async with bulk.Job(tmp_path / "job") as job:
        await job.add(items)
        together = [one async for one in on_cluster(job, client, emulator)]
        requests_together = await requests_sampled(job)
    assert len(alone) == len(together) == count + 3
    assert as_seen(together) == as_seen(alone)
    assert await names_on(emulator) == names
    assert set(names.values()) == {1}
    # What workers do is seen here as if it was done here.
    assert min(requests_alone, requests_together) >= count


async def test_workers_that_are_lost_make_no_file_twice(client, emulator, tmp_path, count):
    folder = files(tmp_path / "data", count)
    fail_often(emulator, count)
    emulator.faults.add("upload_file", stall=0.02, times=None)
    killed, paused, *_ = (await client.run(os.getpid)).values()
    outcomes = []
    async with contextlib.AsyncExitStack() as stack, bulk.Job(tmp_path / "job") as job:
        await job.add(bulk.from_directory(folder))
        async for one in on_cluster(job, client, emulator, lease=1):
            outcomes.append(one)
            if len(outcomes) == count // 5:
                os.kill(killed, signal.SIGKILL)
                await stack.enter_async_context(stopped(client, paused))
    statuses = Counter(one.status for one in outcomes)
    assert set(statuses) <= {"uploaded", "unknown"}
    assert len({one.item.source for one in outcomes}) == len(outcomes) == count
    found = await names_on(emulator)
    assert set(found.values()) == {1}
    assert {Path(one.item.source).name for one in outcomes if one.status == "uploaded"} <= set(
        found
    )
    assert emulator.max_in_flight <= BUDGET + 1


async def test_requests_in_flight_never_exceed_the_budget_while_workers_come_and_go(
    emulator, tmp_path
):
    folder = files(tmp_path / "data", 130)
    emulator.faults.add("upload_file", stall=0.15, times=None)
    budget, rate, seen, done = 12, 1_000_000, [], 0

    def rates(dask_worker):
        desks = [plugin.desk for plugin in dask_worker.plugins.values() if hasattr(plugin, "desk")]
        return sum(desk.rate for desk in desks)

    # Workers in this process come and go at once.
    async with (
        LocalCluster(
            n_workers=2,
            processes=False,
            asynchronous=True,
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path / "dask"),
        ) as cluster,
        Client(cluster, asynchronous=True) as client,
        bulk.Job(tmp_path / "job") as job,
    ):
        await job.add(bulk.from_directory(folder))
        async for one in on_cluster(
            job, client, emulator, concurrency=budget, bytes_per_second=rate, lease=1
        ):
            # On a machine that is busy enough, a worker that leaves may be late, too.
            assert one.status in {"uploaded", "unknown"}
            done += 1
            if done in {20, 80}:
                cluster.scale(4)
            elif done == 50:
                cluster.scale(1)
            elif done % 5 == 0:
                told = await client.run(rates, on_error="ignore")
                seen.append(sum(one for one in told.values() if isinstance(one, float)))
    assert done == 130
    assert set((await names_on(emulator)).values()) == {1}
    assert budget // 2 < emulator.max_in_flight <= budget
    assert 0 < max(seen) <= rate * 1.001


async def test_all_workers_heed_the_silence_that_one_was_asked_for(client, emulator, tmp_path):
    folder = files(tmp_path / "data", 80)
    emulator.faults.add("upload_file", nth=20, status=429, headers={"Retry-After": "1"})
    emulator.faults.add("upload_file", stall=0.02, times=None)
    async with bulk.Job(tmp_path / "job") as job:
        await job.add(bulk.from_directory(folder))
        outcomes = [one async for one in on_cluster(job, client, emulator)]
    assert Counter(one.status for one in outcomes) == {"uploaded": 80}
    carried = [one for one in emulator.requests if one.operation == "upload_file"]
    (refused,) = (one for one in carried if one.status == 429)
    meanwhile = [one for one in carried if refused.at < one.at < refused.at + 900]
    # What was under way, and what went before the word came round.
    assert len(meanwhile) <= 3 * BUDGET


async def test_a_credential_is_never_given_to_the_workers(client, emulator, tmp_path):
    auth = emulator.auth("ada")
    async with bulk.Job(tmp_path / "job") as job:
        with pytest.raises(InvalidArgumentError, match="holds a credential"):
            async for _ in run_on_dask(
                job, client, lambda: DomoFilesSession(emulator.url, auth=auth)
            ):
                pass


async def test_the_command_runs_a_job_on_a_cluster(cluster, client, emulator, tmp_path):
    folder = files(tmp_path / "data", 5)
    settings = {"DOMO_INSTANCE": emulator.url, "DOMO_ACCESS_TOKEN": emulator.credential("ada")}
    # The environment itself would be pickled, and its copy changed.
    await client.run(lambda: os.environ.update(settings))
    words = ("bulk", "run", tmp_path / "job", folder, "--dask", cluster.scheduler_address)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from domo_files_async.cli.app import main; main()"),
        *(*map(str, words), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **settings},
    )
    out, err = await child.communicate()
    assert child.returncode == 0, err
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["uploaded"] * 5
    assert await names_on(emulator) == {f"{number}.txt": 1 for number in range(5)}


async def test_nothing_of_a_run_stays_on_the_workers(client, emulator, tmp_path):
    folder = files(tmp_path / "data", 10)
    async with bulk.Job(tmp_path / "job") as job:
        await job.add(bulk.from_directory(folder))
        async for _ in on_cluster(job, client, emulator):
            pass

    def left(dask_worker):
        import threading  # noqa: PLC0415 - the function is pickled

        names = [one.name for one in threading.enumerate()]
        return [
            *(name for name in dask_worker.plugins if name.startswith("domo-files-")),
            *(name for name in names if name.startswith("domo-files-")),
        ]

    async with asyncio.timeout(15):
        # A thread that reads nothing any more ends by itself.
        while any((await client.run(left)).values()):
            await asyncio.sleep(0.05)
