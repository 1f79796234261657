"""pandas and Dask, as their users write it."""

import dask.dataframe
import pandas as pd
import pytest

ROWS = pd.DataFrame({"order": range(1000), "total": [n * 0.5 for n in range(1000)]})


class StopError(Exception):
    pass


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_pandas_reads_what_it_wrote_by_name_by_id_and_by_revision(domo, kind):
    write, read = getattr(ROWS, f"to_{kind}"), getattr(pd, f"read_{kind}")
    options = {"index": False} if kind in {"csv", "parquet"} else {}
    write(f"domo://orders.{kind}", **options)
    info = domo.info(f"orders.{kind}")
    number, revision = info["data_file_id"], info["revision_id"]
    for path in (f"orders.{kind}", f"{number}", f"{number}@{revision}"):
        pd.testing.assert_frame_equal(read(f"domo://{path}"), ROWS)


def test_pandas_publishes_nothing_of_a_table_that_it_cant_write(domo, emulator):
    class Bad:
        def __str__(self):
            raise StopError

    rows = pd.DataFrame({"value": [*range(200_000), Bad()]})
    with pytest.raises(StopError):
        rows.to_csv("domo://orders.csv")
    assert emulator.files == {}


# Dask calls pandas in a way that the newest one warns of.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_dask_reads_and_writes_in_parts(domo, scheduler):
    rows = dask.dataframe.from_pandas(ROWS, npartitions=4)
    with dask.config.set(scheduler=scheduler):
        rows.to_csv("domo://orders/*.csv", index=False)
        assert len(domo.glob("orders/*.csv")) == 4
        back = dask.dataframe.read_csv("domo://orders/*.csv").compute()
        rows.to_parquet("domo://table")
        table = dask.dataframe.read_parquet("domo://table").compute()
    for one in (back, table):
        pd.testing.assert_frame_equal(one.reset_index(drop=True), ROWS, check_dtype=False)
