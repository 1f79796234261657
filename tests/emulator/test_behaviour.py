"""What the real service may do in one way or another."""

import hashlib

import pytest


async def listed(caller, name="x"):
    return [one["name"] for one in (await caller.ok("GET", "/details")).json if name in one["name"]]


async def test_a_new_file_is_seen_only_after_some_looks(ada, emulator):
    emulator.behaviour.visibility_lag = 3
    file_id = await ada.upload()
    assert await listed(ada) == []
    assert (await ada.call("GET", f"/{file_id}/details")).status == 404
    assert await listed(ada) == []
    assert await listed(ada) == ["x"]
    assert (await ada.call("GET", f"/{file_id}/details")).status == 200


async def test_what_is_not_yet_seen_can_be_downloaded(ada, emulator):
    emulator.behaviour.visibility_lag = 1
    assert (await ada.ok("GET", f"/{await ada.upload()}")).body == b"data"


async def test_a_commit_shows_the_state_of_before_for_some_looks(ada, emulator):
    file_id = await ada.upload(name="old", description="old")
    emulator.behaviour.visibility_lag = 2
    for name in ("new", "newer"):
        session_id = await ada.begin(file_id, name=name, description=name)
        await ada.part(session_id, 1, b"longer")
        await ada.commit(session_id)
    for _ in range(2):
        said = await ada.details(file_id, expand="revisions,metadata")
        assert (said["name"], said["metadata"]["description"]) == ("old", "old")
        assert said["currentRevision"]["sizeBytes"] == 4
        assert len(said["revisions"]) == 1
    said = await ada.details(file_id, expand="revisions")
    assert (said["name"], len(said["revisions"])) == ("newer", 3)


async def test_revisions_and_copies_lag_too(product, emulator):
    source, target = await product.upload(b"source"), await product.upload(b"target")
    emulator.behaviour.visibility_lag = 2
    await product.revise(target)
    await product.ok("POST", f"/copy/{source}/revisions/current/{target}")
    path = f"/{target}/revisions/"
    assert len((await product.ok("GET", path + "details")).json) == 1
    said = (await product.ok("GET", path + "-1/details")).json
    assert said["dataFileRevisionId"] == emulator.files[target][0]
    assert len((await product.ok("GET", path + "details")).json) == 3


async def test_a_wrong_checksum_may_have_another_status(ada, emulator):
    emulator.behaviour.checksum_status = 422
    session_id = await ada.begin()
    reply = await ada.part(session_id, 1, b"x", checksum=hashlib.sha256(b"y").hexdigest())
    assert (reply.status, "checksum" in reply.json["message"]) == (422, True)
    assert (await ada.part(session_id, 1, b"x", checksum="no")).status == 400


@pytest.mark.parametrize("status", [0, 200])
async def test_a_second_commit_may_answer_as_the_first(ada, emulator, status):
    emulator.behaviour.second_commit_status = status
    session_id = await ada.begin()
    await ada.part(session_id, 1, b"x")
    first, second = [await ada.commit(session_id) for _ in range(2)]
    assert first.json == second.json
    assert sum(map(len, emulator.files.values())) == 1


@pytest.mark.parametrize("status", [0, 200])
async def test_a_second_abort_may_answer_as_the_first(ada, emulator, status):
    emulator.behaviour.second_abort_status = status
    session_id = await ada.begin()
    for _ in range(2):
        assert (await ada.abort(session_id)).status == 200


async def test_what_comes_too_late_may_have_other_statuses(ada, emulator):
    emulator.behaviour.second_commit_status = 410
    emulator.behaviour.second_abort_status = 411
    emulator.behaviour.commit_after_abort_status = 412
    committed, aborted = await ada.begin(), await ada.begin()
    await ada.part(committed, 1, b"x")
    await ada.commit(committed)
    await ada.abort(aborted)
    assert (await ada.commit(committed)).status == 410
    assert (await ada.abort(aborted)).status == 411
    assert (await ada.commit(aborted)).status == 412


async def chunks(*data):
    for one in data:
        yield one


async def test_parts_may_have_a_largest_size(ada, emulator):
    emulator.behaviour.max_part_size = 10
    session_id = await ada.begin()
    assert (await ada.part(session_id, 1, b"x" * 10)).status == 200
    assert (await ada.part(session_id, 1, b"x" * 11)).status == 413
    assert emulator.requests[-1].size == 0
    assert (await ada.part(session_id, 1, chunks(b"x" * 6, b"x" * 6))).status == 413


async def test_files_may_have_a_largest_size(ada, emulator):
    emulator.behaviour.max_file_size = 10
    await ada.upload(b"x" * 10)
    reply = await ada.call("POST", "?name=x", **ada.body(b"x" * 11))
    assert reply.status == 413
    session_id = await ada.begin()
    for index in (1, 2):
        await ada.part(session_id, index, b"x" * 6)
    assert (await ada.commit(session_id)).status == 413
    assert len(emulator.files) == 1
