"""Uploads, details, lists and deletions, on both surfaces and in both stores."""

import asyncio
import hashlib
import re

import aiohttp
import pytest

DATA = bytes(range(256)) * 1000


async def test_an_uploaded_file_is_described_as_the_api_page_does(ada, emulator):
    file_id = await ada.upload(DATA, name='"SampleFile"', content_type="application/pdf")
    said = await ada.details(file_id)
    revision = said["currentRevision"]
    date = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
    assert date.fullmatch(said.pop("datetimeCreated"))
    assert date.fullmatch(revision.pop("datetimeUploaded"))
    assert isinstance(revision.pop("uploadTimeMillis"), int)
    assert said == {
        "dataFileId": file_id,
        "name": '"SampleFile"',
        "responsibleUserId": emulator.user_id("ada"),
        "currentRevision": {
            "dataFileRevisionId": emulator.files[file_id][0],
            "dataFileId": file_id,
            "contentType": "application/pdf",
            "uploadUserId": emulator.user_id("ada"),
            "sizeBytes": len(DATA),
            "md5Hash": hashlib.md5(DATA, usedforsecurity=False).hexdigest().upper(),
            "scanState": "SAFE",
            "sha256HashValue": hashlib.sha256(DATA).hexdigest().upper(),
        },
        "revisions": [],
        "existing": False,
    }
    assert await emulator.content(file_id) == DATA


@pytest.mark.parametrize("path", ["/details", "/details/"])
async def test_the_list_gives_dates_as_milliseconds(ada, path):
    await ada.upload()
    (said,) = (await ada.ok("GET", path)).json
    assert isinstance(said["datetimeCreated"], int)
    assert isinstance(said["currentRevision"]["datetimeUploaded"], int)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_001])
async def test_any_size_arrives_whole(ada, emulator, size):
    data = (DATA * 12)[:size]
    file_id = await ada.upload(data)
    assert await emulator.content(file_id) == data
    assert (await ada.ok("GET", f"/{file_id}")).body == data
    revision = (await ada.details(file_id))["currentRevision"]
    assert revision["md5Hash"] == hashlib.md5(data, usedforsecurity=False).hexdigest().upper()


@pytest.mark.parametrize("name", ["a&b=c d+e%20#?.txt", "Grüße 📈", "../up", "\ud7ff"])
async def test_names_and_descriptions_come_back_unchanged(ada, name):
    file_id = await ada.upload(name=name, description=name)
    said = await ada.details(file_id, expand="metadata,revisions")
    assert said["name"] == said["metadata"]["name"] == name
    assert said["metadata"]["description"] == name
    assert said["metadata"]["sourceContentLength"] == "4"
    assert [one["sizeBytes"] for one in said["revisions"]] == [4]


async def test_metadata_is_without_a_description_where_there_is_none(ada):
    said = await ada.details(await ada.upload(), expand="metadata")
    assert "description" not in said["metadata"]


async def test_a_file_is_private_by_default_on_the_app_surface_and_public_on_the_product(ada):
    reply = await ada.ok("POST", "", params={"name": "x"}, **ada.body(b"x"))
    said = await ada.ok("GET", f"/{reply.json['dataFileId']}/permissions")
    assert said.json["publicAccess"] is (ada.surface == "product")


@pytest.mark.parametrize("flag", ["true", "TRUE", "false"])
async def test_a_file_is_public_where_it_was_said(ada, flag):
    file_id = await ada.upload(public=flag)
    said = (await ada.ok("GET", f"/{file_id}/permissions")).json
    assert said["publicAccess"] is (flag.lower() == "true")


async def test_the_product_surface_takes_a_form_too(product, emulator):
    form = aiohttp.FormData()
    form.add_field("other", "falls")
    form.add_field("file", b"in a form", filename="x", content_type="text/csv")
    file_id = (await product.ok("POST", "?name=x", data=form)).json["dataFileId"]
    assert await emulator.content(file_id) == b"in a form"
    assert (await product.details(file_id))["currentRevision"]["contentType"] == "text/csv"


async def test_bytes_of_no_type_are_just_bytes(product):
    body = {"data": b"x", "skip_auto_headers": ["Content-Type"]}
    file_id = (await product.ok("POST", "?name=x", **body)).json["dataFileId"]
    said = await product.details(file_id)
    assert said["currentRevision"]["contentType"] == "application/octet-stream"


async def test_a_form_field_of_no_type_is_just_bytes(app):
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = await app.ok("POST", "?name=x", data=body, headers=headers)
    said = await app.details(reply.json["dataFileId"])
    assert said["currentRevision"]["contentType"] == "application/octet-stream"


async def test_a_body_of_unknown_length_arrives_whole(product, emulator):
    async def chunks():
        for at in range(0, len(DATA), 50_000):
            yield DATA[at : at + 50_000]

    file_id = await product.upload(chunks())
    assert await emulator.content(file_id) == DATA


async def test_who_waits_for_leave_to_send_gets_it(ada, emulator):
    body = ada.body(DATA)
    file_id = (await ada.ok("POST", "?name=x", expect100=True, **body)).json["dataFileId"]
    assert await emulator.content(file_id) == DATA


async def test_a_revision_becomes_the_current_one(ada, emulator):
    file_id = await ada.upload(b"one", content_type="text/csv", description="kept")
    revision_id = await ada.revise(file_id, b"two", "text/html")
    said = await ada.details(file_id, expand="revisions,metadata")
    assert said["name"] == "x"
    assert said["metadata"]["description"] == "kept"
    assert said["currentRevision"]["dataFileRevisionId"] == revision_id
    types = [one["contentType"] for one in said["revisions"]]
    assert types == ["text/csv", "text/html"]
    assert await emulator.content(file_id, emulator.files[file_id][0]) == b"one"
    with pytest.raises(KeyError):
        await emulator.content(file_id, 1)


async def test_on_the_product_surface_a_revision_changes_access_and_description(product):
    file_id = await product.upload()
    await product.revise(file_id, public="true", description="changed")
    said = await product.details(file_id, expand="metadata")
    assert said["metadata"]["public"] == "true"
    assert said["metadata"]["description"] == "changed"
    await product.revise(file_id)
    kept = await product.details(file_id, expand="metadata")
    for key in ("public", "description"):
        assert kept["metadata"][key] == said["metadata"][key]


async def test_on_the_app_surface_a_revision_changes_neither(app):
    file_id = await app.upload(description="kept")
    await app.revise(file_id, public="true", description="changed")
    said = await app.details(file_id, expand="metadata")
    assert (said["metadata"]["public"], said["metadata"]["description"]) == ("false", "kept")


async def test_who_may_only_write_cannot_open_a_file_to_all(product, emulator):
    file_id = await product.upload()
    await product.grant(file_id, "READ_WRITE")
    path = f"/{file_id}?public=true"
    grace = product.be("grace")
    assert (await grace.call("PUT", path, **product.body(b"x"))).status == 403
    assert len(emulator.files[file_id]) == 1
    await grace.revise(file_id, public="false")


async def test_a_list_has_what_the_caller_can_read_and_is_in_order(ada, grace):
    own = [await ada.upload(), await ada.upload()]
    await grace.upload()
    shared = await grace.upload(public="true")
    seen = (await ada.ok("GET", "/details")).json
    assert [one["dataFileId"] for one in seen] == [*own, shared]


async def test_a_list_can_be_cut_to_ones_own(ada, grace, emulator):
    own = await ada.upload()
    await grace.upload(public="true")
    query = {
        "app": "limitToOwned=true",
        "product": f"userId={emulator.user_id('ada')}",
    }[ada.surface]
    seen = (await ada.ok("GET", f"/details?{query}")).json
    assert [one["dataFileId"] for one in seen] == [own]


async def test_a_list_has_just_the_ids_asked_and_leaves_out_the_unknown(ada):
    one, two, three = [await ada.upload() for _ in range(3)]
    word = "ids" if ada.surface == "app" else "dataFileIds"
    path = f"/details?{word}={one},999999&{word}={three}&expand=revisions&expand=metadata"
    seen = (await ada.ok("GET", path)).json
    assert [file["dataFileId"] for file in seen] == [one, three]
    assert two not in {file["dataFileId"] for file in seen}
    assert all(file["revisions"] and file["metadata"] for file in seen)


async def test_the_request_line_has_a_limit(ada):
    async with ada.open("GET", "/details?x=" + "1" * 9000) as reply:
        assert reply.status in {400, 414}


async def test_deleting_the_current_revision_makes_the_previous_one_current(ada, emulator):
    file_id = await ada.upload(b"one")
    second = await ada.revise(file_id, b"two")
    await ada.ok("DELETE", f"/{file_id}/revisions/{second}")
    assert await emulator.content(file_id) == b"one"
    assert (await ada.call("DELETE", f"/{file_id}/revisions/{second}")).status == 404


async def test_deleting_the_last_revision_removes_the_file(ada, emulator):
    file_id = await ada.upload()
    await ada.ok("DELETE", f"/{file_id}/revisions/{emulator.files[file_id][0]}")
    assert emulator.files == {}
    assert (await ada.call("GET", f"/{file_id}/details")).status == 404


async def test_an_id_is_never_given_twice(ada, emulator):
    first = await ada.upload()
    await ada.ok("DELETE", f"/{first}/revisions/{emulator.files[first][0]}")
    assert await ada.upload() > first


async def test_a_revision_of_a_file_that_goes_meanwhile_does_not_bring_it_back(ada, emulator):
    file_id = await ada.upload()
    half = asyncio.Event()

    async def body():
        yield b"first half"
        await half.wait()
        yield b"second half"

    sending = asyncio.create_task(ada.call("PUT", f"/{file_id}", **ada.body(body())))
    while not emulator.requests[-1].size:
        await asyncio.sleep(0)
    await ada.ok("DELETE", f"/{file_id}/revisions/{emulator.files[file_id][0]}")
    half.set()
    assert (await sending).status == 404
    assert emulator.files == {}


async def test_what_the_scan_says_can_be_set(ada, emulator):
    file_id = await ada.upload()
    await emulator.set_scan_state(file_id, "INFECTED")
    assert (await ada.details(file_id))["currentRevision"]["scanState"] == "INFECTED"
    assert emulator.scan_state == "SAFE"
    emulator.scan_state = "NEVER_SCANNED"
    await ada.revise(file_id)
    assert (await ada.details(file_id))["currentRevision"]["scanState"] == "NEVER_SCANNED"


async def test_all_replies_have_a_date(ada):
    assert (await ada.ok("GET", "/details")).headers["Date"]
    assert (await ada.call("GET", "/1/details")).headers["Date"]
