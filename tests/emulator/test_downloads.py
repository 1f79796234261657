"""Downloads, whole and in ranges."""

import asyncio

import pytest

DATA = bytes(range(256)) * 12_000


async def test_a_download_says_what_it_is(ada):
    file_id = await ada.upload(DATA, name='q"ü\r\n.csv', content_type="text/csv")
    reply = await ada.ok("GET", f"/{file_id}")
    assert reply.body == DATA
    assert reply.headers["Content-Type"] == "text/csv"
    assert reply.headers["Content-Length"] == str(len(DATA))
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.headers["ETag"]
    assert reply.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''q%22%C3%BC%0D%0A.csv"
    )


async def test_a_download_can_have_another_name(ada):
    reply = await ada.ok("GET", f"/{await ada.upload()}?fileName=other")
    assert reply.headers["Content-Disposition"].endswith("''other")


async def test_each_revision_can_be_downloaded(ada, emulator):
    file_id = await ada.upload(b"one")
    await ada.revise(file_id, b"two")
    first, second = emulator.files[file_id]
    assert (await ada.ok("GET", f"/{file_id}/revisions/{first}")).body == b"one"
    assert (await ada.ok("GET", f"/{file_id}/revisions/{second}")).body == b"two"
    assert (await ada.call("GET", f"/{file_id}/revisions/1")).status == 404


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("BYTES=1048570-1048580", 1_048_570, 1_048_581),
        ("bytes=3071999-", 3_071_999, 3_072_000),
        ("bytes=-10", 3_071_990, 3_072_000),
        ("bytes=-9999999", 0, 3_072_000),
        ("bytes=10-9999999", 10, 3_072_000),
    ],
)
async def test_a_range_is_answered_with_just_its_bytes(ada, asked, start, stop):
    file_id = await ada.upload(DATA)
    reply = await ada.call("GET", f"/{file_id}", headers={"Range": asked})
    assert reply.status == 206
    assert reply.body == DATA[start:stop]
    assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"


async def test_a_range_may_span_parts(ada):
    session_id = await ada.begin()
    for index, data in enumerate([b"abc", b"", b"def", b"ghi"], 1):
        assert (await ada.part(session_id, index, data)).status == 200
    file_id = (await ada.commit(session_id)).json["dataFileId"]
    reply = await ada.call("GET", f"/{file_id}", headers={"Range": "bytes=2-6"})
    assert reply.body == b"cdefg"


@pytest.mark.parametrize("asked", ["bytes=9-", "bytes=4-4", "bytes=-0"])
async def test_a_range_behind_the_end_is_refused(ada, asked):
    reply = await ada.call("GET", f"/{await ada.upload()}", headers={"Range": asked})
    assert reply.status == 416
    assert reply.headers["Content-Range"] == "bytes */4"


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,2-3", "bytes=-", "bytes=3-1", "lines=0-1", "bytes=a-b", "bytes=" + "9" * 30],
)
async def test_what_is_no_range_gives_the_whole(ada, asked):
    reply = await ada.ok("GET", f"/{await ada.upload()}", headers={"Range": asked})
    assert reply.body == b"data"


async def test_ranges_can_be_switched_off(ada, emulator):
    emulator.behaviour.ranges = False
    reply = await ada.ok("GET", f"/{await ada.upload()}", headers={"Range": "bytes=0-1"})
    assert reply.body == b"data"
    assert "Accept-Ranges" not in reply.headers


async def test_a_range_of_what_has_changed_gives_the_whole(ada):
    file_id = await ada.upload()
    etag = (await ada.ok("GET", f"/{file_id}")).headers["ETag"]
    headers = {"Range": "bytes=0-0", "If-Range": etag}
    assert (await ada.call("GET", f"/{file_id}", headers=headers)).status == 206
    headers["If-Range"] = '"other"'
    assert (await ada.ok("GET", f"/{file_id}", headers=headers)).body == b"data"


async def test_what_the_caller_has_already_is_not_sent_again(ada):
    file_id = await ada.upload()
    etag = (await ada.ok("GET", f"/{file_id}")).headers["ETag"]
    reply = await ada.call("GET", f"/{file_id}", headers={"If-None-Match": etag})
    assert (reply.status, reply.body) == (304, b"")


async def test_a_download_under_way_outlives_its_file(ada, emulator):
    data = DATA * 10
    file_id = await ada.upload(data)
    async with ada.open("GET", f"/{file_id}") as reply:
        await ada.ok("DELETE", f"/{file_id}/revisions/{emulator.files[file_id][0]}")
        assert await reply.read() == data


async def test_who_leaves_in_mid_download_harms_nothing(ada, emulator):
    file_id = await ada.upload(DATA * 10)
    async with ada.open("GET", f"/{file_id}") as reply:
        await reply.content.readany()
        reply.close()
    while emulator.in_flight:
        await asyncio.sleep(0)
    assert (await ada.ok("GET", f"/{file_id}")).body == DATA * 10
