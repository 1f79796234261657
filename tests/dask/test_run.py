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

from domo_files_async import DeveloperToken, DomoFilesSession, RetryPolicy, bulk
from domo_files_async.dask import run_on_dask
from domo_files_async.emulator import Emulator
from domo_files_async.errors import InvalidArgumentError

BUDGET = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
        silence_logs=50,
    ) as made:
        yield made


@pytest.fixture
async def client(cluster):
    async with Client(cluster.scheduler_address, asynchronous=True) as made:
        await made.wait_for_workers(2)
        yield made


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture
def factory(emulator):
    url, token = emulator.url, emulator.credential("ada")

    def make():
        return DomoFilesSession(
            url,
            auth=DeveloperToken(token),
            retry=RetryPolicy(initial_backoff=0.001, max_backoff=0.01),
        )

    return make


def files(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_bytes(b"file %d" % number)
    return folder


async def names_on(emulator):
    async with emulator.session("ada") as domo:
        return Counter(file.name for file in await domo.list_files())


async def test_all_files_arrive_once_within_the_budget(client, emulator, factory, tmp_path):
    folder = files(tmp_path / "data", 150)
    emulator.faults.add("upload_file", status=503, times=5)
    async with bulk.Job(tmp_path / "job") as job:
        await job.add(bulk.from_directory(folder))
        outcomes = [
            one
            async for one in run_on_dask(
                job, client, factory, concurrency=BUDGET, settle=0.5, pass_delay=0.1
            )
        ]
        report = (await job.status()).done
    assert Counter(one.status for one in outcomes) == {"uploaded": 150}
    assert report == 150
    assert await names_on(emulator) == {f"{number}.txt": 1 for number in range(150)}
    assert emulator.max_in_flight <= BUDGET


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
async def test_a_worker_that_is_lost_makes_no_file_twice(sign, client, emulator, factory, tmp_path):
    folder = files(tmp_path / "data", 120)
    emulator.faults.add("upload_file", stall=0.02, times=1000)
    pid = next(iter((await client.run(os.getpid)).values()))
    outcomes = []
    try:
        async with bulk.Job(tmp_path / "job") as job:
            await job.add(bulk.from_directory(folder))
            async for one in run_on_dask(
                job, client, factory, concurrency=BUDGET, settle=0.5, lease=1, pass_delay=0.1
            ):
                outcomes.append(one)
                if len(outcomes) == 20:
                    os.kill(pid, sign)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    statuses = Counter(one.status for one in outcomes)
    assert set(statuses) <= {"uploaded", "unknown"}
    assert sum(statuses.values()) == 120
    # One that was paused in the middle of a request goes on with it.
    await asyncio.sleep(0.5)
    found = await names_on(emulator)
    assert set(found.values()) == {1}
    assert {
        one.item.name or Path(one.item.source).name for one in outcomes if one.status == "uploaded"
    } <= set(found)
    assert emulator.max_in_flight <= BUDGET + 1


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
