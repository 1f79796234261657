"""Access that can't be set leaves the file where it is; what is left to do is the access alone."""

from __future__ import annotations

import os

import pytest

from domo_files_async import Grant, PermissionEntry, bulk


def operations(emulator, before):
    return [one.operation for one in emulator.requests[before:]]


@pytest.mark.parametrize("size", [3, 300_000, 20_000_000], ids=["small", "read again", "large"])
async def test_grants_that_were_refused_are_set_by_the_next_run(
    product, emulator, job, do, tmp_path, size
):
    (tmp_path / "file").write_bytes(os.urandom(size))
    friend = PermissionEntry("USER", emulator.user_id("bob"), Grant.READ)
    source = os.fspath(tmp_path / "file")
    await job.add([bulk.Item(source=source, name="file", public=True, grants=(friend,))])
    emulator.faults.add("update_permissions", status=403, times=None)
    (failed,) = await do(job, product)
    assert (str(failed.status), failed.data_file_id) == ("failed", *emulator.files)
    emulator.faults.clear()
    before = len(emulator.requests)
    (done,) = await do(job, product)
    assert str(done.status) == "uploaded"
    assert set(operations(emulator, before)) <= {"get_permissions", "update_permissions"}
    permissions = await product.get_permissions(done.data_file_id)
    assert permissions.public_access
    assert friend.principal in {one.principal for one in permissions.entries}
    assert len(emulator.files) == 1


@pytest.mark.parametrize("size", [3, 20_000_000], ids=["small", "large"])
async def test_what_is_sent_counts_once_though_its_grants_are_set_afterwards(
    product, emulator, job, do, tmp_path, size
):
    (tmp_path / "file").write_bytes(os.urandom(size))
    friend = PermissionEntry("USER", emulator.user_id("bob"), Grant.READ)
    await job.add([bulk.Item(source=os.fspath(tmp_path / "file"), grants=(friend,))])
    (done,) = await do(job, product)
    (skipped,) = await do(job, product)
    sent = [one for one in emulator.requests if one.operation in {"upload_file", "upload_part"}]
    assert (done.attempts, skipped.attempts) == (len(sent), len(sent))
    (tmp_path / "file").write_bytes(b"another")
    await job.add([bulk.Item(source=os.fspath(tmp_path / "file"), grants=(friend,))])
    (revised,) = await do(job, product)
    (skipped,) = await do(job, product)
    assert (revised.attempts, skipped.attempts) == (1, len(sent) + 1)


async def test_a_revision_keeps_the_access_unless_another_was_asked_for(
    product, emulator, job, do, tmp_path
):
    (tmp_path / "file").write_bytes(b"new")
    made = await product.upload(b"old", name="kept", public=True)
    source = os.fspath(tmp_path / "file")
    await job.add([bulk.Item(source=source, data_file_id=made.data_file_id)])
    (done,) = await do(job, product)
    assert (str(done.status), done.data_file_id) == ("revised", made.data_file_id)
    assert (await product.get_permissions(made.data_file_id)).public_access
    assert (await product.get_file(made.data_file_id)).name == "kept"


async def test_what_is_no_file_is_streamed_and_what_cannot_be_read_fails_alone(
    product, emulator, job, do, tmp_path
):
    await job.add(
        [
            bulk.Item(source="/proc/self/mounts", name="the system's own"),
            bulk.Item(source=os.fspath(tmp_path), name="a folder"),
            bulk.Item(source=os.fspath(tmp_path / "none")),
        ]
    )
    done = {one.item.source: str(one.status) for one in await do(job, product)}
    assert done == {
        "/proc/self/mounts": "uploaded",
        os.fspath(tmp_path): "failed",
        os.fspath(tmp_path / "none"): "failed",
    }
    (number,) = emulator.files
    assert await emulator.content(number)


async def test_a_file_of_another_instance_needs_its_session(product, job, do):
    await job.add([bulk.Item(source="domo-file:7", name="x")])
    (failed,) = await do(job, product)
    assert (str(failed.status), "another instance" in str(failed.error)) == ("failed", True)


async def test_what_was_deleted_or_read_wrongly_since_is_found(product, emulator, job, do, folder):
    await job.add(bulk.from_directory(folder))
    await do(job, product)
    emulator.faults.add("open_download", status=403)
    (unread,) = [one async for one in bulk.verify(job, product, thorough=True)]
    assert "can't be read" in unread.detail
    renamed = await product.list_files()
    await product.delete_file(renamed[0].data_file_id)
    for one in folder.rglob("*.txt"):
        one.unlink()
    (gone,) = [one async for one in bulk.verify(job, product)]
    assert (str(gone.kind), gone.data_file_id) == ("missing", renamed[0].data_file_id)
