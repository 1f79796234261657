"""What `verify` says of what isn't as it should be, and what is made sure of before a job ends."""

from __future__ import annotations

import os

import pytest

from domo_files_async import Grant, PermissionEntry, SessionStateError, bulk
from tests.arrivals import Arrivals


@pytest.fixture
async def done(job, product, do, folder):
    """Do a job of twelve files; give the data files' ids by name."""
    await job.add(bulk.from_directory(folder))
    return {one.item.name: one.data_file_id for one in await do(job, product)}


async def differences(job, domo, **options):
    return {
        (one.data_file_id, str(one.kind), one.detail)
        async for one in bulk.verify(job, domo, **options)
    }


async def test_each_way_in_which_a_server_may_have_something_else_is_told_apart(
    job, product, emulator, done
):
    renamed, resized, unproven = (
        emulator._store.files[done[name]] for name in ("part0/0.txt", "part1/1.txt", "part2/2.txt")
    )
    renamed.name = "other"
    resized.revisions[0].size += 1
    unproven.revisions[0].sha256 = unproven.revisions[0].md5 = ""
    found = await differences(job, product)
    assert {number: (kind, detail) for number, kind, detail in found} == {
        renamed.id: ("differs", "it is called 'other', not 'part0/0.txt'"),
        resized.id: ("differs", f"revision {resized.revisions[0].id} has 7 bytes, not 6"),
        unproven.id: (
            "unproven",
            f"revision {unproven.revisions[0].id} has the right size; no digest is known",
        ),
    }


async def test_a_source_that_is_gone_is_proven_by_what_was_sent(job, product, folder, done):
    for path in folder.rglob("*.txt"):
        path.unlink()
    assert await differences(job, product, thorough=True) == set()


async def test_a_later_revision_of_somebody_else_is_told(job, product, done):
    number = done["part0/0.txt"]
    await product.upload_revision(number, b"file 0")
    assert await differences(job, product) == set()
    await product.upload_revision(number, b"another")
    ((told, kind, detail),) = await differences(job, product)
    assert (told, kind) == (number, "differs")
    assert "has 7 bytes, not 6" in detail


async def test_grants_of_a_file_whose_answer_was_lost_are_set_once_it_is_found(
    job, product, do, emulator, tmp_path
):
    (tmp_path / "file").write_bytes(b"x")
    bob = PermissionEntry("USER", emulator.user_id("bob"), Grant.READ)
    await job.add([bulk.Item(source=os.fspath(tmp_path / "file"), name="file", grants=(bob,))])
    emulator.faults.add("upload_file", reset="after")
    (one,) = await do(job, product)
    assert str(one.status) == "uploaded"
    assert list(emulator.files) == [one.data_file_id]
    permissions = await product.get_permissions(one.data_file_id)
    assert bob.principal in {entry.principal for entry in permissions.entries}


async def test_a_job_runs_once_at_a_time(job, product, folder, do):
    await job.add(bulk.from_directory(folder))
    early = job.run(product)
    run = job.run(product)
    await anext(run)
    with pytest.raises(SessionStateError, match="runs already"):
        job.run(product)
    with pytest.raises(SessionStateError, match="runs already"):
        await anext(early)
    await run.aclose()
    job.park()  # nothing runs: nothing happens
    assert len(await do(job, product, settle=0.2)) == 12


async def test_a_run_that_is_left_while_a_large_file_is_under_way_goes_on_with_it(
    job, product, do, emulator, tmp_path
):
    with (tmp_path / "large").open("wb") as large:
        large.truncate(40_000_000)
    (tmp_path / "small").write_bytes(b"x")
    emulator.faults.add("upload_part", part=3, stall=600)
    emulator.requests = Arrivals()
    await job.add([bulk.Item(source=os.fspath(tmp_path / name)) for name in ("large", "small")])
    run = job.run(product)
    assert (await anext(run)).item.source.endswith("small")
    await emulator.requests.until("upload_part", 3)
    await run.aclose()
    outcomes = {str(one.status) for one in await do(job, product, settle=0.2)}
    assert outcomes == {"uploaded", "skipped"}
    assert not emulator.open_sessions
    # The first two parts were there, or the second was on its way.
    assert 4 <= emulator.requests.count("upload_part") <= 6
    assert emulator.requests.count("create_multipart_session") == 1
    assert len(emulator.files) == 2
