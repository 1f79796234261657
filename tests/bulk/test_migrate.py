"""From one emulator to another, and the proof of it."""

from __future__ import annotations

import csv
import json
import random

import pytest

from domo_files_async import (
    Grant,
    InvalidArgumentError,
    PermissionEntry,
    RetryPolicy,
    Surface,
    bulk,
)
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


async def test_a_missing_file_and_a_flipped_byte_are_found_in_a_request_and_one_for_what_is_missing(
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
    assert [one.operation for one in other.requests[before:]] == ["list_files", "get_file"]


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


async def test_a_data_file_that_was_renamed_there_is_renamed_here_and_not_made_again(
    emulator, other, job
):
    async with emulator.session("ada") as source, other.session("ada") as target:
        (one,) = await fill(source, 1)
        await bulk.migrate(source, target, job, revisions="all")
        await source.upload(b"later", name="renamed.csv", data_file_id=one)
        await bulk.migrate(source, target, job, revisions="all")
        assert await contents(other) == await contents(emulator)
        assert (await job.status()).items == 1
        assert [one async for one in bulk.verify(job, target)] == []


async def test_an_id_that_is_not_there_fails_alone_and_is_moved_once_it_is(emulator, other, job):
    async with emulator.session("ada") as source, other.session("ada") as target:
        await fill(source, 2)
        made = [one.data_file_id for one in await source.list_files()]
        missing = max(made) + 1
        (left,) = await bulk.migrate(source, target, job, ids=[*made, missing, missing])
        assert (left.status, left.failure) == ("failed", "person")
        assert (left.item.source, left.error.status) == (f"domo-file:{missing}", 404)
        assert len(other.files) == 2
        assert (await source.upload_file(b"late", name="late")) == missing
        assert await bulk.migrate(source, target, job, ids=[missing]) == []
        assert len(other.files) == 3


async def test_what_was_moved_and_is_gone_there_since_stays_as_it_is(emulator, other, job):
    async with emulator.session("ada") as source, other.session("ada") as target:
        (one,) = await fill(source, 1)
        await bulk.migrate(source, target, job)
        await source.delete_file(one)
        before = len(other.requests)
        assert await bulk.migrate(source, target, job, ids=[one]) == []
        assert len(other.requests) == before


async def test_principals_may_be_numbers_and_what_maps_nothing_is_refused(emulator, other, job):
    async with emulator.session("ada") as source, other.session("ada") as target:
        (one,) = await fill(source, 1)
        bob, robert = emulator.user_id("bob"), other.user_id("robert")
        await source.grant_access(one, PermissionEntry("USER", bob, Grant.READ))
        with pytest.raises(InvalidArgumentError, match="principals"):
            await bulk.migrate(source, target, job, principals=["bob"])
        assert (await job.status()).items == 0
        await bulk.migrate(source, target, job, principals={bob: robert})
        (number,) = other.files
        granted = {one.entity_id for one in (await target.get_permissions(number)).entries}
        assert str(robert) in granted


async def test_what_was_run_without_its_source_is_moved_once_the_source_is_given(
    emulator, other, job, do, path
):
    async with emulator.session("ada") as source, other.session("ada") as target:
        await fill(source, 2)
        await job.add(bulk.from_session(source))
        async with bulk.Job(path) as again:
            left = await do(again, target)
            assert {(one.status, one.failure) for one in left} == {("failed", "person")}
            assert "as source" in str(left[0].error)
        assert await bulk.migrate(source, target, job) == []
        assert len(other.files) == 2


async def test_the_map_of_ids_has_the_first_revision_too(emulator, other, job, tmp_path):
    async with emulator.session("ada") as source, other.session("ada") as target:
        await fill(source)
        await bulk.migrate(source, target, job, revisions="all")
    (await job.report()).write_id_map(tmp_path / "ids.csv")
    with (tmp_path / "ids.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = [one.id for number in other.files for one in other._store.files[number].revisions]
    assert sorted(int(row["revision_id"]) for row in rows) == sorted(made)


SILENT = ({"status": 503}, {"status": 429}, {"reset": "before"})
CUT = (*SILENT, {"truncate": True}, {"reset": "body"})
LOST = (*SILENT, {"reset": "after"}, {"reset": "body"})


def one_in_twenty(chance, there, here):
    """Let 5 % of all requests of both servers go wrong, in one way or another."""
    for emulator, faults in (
        (there, {"get_file": SILENT, "get_permissions": SILENT, "open_download": CUT}),
        (here, {"upload_file": LOST, "upload_revision": LOST, "update_permissions": LOST}),
    ):
        for operation, ways in faults.items():
            for number in range(1, 100):
                if chance.random() < 0.05:
                    emulator.faults.add(operation, nth=number, **chance.choice(ways))


async def test_a_weekend_of_faults_leaves_no_difference_and_what_is_planted_is_found(
    emulator, job, tmp_path
):
    chance = random.Random(7)  # noqa: S311 - no secret
    async with (
        Emulator(tmp_path / "there") as here,
        emulator.session("ada", retry=QUICK) as source,
        here.session("grace", retry=QUICK) as target,
    ):
        for number, old in enumerate(await fill(source, 12)):
            if number % 2:
                entry = PermissionEntry("USER", emulator.user_id("bob"), Grant.READ | Grant.WRITE)
                await source.grant_access(old, entry)
        one_in_twenty(chance, emulator, here)
        assert len([*emulator.faults.pending, *here.faults.pending]) > 20
        left = await bulk.migrate(
            source,
            target,
            job,
            principals={str(emulator.user_id("bob")): str(here.user_id("robert"))},
            revisions="all",
            settle=0,
            pass_delay=0,
            passes=6,
        )
        met = [one for one in (*emulator.requests, *here.requests) if one.status != 200]
        assert len(met) > 10
        assert left == []
        assert await contents(here) == await contents(emulator)
        robert = str(here.user_id("robert"))
        for file in await target.list_files():
            permissions = await target.get_permissions(file.data_file_id)
            number = int(file.name.removeprefix("file ").removesuffix("&.csv"))
            granted = {one.entity_id: one.grant for one in permissions.entries}
            assert granted.get(robert) == (Grant.READ | Grant.WRITE if number % 2 else None)
        here.faults.clear()
        assert [one async for one in bulk.verify(job, target, thorough=True)] == []

        numbers = {here._store.files[one].name: one for one in here.files}
        gone, rotten = numbers["file 5&.csv"], numbers["file 8&.csv"]
        await target.delete_file(gone)
        flip_a_byte(tmp_path / "there", b"3 of 8")
        found = {
            (one.data_file_id, str(one.kind), one.item.domo_id is not None)
            async for one in bulk.verify(job, target, thorough=True)
        }
        assert found == {(gone, "missing", True), (rotten, "differs", True)}


def flip_a_byte(folder, content):
    """Change a bit of a stored file, which is found by what it holds."""
    (place,) = [
        one
        for one in (folder / "blobs").rglob("*")
        if one.is_file() and one.read_bytes() == content
    ]
    place.write_bytes(bytes([content[0] ^ 1]) + content[1:])


async def test_what_is_larger_goes_on_where_the_source_broke_off(emulator, other, job):
    content = random.Random(1).randbytes(900_000)  # noqa: S311 - no secret
    async with (
        emulator.session("ada", retry=QUICK) as source,
        other.session("ada", retry=QUICK) as target,
    ):
        await source.upload(content, name="large")
        emulator.faults.add("open_download", truncate=True, times=2)
        assert await bulk.migrate(source, target, job) == []
        (number,) = other.files
        assert await other.content(number) == content
        asked = [one for one in emulator.requests if one.operation == "open_download"]
        assert [("range" in {name.lower() for name in one.headers}) for one in asked] == [
            False,
            True,
            True,
        ]


async def test_a_source_that_breaks_off_for_ever_fails_alone(emulator, other, job):
    async with (
        emulator.session("ada", retry=QUICK) as source,
        other.session("ada", retry=QUICK) as target,
    ):
        await source.upload(b"small", name="small")
        large = await source.upload(bytes(900_000), name="large")
        emulator.faults.add("open_download", nth=2, reset="before", times=None)
        (left,) = await bulk.migrate(source, target, job, passes=1, settle=0)
        assert (str(left.status), left.item.domo_id) == ("failed", large.data_file_id)
        assert [file.name for file in await target.list_files()] == ["small"]


async def test_permissions_that_cannot_be_read_are_carried_over_by_the_next_run(
    emulator, other, job
):
    async with emulator.session("ada") as source, other.session("ada") as target:
        await fill(source, 2)
        fault = emulator.faults.add("get_permissions", status=403, times=None)
        left = await bulk.migrate(source, target, job, passes=1, settle=0)
        assert [str(one.status) for one in left] == ["failed"] * 2
        emulator.faults.clear()
        assert fault.met
        assert await bulk.migrate(source, target, job, settle=0) == []
        assert len(other.files) == 2
        access = {
            file.name: (await target.get_permissions(file.data_file_id)).public_access
            for file in await target.list_files()
        }
        assert access == {"file 0&.csv": False, "file 1&.csv": True}
