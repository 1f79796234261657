"""Multipart sessions: opened, given parts, committed or aborted."""

import asyncio
import hashlib

import pytest


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def test_parts_become_a_file_in_the_order_of_their_indexes(ada, emulator):
    session_id = await ada.begin(name="parts", content_type="text/csv", description="said")
    assert emulator.open_sessions == [session_id]
    parts = [b"a" * 70_000, b"b" * 1_100_000, b"c"]
    for index in (3, 1, 2):
        data = parts[index - 1]
        reply = await ada.part(session_id, index, data, checksum=digest(data).upper())
        assert (reply.status, reply.json) == (200, {"sessionId": session_id})
    made = (await ada.commit(session_id)).json
    assert all(isinstance(one, str) for one in made.values())
    file_id = int(made["dataFileId"])
    assert emulator.files == {file_id: [int(made["revisionId"])]}
    assert emulator.open_sessions == []
    whole = b"".join(parts)
    assert await emulator.content(file_id) == whole
    said = await ada.details(file_id, expand="metadata")
    assert said["name"] == "parts"
    assert said["metadata"]["description"] == "said"
    revision = said["currentRevision"]
    assert revision["sizeBytes"] == len(whole)
    assert revision["contentType"] == "text/csv"
    assert revision["sha256HashValue"] == digest(whole).upper()
    assert revision["md5Hash"] == hashlib.md5(whole, usedforsecurity=False).hexdigest().upper()


async def test_an_empty_file_is_one_part_of_no_bytes(ada, emulator):
    session_id = await ada.begin()
    assert (await ada.part(session_id, 1, b"", checksum=digest(b""))).status == 200
    file_id = int((await ada.commit(session_id)).json["dataFileId"])
    assert await emulator.content(file_id) == b""


async def test_a_multipart_file_has_the_access_that_its_surface_gives_unasked(ada):
    session_id = await ada.begin()
    await ada.part(session_id, 1, b"x")
    file_id = (await ada.commit(session_id)).json["dataFileId"]
    said = (await ada.ok("GET", f"/{file_id}/permissions")).json
    assert said["publicAccess"] is (ada.surface == "product")


async def test_an_update_session_makes_a_revision_with_what_was_said(ada, emulator):
    file_id = await ada.upload(b"one", name="old", description="old")
    session_id = await ada.begin(file_id, name="new", description="new", fileId=file_id)
    await ada.part(session_id, 1, b"two")
    assert (await ada.details(file_id))["name"] == "old"
    made = (await ada.commit(session_id)).json
    assert emulator.files[file_id][-1] == int(made["revisionId"])
    said = await ada.details(file_id, expand="metadata")
    assert (said["name"], said["metadata"]["description"]) == ("new", "new")
    assert said["metadata"]["public"] == "false"
    assert await emulator.content(file_id) == b"two"


async def test_an_update_session_without_a_description_leaves_none(ada):
    file_id = await ada.upload(description="old")
    session_id = await ada.begin(file_id)
    await ada.part(session_id, 1, b"two")
    await ada.commit(session_id)
    assert "description" not in (await ada.details(file_id, expand="metadata"))["metadata"]


async def test_of_a_part_sent_twice_the_last_one_counts(ada, emulator):
    session_id = await ada.begin()
    for data in (b"first" * 20_000, b"second", b"third"):
        assert (await ada.part(session_id, 1, data)).status == 200
    file_id = int((await ada.commit(session_id)).json["dataFileId"])
    assert await emulator.content(file_id) == b"third"


async def test_of_a_part_sent_twice_at_once_one_counts_whole(ada, emulator):
    session_id = await ada.begin()
    bodies = [bytes([n]) * 300_000 for n in range(6)]
    await asyncio.gather(*(ada.part(session_id, 1, body) for body in bodies))
    file_id = int((await ada.commit(session_id)).json["dataFileId"])
    assert await emulator.content(file_id) in bodies


async def test_half_a_part_never_takes_the_place_of_a_whole_one(ada, emulator):
    session_id = await ada.begin()
    whole = b"w" * 3_000_000
    await ada.part(session_id, 1, whole)

    async def body():
        yield b"h" * 2_000_000
        await asyncio.Event().wait()

    sending = asyncio.create_task(ada.part(session_id, 1, body()))
    while emulator.requests[-1].size < 2_000_000 or emulator.requests[-1].status:
        await asyncio.sleep(0)
    sending.cancel()
    while emulator.in_flight:
        await asyncio.sleep(0)
    assert emulator.requests[-1].status is None
    file_id = int((await ada.commit(session_id)).json["dataFileId"])
    assert await emulator.content(file_id) == whole


@pytest.mark.parametrize("said", ["e" * 64, digest(b"other")])
async def test_a_wrong_checksum_is_refused_and_nothing_is_kept(ada, said):
    session_id = await ada.begin()
    reply = await ada.part(session_id, 3, b"data", checksum=said)
    assert reply.status == 400
    assert "The checksum of part 3 does not match" in reply.json["message"]
    reply = await ada.commit(session_id)
    assert (reply.status, "no parts" in reply.json["message"]) == (409, True)


@pytest.mark.parametrize("said", ["", "abc", "g" * 64, "0" * 65])
async def test_what_is_no_checksum_is_refused(ada, said):
    reply = await ada.part(await ada.begin(), 1, b"data", checksum=said)
    assert reply.status == 400
    assert "64 hex digits" in reply.json["message"]


@pytest.mark.parametrize("index", ["0", "10001", "-1", "x", "1.5", "9" * 400])
async def test_an_index_outside_of_one_to_ten_thousand_is_refused(ada, index):
    reply = await ada.part(await ada.begin(), index, b"data")
    assert reply.status == 400
    assert "index" in reply.json["message"]


async def test_the_last_index_is_ten_thousand(ada):
    session_id = await ada.begin()
    assert (await ada.part(session_id, 10_000, b"x")).status == 200
    reply = await ada.commit(session_id)
    assert (reply.status, "Part 1 " in reply.json["message"]) == (409, True)


async def test_a_commit_with_a_gap_names_what_is_missing_and_can_be_mended(ada, emulator):
    session_id = await ada.begin()
    for index in (1, 2, 4):
        await ada.part(session_id, index, b"x")
    reply = await ada.commit(session_id)
    assert (reply.status, "Part 3 " in reply.json["message"]) == (409, True)
    assert emulator.open_sessions == [session_id]
    await ada.part(session_id, 3, b"x")
    assert (await ada.commit(session_id)).status == 200


async def test_a_committed_session_takes_nothing_more(ada):
    session_id = await ada.begin()
    await ada.part(session_id, 1, b"x")
    assert (await ada.commit(session_id)).status == 200
    assert (await ada.part(session_id, 1, b"y")).status == 409
    assert (await ada.commit(session_id)).status == 409
    assert (await ada.abort(session_id)).status == 409


async def test_an_aborted_session_is_gone(ada, emulator):
    session_id = await ada.begin()
    await ada.part(session_id, 1, b"x")
    assert (await ada.abort(session_id)).status == 200
    assert emulator.open_sessions == []
    assert (await ada.part(session_id, 1, b"y")).status == 404
    assert (await ada.commit(session_id)).status == 404
    assert (await ada.abort(session_id)).status == 404
    assert emulator.files == {}


async def test_an_unknown_session_and_another_users_look_the_same(ada, grace):
    for session_id in ("1234567890", await grace.begin()):
        assert (await ada.part(session_id, 1, b"x")).status == 404
        assert (await ada.commit(session_id)).status == 404
        assert (await ada.abort(session_id)).status == 404


async def test_of_two_commits_at_once_one_makes_the_only_revision(ada, emulator):
    session_id = await ada.begin()
    for index in range(1, 4):
        await ada.part(session_id, index, b"x" * 1_000_000)
    replies = await asyncio.gather(*(ada.commit(session_id) for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409]
    assert sum(map(len, emulator.files.values())) == 1


async def test_a_part_that_comes_while_its_session_ends_is_refused(ada, emulator):
    session_id = await ada.begin()
    ended = asyncio.Event()

    async def body():
        yield b"x"
        await ended.wait()
        yield b"y"

    sending = asyncio.create_task(ada.part(session_id, 1, body()))
    while not emulator.requests[-1].size:
        await asyncio.sleep(0)
    await ada.abort(session_id)
    ended.set()
    assert (await sending).status == 404


async def test_a_commit_to_a_file_that_went_is_refused(ada, emulator):
    file_id = await ada.upload()
    session_id = await ada.begin(file_id)
    await ada.part(session_id, 1, b"x")
    await ada.ok("DELETE", f"/{file_id}/revisions/{emulator.files[file_id][0]}")
    assert (await ada.commit(session_id)).status == 404
    assert emulator.open_sessions == [session_id]


async def test_a_commit_to_a_file_that_may_no_longer_be_written_is_refused(ada, grace):
    file_id = await ada.upload()
    await ada.grant(file_id, "READ_WRITE")
    session_id = await grace.begin(file_id)
    await grace.part(session_id, 1, b"x")
    await ada.grant(file_id, "READ")
    assert (await grace.commit(session_id)).status == 403


async def test_a_commit_may_say_nothing_but_nothing_else(ada):
    session_id = await ada.begin()
    await ada.part(session_id, 1, b"x")
    path = f"/multipart/{session_id}/commit"
    assert (await ada.call("POST", path, json={"sessionId": "other"})).status == 400
    assert (await ada.call("POST", path, json=[session_id])).status == 400
    assert (await ada.call("POST", path)).status == 200


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"name": "", "contentType": "text/csv"},
        {"name": 3, "contentType": "text/csv"},
        {"name": "x"},
        {"name": "x", "contentType": "csv"},
        {"name": "x", "contentType": "text/csv\n; x"},
        {"name": "x", "contentType": "text/csv", "description": 3},
        ["x"],
        None,
    ],
)
async def test_a_session_is_not_opened_with_what_makes_no_file(ada, said):
    file_id = await ada.upload()
    assert (await ada.call("POST", "/multipart", json=said)).status == 400
    assert (await ada.call("POST", f"/{file_id}/multipart", json=said)).status == 400


async def test_an_update_session_for_another_file_than_the_path_says_is_refused(ada):
    file_id = await ada.upload()
    said = {"name": "x", "contentType": "text/csv", "fileId": file_id + 1}
    assert (await ada.call("POST", f"/{file_id}/multipart", json=said)).status == 400


async def test_a_session_of_many_parts_is_no_burden(http, make_caller):
    # In memory alone: what is seen here is the counting, not the store.
    from domo_files_async.emulator import Emulator  # noqa: PLC0415

    async with Emulator() as emulator:
        ada = make_caller(http, emulator, "product", "ada")
        session_id = await ada.begin()

        async def send(first):
            for index in range(first, 2001, 8):
                assert (await ada.part(session_id, index, str(index))).status == 200

        await asyncio.gather(*(send(first) for first in range(1, 9)))
        file_id = int((await ada.commit(session_id)).json["dataFileId"])
        whole = "".join(map(str, range(1, 2001))).encode()
        assert await emulator.content(file_id) == whole
        assert (await ada.ok("GET", f"/{file_id}")).body == whole
        assert emulator.max_in_flight <= 8
