"""Each fault does what its words say, once for each time, and is accounted for."""

import asyncio

import aiohttp
import pytest

from domo_files_async.emulator.faults import OPERATIONS

PART = b"p" * 3_000_000


@pytest.fixture
async def session_id(ada):
    return await ada.begin()


async def test_a_status_is_answered_in_place_of_the_real_answer(ada, emulator):
    fault = emulator.faults.add("upload_file", status=503, times=2, headers={"Retry-After": "7"})
    for left in (2, 1):
        assert emulator.faults.pending == [fault]
        assert fault.met == 2 - left
        reply = await ada.call("POST", "?name=x", **ada.body(PART))
        assert (reply.status, reply.headers["Retry-After"]) == (503, "7")
        assert reply.json["statusReason"] == "Service Unavailable"
        assert reply.json["toe"]
        assert emulator.requests[-1].size >= len(PART)
    assert emulator.faults.pending == []
    assert emulator.faults.met == {fault: 2}
    assert emulator.files == {}
    await ada.upload()


@pytest.mark.parametrize(
    ("body", "expected"), [("téxt", "téxt".encode()), (b"\xff", b"\xff"), ({"a": 1}, b'{"a": 1}')]
)
async def test_a_fault_may_have_a_body_of_its_own(ada, emulator, body, expected):
    emulator.faults.add("list_files", status=299, body=body)
    reply = await ada.call("GET", "/details")
    assert (reply.status, reply.body) == (299, expected)


@pytest.mark.parametrize(("status", "expected"), [(None, 503), (200, 200)])
async def test_the_maintenance_page_is_html(ada, emulator, status, expected):
    emulator.faults.add("list_files", maintenance=True, status=status)
    reply = await ada.call("GET", "/details")
    assert (reply.status, reply.headers["Content-Type"]) == (expected, "text/html; charset=utf-8")
    assert b"<title>Domo Maintenance</title>" in reply.body


async def test_an_early_answer_comes_before_the_body_was_read(ada, emulator, session_id):
    emulator.faults.add("upload_part", status=413, early=True)
    never = asyncio.Event()

    async def body():
        yield b"first"
        await never.wait()

    path = f"/multipart/{session_id}/part/1"
    async with ada.open("PUT", path, data=body()) as reply:
        assert reply.status == 413
        assert reply.headers["Connection"] == "close"
    assert emulator.requests[-1].size == 0


@pytest.mark.parametrize("when", ["before", "body", "after"])
async def test_a_reset_breaks_the_connection_where_it_was_said(ada, emulator, session_id, when):
    emulator.faults.add("upload_part", reset=when)
    with pytest.raises(aiohttp.ClientError):
        await ada.part(session_id, 1, PART)
    arrived = emulator.requests[-1]
    assert arrived.status is None
    if when == "before":
        assert arrived.size == 0
    elif when == "body":
        assert len(PART) // 2 <= arrived.size < len(PART)
    reply = await ada.commit(session_id)
    assert reply.status == (200 if when == "after" else 409)
    assert emulator.faults.pending == []


@pytest.mark.parametrize("when", ["before", "body", "after"])
async def test_a_reset_upload_was_made_only_if_it_came_after(ada, emulator, when):
    emulator.faults.add("upload_file", reset=when)
    with pytest.raises(aiohttp.ClientError):
        await ada.call("POST", "?name=x", **ada.body(PART))
    assert len(emulator.files) == (when == "after")


@pytest.mark.parametrize("when", ["before", "body", "after"])
async def test_a_reset_abort_happened_only_if_it_came_after(ada, emulator, session_id, when):
    emulator.faults.add("abort_multipart_session", reset=when)
    with pytest.raises(aiohttp.ClientError):
        await ada.abort(session_id)
    assert emulator.open_sessions == ([] if when == "after" else [session_id])


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_reset_download_gives_nothing(ada, emulator, when):
    file_id = await ada.upload(PART)
    emulator.faults.add("open_download", reset=when)
    with pytest.raises(aiohttp.ClientError):
        await ada.call("GET", f"/{file_id}")
    assert emulator.requests[-1].status is None


@pytest.mark.parametrize("size", [0, 1, 4, 3_000_000])
async def test_a_download_reset_in_mid_body_gives_no_more_than_half(ada, emulator, size):
    file_id = await ada.upload(PART[:size])
    emulator.faults.add("open_download", reset="body")
    got = bytearray()
    with pytest.raises(aiohttp.ClientError):
        async with ada.open("GET", f"/{file_id}") as reply:
            async for chunk in reply.content.iter_any():
                got += chunk
            if not size:
                # An empty body is whole with its head, and the reset is seen by the next one.
                await ada.call("GET", "/details")
                raise aiohttp.ClientError
    assert len(got) <= size // 2
    assert emulator.faults.pending == []


async def test_a_truncated_download_ends_in_good_order_but_too_early(ada, emulator):
    file_id = await ada.upload(PART)
    emulator.faults.add("open_download", truncate=True)
    got = bytearray()
    with pytest.raises(aiohttp.ClientPayloadError):
        async with ada.open("GET", f"/{file_id}") as reply:
            async for chunk in reply.content.iter_any():
                got += chunk
    assert bytes(got) == PART[: len(PART) // 2]
    assert emulator.requests[-1].status == 200


async def test_a_corrupt_part_differs_in_one_byte(ada, emulator, session_id):
    emulator.faults.add("upload_part", corrupt=True)
    assert (await ada.part(session_id, 1, PART)).status == 200
    file_id = int((await ada.commit(session_id)).json["dataFileId"])
    stored = await emulator.content(file_id)
    assert len(stored) == len(PART)
    assert sum(a != b for a, b in zip(stored, PART, strict=True)) == 1


async def test_a_corrupt_upload_differs_in_one_byte_of_the_file(ada, emulator):
    emulator.faults.add("upload_file", corrupt=True)
    assert await emulator.content(await ada.upload(b"data")) == b"eata"


async def test_a_corrupt_part_of_no_bytes_stays_as_it_is(ada, emulator, session_id):
    emulator.faults.add("upload_part", corrupt=True)
    assert (await ada.part(session_id, 1, b"")).status == 200


@pytest.mark.parametrize("size", [1, 4, 3_000_000])
async def test_a_corrupt_download_differs_in_one_byte(ada, emulator, size):
    file_id = await ada.upload(PART[:size])
    emulator.faults.add("open_download", corrupt=True)
    got = (await ada.ok("GET", f"/{file_id}")).body
    assert sum(a != b for a, b in zip(got, PART[:size], strict=True)) == 1


async def test_other_corrupt_answers_are_cut_in_half(ada, emulator):
    file_id = await ada.upload()
    emulator.faults.add("get_file", corrupt=True)
    reply = await ada.ok("GET", f"/{file_id}/details")
    assert reply.body.startswith(b'{"dataFileId"')
    assert reply.json is None


async def test_a_stalled_part_stands_still_in_mid_body_and_then_goes_on(ada, emulator, session_id):
    emulator.faults.add("upload_part", stall=0.01)
    assert (await ada.part(session_id, 1, PART)).status == 200
    file_id = int((await ada.commit(session_id)).json["dataFileId"])
    assert await emulator.content(file_id) == PART


async def test_a_stalled_download_stands_still_after_half(ada, emulator):
    file_id = await ada.upload(PART)
    emulator.faults.add("open_download", stall=60)
    got = bytearray()
    async with ada.open("GET", f"/{file_id}") as reply:
        while len(got) < len(PART) // 2:
            got += await reply.content.readany()
        assert bytes(got) == PART[: len(PART) // 2]
        assert emulator.in_flight == 1
        reply.close()
    emulator.faults.add("open_download", stall=0.01)
    assert (await ada.ok("GET", f"/{file_id}")).body == PART
    await shut(emulator)


async def shut(emulator):
    """End what stands still, as closing the emulator does."""
    emulator._closing.set()
    while emulator.in_flight:
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        ("list_files", "GET", "/details"),
        ("abort_multipart_session", "POST", "/multipart/{}/abort"),
        ("delete_revision", "DELETE", "/1/revisions/1"),
    ],
)
async def test_others_stand_still_before_they_answer(
    ada, emulator, session_id, operation, method, path
):
    emulator.faults.add(operation, stall=60)
    asking = asyncio.create_task(ada.call(method, path.format(session_id)))
    while not emulator.in_flight:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not asking.done()
    await shut(emulator)
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_a_stall_may_come_before_a_status(ada, emulator):
    emulator.faults.add("list_files", stall=0.01, status=500)
    assert (await ada.call("GET", "/details")).status == 500


@pytest.mark.parametrize("rate", [10_000, 0.5 * 2**40])
async def test_bytes_trickle_at_a_rate_in_both_directions(ada, emulator, rate):
    emulator.faults.add("upload_file", rate=rate)
    emulator.faults.add("open_download", rate=rate)
    data = PART[:1001]
    file_id = await ada.upload(data)
    assert (await ada.ok("GET", f"/{file_id}")).body == data
    assert emulator.faults.pending == []


async def test_a_fault_strikes_just_what_its_words_select(ada, emulator, session_id):
    other = await ada.begin()
    emulator.faults.add("upload_part", part=2, session_id=session_id, status=500)
    for one, index, status in [
        (other, 2, 200),
        (session_id, 1, 200),
        (session_id, 2, 500),
        (session_id, 2, 200),
    ]:
        assert (await ada.part(one, index, b"x")).status == status


async def test_a_fault_may_wait_for_the_nth_that_its_words_select(ada, emulator, session_id):
    await ada.part(session_id, 1, b"x")
    emulator.faults.add("upload_part", part=1, nth=2, status=500)
    said = [(await ada.part(session_id, index, b"x")).status for index in (1, 2, 1, 1)]
    assert said == [200, 200, 500, 200]


async def test_a_request_meets_the_first_fault_that_takes_it_and_no_other(ada, emulator):
    emulator.faults.add("list_files", status=501)
    emulator.faults.add("*", status=502)
    said = [(await ada.call("GET", "/details")).status for _ in range(3)]
    assert said == [501, 502, 200]


async def test_a_fault_for_ever_is_no_longer_pending_once_met(ada, emulator):
    fault = emulator.faults.add("*", times=None, status=500)
    assert emulator.faults.pending == [fault]
    for _ in range(3):
        assert (await ada.call("GET", "/details")).status == 500
    assert (emulator.faults.pending, emulator.faults.met) == ([], {fault: 3})
    emulator.faults.clear()
    assert (emulator.faults.met, (await ada.call("GET", "/details")).status) == ({}, 200)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_each_operation_can_be_named(emulator, operation):
    fault = emulator.faults.add(operation, status=500)
    assert fault.operation == operation


async def test_a_body_alone_is_what_is_answered(ada, emulator):
    emulator.faults.add("get_file", body={"dataFileId": "7"})
    emulator.faults.add("get_file", body="<html>")
    for body in (b'{"dataFileId": "7"}', b"<html>"):
        reply = await ada.call("GET", "/1/details")
        assert (reply.status, reply.body) == (200, body)
    assert not emulator.faults.pending


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"operation": "upload"}, "no operation 'upload', but abort_"),
        ({"reset": "during"}, "'before', 'body' or 'after'"),
        ({}, "must do something"),
        ({"part": 1}, "must do something"),
        ({"status": 500, "times": 0}, "count from 1"),
        ({"status": 500, "nth": 0}, "count from 1"),
        ({"status": 500, "part": 0}, "from 1 to 10000"),
        ({"status": 500, "part": 10_001}, "from 1 to 10000"),
        ({"operation": "get_file", "status": 500, "part": 1}, "only upload_part"),
        ({"status": 0}, "from 200 to 599"),
        ({"status": 600}, "from 200 to 599"),
        ({"stall": 0}, "above 0"),
        ({"rate": -1}, "above 0"),
        ({"reset": "after", "body": "x"}, "belong to a status"),
        ({"stall": 1, "headers": {"a": "b"}}, "belong to a status"),
        ({"rate": 1, "early": True}, "belong to a status"),
        ({"maintenance": True, "body": "x"}, "a body of its own"),
        ({"truncate": True}, "only open_download"),
    ],
)
def test_words_that_make_no_sense_are_refused_at_once(emulator, words, said):
    with pytest.raises(ValueError, match=said):
        emulator.faults.add(**{"operation": "upload_part", **words})
    assert emulator.faults.pending == []
