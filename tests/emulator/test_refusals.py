"""What is refused, to whom, and in which words."""

import asyncio
import io

import aiohttp
import pytest


@pytest.mark.parametrize("given", [None, "wrong header", "unknown"])
async def test_without_a_credential_of_its_surface_a_request_is_refused(ada, http, given):
    headers = {
        None: {},
        "unknown": dict.fromkeys(ada.headers, "nobody's"),
        "wrong header": {
            {
                "app": "X-DOMO-Developer-Token",
                "product": "X-DOMO-Ryuu-Session",
            }[ada.surface]: ada.emulator.credential("ada")
        },
    }[given]
    url = ada.emulator.url + ada.base
    async with http.get(url + "/details", headers=headers) as reply:
        assert reply.status == 401
        assert (await reply.json())["statusReason"] == "Unauthorized"
    async with http.post(
        url + "?name=x", data=io.BytesIO(bytes(3_000_000)), headers=headers
    ) as reply:
        assert reply.status == 401
    assert ada.emulator.requests[-1].status == 401


async def test_the_older_header_of_the_app_surface_is_taken_too(app, http, emulator):
    headers = {"X-DOMO-Ryuu-Token": emulator.credential("ada")}
    async with http.get(emulator.url + app.base + "/details", headers=headers) as reply:
        assert reply.status == 200


async def test_an_error_has_the_shape_of_the_apis_and_an_id_of_its_own(ada):
    first, second = [(await ada.call("GET", "/12345/details")).json for _ in range(2)]
    assert first.pop("toe") != second.pop("toe")
    assert first == {
        "status": 404,
        "statusReason": "Not Found",
        "message": "There is no data file 12345.",
    }


def every_call(file_id, revision_id):
    said = {"name": "x", "contentType": "text/csv"}
    permissions = {"publicAccess": False, "entries": []}
    return [
        ("READ", "GET", f"/{file_id}", {}),
        ("READ", "GET", f"/{file_id}/revisions/{revision_id}", {}),
        ("READ", "GET", f"/{file_id}/details", {}),
        ("READ", "GET", f"/{file_id}/permissions", {}),
        ("WRITE", "PUT", f"/{file_id}", "body"),
        ("WRITE", "POST", f"/{file_id}/multipart", {"json": said}),
        ("SHARE", "PUT", f"/{file_id}/permissions", {"json": permissions}),
        ("DELETE", "DELETE", f"/{file_id}/revisions/{revision_id}", {}),
    ]


async def test_a_file_that_may_not_be_read_isnt_there_for_any_endpoint(ada, grace, emulator):
    file_id = await ada.upload()
    for one in (file_id, 999_999):
        for _, method, path, body in every_call(one, emulator.files[file_id][0]):
            options = ada.body(b"x") if body == "body" else body
            reply = await grace.call(method, path, **options)
            assert reply.status == 404, path
            assert reply.json["message"] == f"There is no data file {one}."


@pytest.mark.parametrize("right", ["WRITE", "SHARE", "DELETE"])
async def test_each_right_needs_its_own_word(ada, grace, emulator, right):
    words = [word for word in ("READ", "WRITE", "DELETE", "SHARE") if word != right]
    file_id = await ada.upload()
    await ada.grant(file_id, "_".join(words))
    revision_id = emulator.files[file_id][0]
    for needed, method, path, body in every_call(file_id, revision_id):
        if needed == right:
            options = ada.body(b"x") if body == "body" else body
            reply = await grace.call(method, path, **options)
            assert (reply.status, right in reply.json["message"]) == (403, True), path


async def test_with_its_word_each_right_is_given(ada, grace, emulator):
    file_id = await ada.upload()
    await ada.revise(file_id)
    await ada.grant(file_id, "READ_WRITE_DELETE_SHARE")
    for _, method, path, body in every_call(file_id, emulator.files[file_id][0]):
        if "permissions" not in path:
            options = ada.body(b"x") if body == "body" else body
            assert (await grace.call(method, path, **options)).status == 200, path
    await grace.grant(file_id, "READ")


async def test_a_public_file_can_be_read_by_all_and_no_more(ada, grace):
    file_id = await ada.upload(public="true")
    assert (await grace.ok("GET", f"/{file_id}")).body == b"data"
    assert (await grace.call("PUT", f"/{file_id}", **ada.body(b"x"))).status == 403


async def test_the_owner_has_an_entry_with_all_rights(ada, emulator):
    said = (await ada.ok("GET", f"/{await ada.upload()}/permissions")).json
    assert said == {
        "publicAccess": False,
        "entries": [
            {
                "entityType": "USER",
                "entityId": str(emulator.user_id("ada")),
                "grant": "READ_WRITE_DELETE_SHARE_ADMIN",
                "pass": "NONE",
            }
        ],
    }


async def test_permissions_come_back_as_they_were_given(ada):
    file_id = await ada.upload()
    entry = {"entityType": "ROBOT", "entityId": "r2", "grant": "FLY", "pass": "NONE", "more": [1]}
    said = {"publicAccess": True, "entries": [entry]}
    await ada.ok("PUT", f"/{file_id}/permissions", json=said)
    assert (await ada.ok("GET", f"/{file_id}/permissions")).json == said


ENTRY = {"entityType": "USER", "entityId": "1", "grant": "READ"}


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        {"publicAccess": "yes", "entries": []},
        {"publicAccess": True},
        {"publicAccess": True, "entries": {}},
        {"publicAccess": True, "entries": ["x"]},
        {"publicAccess": True, "entries": [ENTRY | {"entityId": 1}]},
        {"publicAccess": True, "entries": [ENTRY | {"grant": None}]},
        {"publicAccess": True, "entries": [{"entityId": "1", "grant": "READ"}]},
    ],
)
async def test_what_are_no_permissions_is_refused(ada, said):
    file_id = await ada.upload()
    assert (await ada.call("PUT", f"/{file_id}/permissions", json=said)).status == 400
    assert (await ada.ok("GET", f"/{file_id}/permissions")).json["publicAccess"] is False


async def test_permissions_of_a_file_that_goes_meanwhile_do_not_bring_it_back(ada, emulator):
    file_id = await ada.upload()
    gone = asyncio.Event()

    async def body():
        yield b'{"publicAccess": true, '
        await gone.wait()
        yield b'"entries": []}'

    sending = asyncio.create_task(ada.call("PUT", f"/{file_id}/permissions", data=body()))
    while not emulator.requests[-1].size:
        await asyncio.sleep(0)
    await ada.ok("DELETE", f"/{file_id}/revisions/{emulator.files[file_id][0]}")
    gone.set()
    assert (await sending).status == 404
    assert emulator.files == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
async def test_what_is_no_json_is_refused(ada, body):
    reply = await ada.call("POST", "/multipart", data=body)
    assert (reply.status, "JSON" in reply.json["message"]) == (400, True)


async def test_a_json_body_of_megabytes_is_refused(ada):
    assert (await ada.call("POST", "/multipart", data=b" " * 1_500_000)).status == 413


@pytest.mark.parametrize("query", ["", "?name=", "?name=%20", "?name=x&public=maybe"])
async def test_an_upload_needs_a_name_and_a_clear_access(ada, emulator, query):
    assert (await ada.call("POST", query, **ada.body(b"x"))).status == 400
    assert emulator.files == {}


async def test_an_upload_on_the_app_surface_must_be_a_form(app):
    reply = await app.call("POST", "?name=x", data=b"raw")
    assert (reply.status, "form data" in reply.json["message"]) == (400, True)


async def test_an_upload_needs_the_field_file(ada, emulator):
    form = aiohttp.FormData()
    form.add_field("document", b"x", filename="file")
    reply = await ada.call("POST", "?name=x", data=form)
    assert (reply.status, "'file'" in reply.json["message"]) == (400, True)
    assert emulator.files == {}


@pytest.mark.parametrize("query", ["expand=all", "ids=x", "dataFileIds=1,,2", "userId=me"])
async def test_a_list_refuses_what_it_does_not_understand(ada, query):
    understood = {"app": {"expand", "ids"}, "product": {"expand", "dataFileIds", "userId"}}
    reply = await ada.call("GET", f"/details?{query}")
    known = query.partition("=")[0] in understood[ada.surface]
    assert reply.status == (400 if known else 200)


@pytest.mark.parametrize(
    "path", ["/x/details", "/1_0/details", "/+1", "/1/revisions/x", "/٣/details"]
)
async def test_what_is_no_number_is_no_id(ada, path):
    file_id = await ada.upload()
    assert (await ada.call("GET", path.replace("/1/", f"/{file_id}/"))).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/1/details"), ("GET", "/a/b/c/d"), ("GET", "x")],
)
async def test_there_is_nothing_under_other_paths(ada, method, path):
    reply = await ada.call(method, path)
    assert reply.status == 404
    assert ada.emulator.requests[-1].operation == ""


async def test_there_is_nothing_beside_the_two_surfaces(http, emulator):
    async with http.get(emulator.url + "/robots.txt") as reply:
        assert reply.status == 404
