"""A cluster of four processes."""

from __future__ import annotations

import pytest
from distributed import Client, LocalCluster

from domo_files_async.emulator import Emulator
from tests.dask.cluster import WORKERS


def pytest_addoption(parser):
    parser.addoption("--cluster-size", type=int, default=18, help="MiB of the large file")
    parser.addoption("--cluster-files", type=int, default=100, help="files of a job")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with LocalCluster(
        n_workers=WORKERS,
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
        await made.wait_for_workers(WORKERS)
        yield made


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running
