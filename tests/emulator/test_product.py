"""What the product surface alone has."""

import pytest


async def test_a_user_can_ask_who_they_are(product, http, emulator):
    url = emulator.url + "/api/content/v2/users/me"
    async with http.get(url, headers=product.headers) as reply:
        assert (await reply.json())["id"] == emulator.user_id("ada")
    assert emulator.requests[-1].operation == "get_current_user"
    async with http.get(url) as reply:
        assert reply.status == 401


async def test_one_revision_and_the_newest_one_can_be_asked_for(product, emulator):
    file_id = await product.upload(b"one")
    await product.revise(file_id, b"three")
    first, second = emulator.files[file_id]
    said = (await product.ok("GET", f"/{file_id}/revisions/{first}/details")).json
    assert (said["dataFileRevisionId"], said["sizeBytes"]) == (first, 3)
    said = (await product.ok("GET", f"/{file_id}/revisions/-1/details")).json
    assert said["dataFileRevisionId"] == second
    said = (await product.ok("GET", f"/{file_id}/revisions/details")).json
    assert [one["dataFileRevisionId"] for one in said] == [first, second]
    assert (await product.call("GET", f"/{file_id}/revisions/1/details")).status == 404


async def test_a_revision_is_copied_and_outlives_its_source(product, emulator):
    source = await product.upload(b"source", content_type="text/csv")
    target = await product.upload(b"target")
    path = f"/copy/{source}/revisions/current/{target}"
    revision_id = (await product.ok("POST", path)).json["revisionId"]
    assert emulator.files[target][-1] == revision_id
    await product.ok("DELETE", f"/{source}")
    assert await emulator.content(target) == b"source"
    assert (await product.details(target))["currentRevision"]["contentType"] == "text/csv"
    assert (await product.call("POST", path)).status == 404


async def test_a_duplicate_is_a_private_file_of_ones_own(product, emulator):
    source = await product.upload(b"same", name="same", public="true")
    grace = product.be("grace")
    said = (await grace.ok("POST", f"/{source}/duplicate")).json
    assert said["name"] == "same"
    assert said["responsibleUserId"] == emulator.user_id("grace")
    assert await emulator.content(said["dataFileId"]) == b"same"
    assert (await product.call("GET", f"/{said['dataFileId']}")).status == 404
    await grace.ok("DELETE", f"/{said['dataFileId']}")
    assert await emulator.content(source) == b"same"


async def test_a_file_is_deleted_with_all_its_revisions(product, emulator):
    file_id = await product.upload()
    await product.revise(file_id)
    await product.ok("DELETE", f"/{file_id}")
    assert emulator.files == {}
    assert (await product.call("DELETE", f"/{file_id}")).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/{}/revisions/{}/details"),
        ("GET", "/{}/revisions/details"),
        ("POST", "/copy/{}/revisions/current/{}"),
        ("POST", "/{}/duplicate"),
        ("DELETE", "/{}"),
    ],
)
async def test_the_app_surface_has_none_of_these(app, method, path):
    file_id = await app.upload()
    reply = await app.call(method, path.format(file_id, file_id))
    assert reply.status == 404
    assert "surface" in reply.json["message"]


async def test_the_newest_revision_has_no_such_name_on_the_app_surface(app):
    file_id = await app.upload()
    assert (await app.call("GET", f"/{file_id}/revisions/-1")).status == 404
