"""Answers that are lost: each file is there once all the same."""

from __future__ import annotations

import asyncio

import pytest

from domo_files_async import TransferConfig, bulk
from tests.arrivals import Arrivals


async def test_what_was_made_though_its_answer_was_lost_is_found_and_not_sent_again(
    job, domo, folder, do, emulator, stored, wanted
):
    emulator.faults.add("upload_file", reset="after", times=5)
    await job.add(bulk.from_directory(folder))
    outcomes = await do(job, domo)
    assert [str(one.status) for one in outcomes] == ["uploaded"] * 12
    assert await stored() == wanted(folder)
    listed = [one for one in emulator.requests if one.operation == "list_files"]
    assert len(listed) == 3  # the time, one look for all five, and one at those alike


@pytest.mark.parametrize("fault", [{"reset": "before"}, {"reset": "body"}, {"status": 503}])
async def test_what_was_not_made_and_is_not_seen_in_time_is_sent_again(
    job, product, folder, do, emulator, stored, wanted, fault
):
    emulator.faults.add("upload_file", times=5, **fault)
    await job.add(bulk.from_directory(folder))
    outcomes = await do(job, product)
    assert [str(one.status) for one in outcomes] == ["uploaded"] * 12
    assert await stored() == wanted(folder)


async def test_what_shows_late_is_waited_for_and_not_sent_again(
    job, product, folder, do, emulator, stored, wanted
):
    emulator.behaviour.visibility_lag = 4
    emulator.faults.add("upload_file", reset="after", times=5)
    await job.add(bulk.from_directory(folder))
    outcomes = await do(job, product, settle=0.1)
    assert [str(one.status) for one in outcomes] == ["uploaded"] * 12
    assert await stored() == wanted(folder)


async def test_what_is_lost_in_every_pass_is_unknown_until_a_later_look_finds_it(
    job, product, folder, do, emulator, stored, wanted
):
    emulator.behaviour.visibility_lag = 1_000
    emulator.faults.add("upload_file", reset="after")
    await job.add(bulk.from_directory(folder))
    (lost,) = [one for one in await do(job, product, passes=0) if one.status != "uploaded"]
    assert (lost.status, lost.data_file_id) == ("unknown", None)
    assert "isn't known" in str(lost.error)
    emulator.behaviour.visibility_lag = 0
    for file in emulator._store.files.values():
        file.revisions[0].hidden_for = 0
    found = [one for one in await do(job, product) if one.status != "skipped"]
    assert [(str(one.status), one.item) for one in found] == [("uploaded", lost.item)]
    assert await stored() == wanted(folder)


async def test_traces_of_somebody_else_leave_an_item_unknown_until_a_person_resolves_it(
    job, product, do, emulator, tmp_path
):
    (tmp_path / "a").write_bytes(b"same")
    await job.add(bulk.from_directory(tmp_path, pattern="a"))
    emulator.faults.add("upload_file", reset="after")
    first = await do(job, product, passes=0)
    assert [str(one.status) for one in first] == ["uploaded"]
    await job.journal.write("UPDATE items SET state = 'started', data_file_id = NULL", ())
    other = await product.upload_file(b"same", name="a")
    (unknown,) = await do(job, product)
    assert unknown.status == "unknown"
    assert str(other) in str(unknown.error)
    assert len(emulator.files) == 2
    await job.resolve(str(tmp_path / "a"), data_file_id=other)
    (skipped,) = await do(job, product)
    assert (skipped.status, skipped.data_file_id) == ("skipped", other)


async def test_a_lost_answer_to_a_revision_is_found_among_the_revisions(
    job, domo, do, emulator, tmp_path
):
    there = await domo.upload_file(b"first", name="a")
    (tmp_path / "a").write_bytes(b"second")
    emulator.faults.add("upload_revision", reset="after")
    await job.add([bulk.Item(source=str(tmp_path / "a"), data_file_id=there)])
    (outcome,) = await do(job, domo)
    assert (outcome.status, outcome.data_file_id) == ("revised", there)
    assert emulator.files[there] == [emulator.files[there][0], outcome.revision_id]


async def test_a_large_file_of_the_same_name_and_size_is_not_taken_for_ours(
    job, product, do, emulator, tmp_path
):
    (tmp_path / "a").write_bytes(b"ours")
    await job.add([bulk.Item(source=tmp_path / "a")])
    (outcome,) = await do(job, product)
    # A large one isn't hashed before it goes.
    forgotten = "UPDATE items SET state = 'started', data_file_id = NULL, sha256 = NULL"
    await job.journal.write(forgotten, ())
    (outcome,) = await do(job, product, settle=0.1)
    assert (outcome.status, outcome.because) == ("uploaded", "found after it was interrupted")
    await job.journal.write(forgotten, ())
    await product.delete_file(outcome.data_file_id)
    other = await product.upload_file(b"else", name="a")
    (outcome,) = await do(job, product, settle=0.1)
    assert outcome.status == "uploaded"
    assert outcome.data_file_id != other
    assert await emulator.content(outcome.data_file_id) == b"ours"
    assert len(emulator.files) == 2


async def test_what_a_cut_list_does_not_show_is_not_taken_for_not_made(
    job, product, do, emulator, tmp_path
):
    for number in range(8):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    await product.upload_file(b"old", name="old")
    await job.add(bulk.from_directory(tmp_path, pattern="[0-6]"))
    await do(job, product)
    emulator.behaviour.most_listed = 1
    emulator.faults.add("upload_file", reset="after")
    await job.add([bulk.Item(source=tmp_path / "7")])
    (lost,) = [one for one in await do(job, product, settle=0.0) if one.status != "skipped"]
    assert lost.status == "unknown"
    assert len(emulator.files) == 9
    said = {one.item.source: one.detail async for one in bulk.verify(job, product)}
    assert [*said] == [str(tmp_path / "7")]
    emulator.behaviour.most_listed = None
    assert "unknown" not in {str(one.status) for one in await do(job, product)}
    assert len(emulator.files) == 9


async def test_a_clock_that_was_set_makes_nothing_twice(job, product, do, emulator, tmp_path):
    (tmp_path / "a").write_bytes(b"late")
    await job.add([bulk.Item(source=tmp_path / "a")])
    (outcome,) = await do(job, product)
    await job.journal.write("UPDATE items SET state = 'started', data_file_id = NULL", ())
    await job.journal.write("UPDATE runs SET alive = alive - 3600", ())
    revision = emulator._store.files[outcome.data_file_id].revisions[0]
    revision.hidden_for = 1_000
    # Looks without waits would be over long before.
    asyncio.get_running_loop().call_later(0.1, setattr, revision, "hidden_for", 0)
    (again,) = await do(job, product, settle=1.0)
    assert again.data_file_id == outcome.data_file_id


@pytest.fixture
async def twins(job, product, do, tmp_path, emulator):
    """Give two items that leave the same: one is done, the other was being sent at a kill."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    await job.add([bulk.Item(source=str(tmp_path / "a"), name="x")])
    await do(job, product)
    await job.add([bulk.Item(source=str(tmp_path / "b"), name="x")])
    await job.journal.write(
        "UPDATE items SET state = 'started', sent_size = 4, sha256 = (SELECT sha256 FROM items "
        "WHERE number = 1), began = (SELECT began FROM items WHERE number = 1) WHERE number = 2",
        (),
    )
    assert len(emulator.files) == 1
    emulator.requests.clear()


@pytest.mark.usefixtures("twins")
async def test_what_another_item_made_is_no_trace_of_its_twin(job, product, do, emulator):
    assert sorted(str(one.status) for one in await do(job, product)) == ["skipped", "uploaded"]
    assert len(emulator.files) == 2


@pytest.mark.usefixtures("twins")
async def test_nothing_is_sent_that_would_look_like_what_is_looked_for(
    job, product, do, emulator, tmp_path
):
    (tmp_path / "c").write_bytes(b"same")
    await job.add([bulk.Item(source=str(tmp_path / "c"), name="x")])
    await do(job, product, settle=0.2)
    told = [one.operation for one in emulator.requests if one.operation != "get_current_user"]
    assert told == ["list_files"] * 7 + ["upload_file"] * 2
    assert len(emulator.files) == 3


async def test_what_was_made_in_parts_gets_its_access_though_the_run_ended_before(
    job, emulator, do, tmp_path
):
    (tmp_path / "kept.bin").write_bytes(bytes(100))
    await job.add([bulk.Item(source=tmp_path / "kept.bin")])
    emulator.requests = Arrivals()
    emulator.faults.add("update_permissions", stall=60)
    transfer = TransferConfig(multipart_threshold=10)
    async with emulator.session("ada", transfer=transfer) as domo:
        run = job.run(domo)
        first = asyncio.ensure_future(anext(run))
        await emulator.requests.until("update_permissions")
        first.cancel()
        await asyncio.wait({first})
        (outcome,) = await do(job, domo)
        assert outcome.status == "uploaded"
        assert not (await domo.get_permissions(outcome.data_file_id)).public_access
    assert len(emulator.files) == 1
