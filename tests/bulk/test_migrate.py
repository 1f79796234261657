"""From one emulator to another, and the proof of it."""

from __future__ import annotations

import csv
import json

import pytest

from domo_files_async import Grant, PermissionEntry, RetryPolicy, Surface, bulk
from domo_files_async.emulator import Emulator

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)


@pytest.fixture
async def other():
    async with Emulator() as running:
        yield running


@pytest.fixture(
    params=[(a, b) for a in Surface for b in Surface], ids=lambda p: f"{p[0].value}-{p[1].value}"
)
async def ends(request, emulator, other):
    there, here = request.param
    async with (
        emulator.session("ada", surface=there, retry=QUICK) as source,
        other.session("grace", surface=here, retry=QUICK) as target,
    ):
        yield source, target


async def fill(source, count=3):
    made = []
    for number in range(count):
        one = await source.upload(
            b"first %d" % number,
            name=f"file {number}&.csv",
            description=f"no. {number}",
            public=number == 1,
        )
        for turn in range(number):
            await source.upload_revision(
                one.data_file_id, b"%d of %d" % (turn, number), content_type=f"text/x-{turn}"
            )
        made.append(one.data_file_id)
    return made


async def contents(emulator):
    return {
        emulator._store.files[number].name: [
            (await emulator.content(number, one.id), one.content_type)
            for one in emulator._store.files[number].revisions
        ]
        for number in emulator.files
    }


async def test_names_revisions_types_descriptions_and_permissions_come_along(
    ends, emulator, other, job, tmp_path
):
    source, target = ends
    made = await fill(source)
    friend, stranger = emulator.user_id("bob"), emulator.user_id("eve")
    read = Grant.READ
    await source.grant_access(
        made[0], PermissionEntry("USER", friend, read), PermissionEntry("USER", stranger, read)
    )
    principals = {str(friend): str(other.user_id("robert"))}
    left = await bulk.migrate(
        source, target, job, principals=principals, revisions="all", settle=0, pass_delay=0
    )
    assert left == []
    assert await contents(other) == await contents(emulator)
    report = await job.report()
    report.write_id_map(tmp_path / "ids.csv")
    report.write_id_map(tmp_path / "ids.json")
    with (tmp_path / "ids.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert len(json.loads((tmp_path / "ids.json").read_text())) == 6
    new = {row["source"]: int(row["data_file_id"]) for row in rows}
    for number, old in enumerate(made):
        file = await target.get_file(new[f"domo-file:{old}"], expand=("metadata",))
        assert (file.name, file.metadata.description) == (f"file {number}&.csv", f"no. {number}")
        permissions = await target.get_permissions(file.data_file_id)
        assert permissions.public_access == (number == 1)
        granted = {one.entity_id for one in permissions.entries}
        assert (str(other.user_id("robert")) in granted) == (number == 0)
        assert str(stranger) not in granted
    assert [one async for one in bulk.verify(job, target)] == []
    before = len(other.requests)
    assert await bulk.migrate(source, target, job, revisions="all", principals=principals) == []
    assert len(other.requests) == before


async def test_the_current_revision_alone_can_be_moved(ends, emulator, other, job):
    source, target = ends
    made = await fill(source)
    assert await bulk.migrate(source, target, job, ids=made[1:]) == []
    assert [len(one) for one in other.files.values()] == [1, 1]
    there, here = await contents(emulator), await contents(other)
    assert all(here[name][-1] == there[name][-1] for name in here)


async def test_faults_on_both_sides_leave_no_difference(emulator, other, job):
    async with (
        emulator.session("ada", retry=QUICK) as source,
        other.session("ada", retry=QUICK) as target,
    ):
        await fill(source, 6)
        for number in range(2, 30, 4):
            other.faults.add("upload_file", nth=number, reset="after")
            other.faults.add("upload_revision", nth=number, reset="after")
            other.faults.add("upload_revision", nth=number + 1, status=503)
            emulator.faults.add("open_download", nth=number, truncate=True)
            emulator.faults.add("open_download", nth=number, status=503)
        left = await bulk.migrate(
            source, target, job, revisions="all", settle=0, pass_delay=0, passes=6
        )
        assert left == []
        assert await contents(other) == await contents(emulator)
        assert [one async for one in bulk.verify(job, target, thorough=True)] == []


async def test_a_missing_file_and_a_flipped_byte_are_found_in_one_request(
    ends, emulator, other, job
):
    source, target = ends
    await fill(source)
    await bulk.migrate(source, target, job, revisions="all")
    gone, flipped, _ = other.files
    await target.delete_revision(gone, other.files[gone][0])
    await target.upload_revision(flipped, b"0 of 2")
    before = len(other.requests)
    found = {(one.data_file_id, str(one.kind)) async for one in bulk.verify(job, target)}
    assert found == {(gone, "missing"), (flipped, "differs")}
    assert [one.operation for one in other.requests[before:]] == ["list_files"]


async def test_a_byte_that_rots_on_the_server_is_found_by_reading_it(
    emulator, product, job, do, folder
):
    await job.add(bulk.from_directory(folder))
    await do(job, product)
    assert [one async for one in bulk.verify(job, product)] == []
    emulator.faults.add("open_download", corrupt=True)
    (found,) = [one async for one in bulk.verify(job, product, thorough=True)]
    assert found.kind == "differs"
    assert "gives bytes with digest" in found.detail


async def test_a_source_that_was_changed_since_is_read_again_and_differs(product, job, do, folder):
    await job.add(bulk.from_directory(folder))
    await do(job, product)
    (folder / "part1" / "1.txt").write_bytes(b"file 9")
    (found,) = [one async for one in bulk.verify(job, product)]
    assert (str(found.kind), found.item.name) == ("differs", "part1/1.txt")
    assert "changed since" in found.detail


async def test_what_is_not_done_is_told_as_such(product, job, do, folder, emulator):
    emulator.faults.add("upload_file", status=400)
    await job.add(bulk.from_directory(folder))
    await do(job, product)
    (found,) = [one async for one in bulk.verify(job, product)]
    assert found.kind == "undone"


async def test_a_later_revision_there_is_added_here(emulator, other, job):
    async with emulator.session("ada") as source, other.session("ada") as target:
        (one,) = await fill(source, 1)
        await bulk.migrate(source, target, job, revisions="all")
        await source.upload_revision(one, b"later")
        await bulk.migrate(source, target, job, revisions="all")
        assert [len(revisions) for revisions in other.files.values()] == [2]
        assert [one async for one in bulk.verify(job, target)] == []
