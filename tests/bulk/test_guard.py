"""What tells a server that is down from a job that is wrong."""

from __future__ import annotations

import pytest

from domo_files_async import AuthenticationError, TransferError, bulk


@pytest.fixture
async def many(job, tmp_path):
    """Fill the job with more items than are looked back on."""
    for number in range(130):
        (tmp_path / f"{number}.x").write_bytes(b"%d" % number)
    await job.add(bulk.from_directory(tmp_path, pattern="*.x"))


async def test_a_server_that_answers_and_takes_nothing_ends_the_run(
    job, product, do, emulator, many
):
    emulator.faults.add("upload_file", status=429, times=None)
    with pytest.raises(TransferError, match="100% of the last 100 items failed"):
        await do(job, product, passes=9)
    assert (await job.status()).failed > 0
    # It was asked whether it is back, and said so; then nothing got through again.
    assert 2 <= sum(one.operation == "list_files" for one in emulator.requests) <= 3


async def test_a_credential_that_expires_while_the_server_is_down_is_what_is_said(
    job, product, do, emulator, many
):
    emulator.faults.add("upload_file", status=429, times=None)
    emulator.faults.add("list_files", nth=2, status=401, times=None)
    with pytest.raises(AuthenticationError, match="Check the credential"):
        await do(job, product)
    assert "401" in (await job.status()).ended_because


async def test_the_time_is_taken_from_an_answer_that_says_nothing_else(
    job, product, do, emulator, folder, stored, wanted
):
    emulator.faults.add("list_files", status=404)
    await job.add(bulk.from_directory(folder))
    await do(job, product)
    assert await stored() == wanted(folder)


async def test_a_parked_job_does_not_wait_for_a_server(job, product, do, emulator, many):
    emulator.faults.add("upload_file", status=429, times=None)
    outcomes = []
    run = job.run(product, pass_delay=0, settle=0, passes=1)
    async for one in run:
        outcomes.append(one)
        job.park()
    assert {str(one.status) for one in outcomes} <= {"failed"}
    assert (await job.status()).ended_because == "parked"
