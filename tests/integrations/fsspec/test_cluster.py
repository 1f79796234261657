"""Dask's workers in processes of their own, which get the credential from their environment."""

from __future__ import annotations

import os

import cloudpickle
import dask.dataframe
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from domo_files_async.fsspec import DomoFileSystem

WORKERS = 2
ROWS = pd.DataFrame({"order": range(1000), "total": [n * 0.5 for n in range(1000)]})


@pytest.fixture
def workers(tmp_path, emulator):
    """Start a cluster, as its operator would; give the numbers of its processes."""
    # What starts here inherits the environment; a worker elsewhere has it from its operator.
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            local_directory=str(tmp_path),
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(WORKERS)
        yield set(client.run(os.getpid).values())


def marked(rows):
    """Say in which process they are, and how many file systems it has."""
    here = len(DomoFileSystem._cache)
    return rows.assign(process=os.getpid(), file_systems=here)


# Dask calls pandas in a way that the newest one warns of.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_dasks_workers_read_and_write_for_themselves(domo, emulator, workers):
    dask.dataframe.from_pandas(ROWS, npartitions=4).to_csv("domo://orders/*.csv", index=False)
    assert len(domo.glob("orders/*.csv")) == 4
    seen = dask.dataframe.read_csv("domo://orders/*.csv").map_partitions(marked)
    assert emulator.credential("ada").encode() not in cloudpickle.dumps(seen)
    found = seen.compute().reset_index(drop=True)
    assert set(found["process"]) <= workers
    assert set(found["file_systems"]) == {1}
    pd.testing.assert_frame_equal(found[list(ROWS)], ROWS)
